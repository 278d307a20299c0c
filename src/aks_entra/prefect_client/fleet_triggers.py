"""The automations that start a fleet's deployments on its events. Only those with the fleet's tag are changed."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.actions import RunDeployment
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture

from aks_entra.core.deployments import Deployment
from aks_entra.prefect_client import automations, events, names

_REQUEST: Final = {
    "request": {
        "__prefect_kind": "json",
        "value": {
            "__prefect_kind": "jinja",
            "template": (  # what the server cannot store would start no run, and so nobody would read why
                "{{ (event.payload if event.payload | tojson | length < 4000 "
                "else {'payload': 'more than 4,000 characters'}) | tojson }}"
            ),
        },
    }
}


async def set_event(client: PrefectClient, there: DeploymentResponse, wanted: Deployment) -> None:
    """Create, change or delete our automation. An automation that a person switched off stays off."""
    own = await own_automations(client, there)
    for one in own if not wanted.event else own[1:]:
        await client.delete_automation(one.id)
    if not wanted.event:
        return
    automation = _automation(there.id, wanted.flow, wanted.name, wanted.event)
    if not own:
        await client.create_automation(automation)
    elif event_text(own[0], there.id, wanted.flow, wanted.name) != wanted.event:
        await automations.update(client, own[0], automation)


async def own_automations(client: PrefectClient, one: DeploymentResponse) -> list[Automation]:
    """Return the automations of a deployment that were made here. The server does not say which resource owns them."""
    related = await client.read_resource_related_automations(_resource(one.id))
    return sorted((it for it in related if names.fleet_of(it.tags) == one.name), key=lambda it: it.id)


def event_text(one: Automation, deployment: UUID, flow: str, fleet: str) -> str:
    """Return the event that an automation waits for, with a note if somebody changed the automation."""
    expected = ", ".join(sorted(getattr(one.trigger, "expect", ())))
    meant = _automation(deployment, flow, fleet, expected)
    same = (automations.essence(one), automations.essence(meant))
    return expected if same[0] == same[1] else f"{expected} (changed by hand)"


def _automation(deployment: UUID, flow: str, fleet: str, event: str) -> AutomationCore:
    """Return the automation that starts a fleet's deployment on its event."""
    return AutomationCore(
        name=f"{flow}/{fleet} on request",
        description=f"Made by `aks-entra deploy`: starts {flow}/{fleet} on the event {event}.",
        tags=[names.fleet_tag(fleet)],
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={event},
            match={"prefect.resource.id": events.fleet_id(fleet)},
            threshold=1,
        ),
        actions=[
            RunDeployment(
                source="selected",
                deployment_id=deployment,
                parameters=_REQUEST if flow == names.COORDINATOR else None,
                job_variables=None,
            )
        ],
        owner_resource=_resource(deployment),
    )


def _resource(deployment: UUID) -> str:
    return f"prefect.deployment.{deployment}"
