"""The automations of `deployments/automations`: an event of ours starts each, and people read these messages."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.events.actions import SendNotification
from prefect.events.schemas.events import Event
from prefect.server.events.actions import SendNotification as ServerAction
from prefect.server.events.schemas.automations import Automation as ServerAutomation
from prefect.server.events.schemas.events import ReceivedEvent
from prefect.server.utilities.user_templates import render_user_template_sync

from aks_entra.core.planning.rollout import StageResult
from aks_entra.prefect_client import events, notifications
from tests.support.golden_files import approved
from tests.support.happened import RUN, asked, everything
from tests.support.rollouts import CANARY, PLAN

FILES = {one.name: one for one in notifications.in_files()}
OPS, NIGHT = UUID(int=1), UUID(int=2)
CALLED = {OPS: "slack-webhook/ops", NIGHT: "custom-webhook/night", notifications.PLACEHOLDER: "none"}
OTHER_GATES = (events.grant_subject(asked()), events.policy_subject("no-legacy"))
CRASHED = {
    "event": "prefect.flow-run.Crashed",
    "resource": {
        "prefect.resource.id": "prefect.flow-run.4f1c09aa-0620-4cac-958f-90f166743e75",
        "prefect.resource.name": "polar-piculet",
        "prefect.state-message": "no heartbeat for ten minutes",
    },
    "related": [{"prefect.resource.id": "prefect.tag.aks-entra", "prefect.resource.role": "tag"}],
}


def at_server(*sent: Event) -> list[ReceivedEvent]:
    """Events as the server has them: with the flow run that sent them."""
    whole = [one.model_copy(update={"payload": {**one.payload, **RUN}}) for one in sent]
    return [ReceivedEvent.model_validate(one.model_dump(mode="json")) for one in whole]


def received() -> list[ReceivedEvent]:
    """One event of each kind of ours, and one of Prefect's."""
    crash = {**CRASHED, "id": str(uuid4()), "occurred": "2026-11-27T14:00:00Z"}
    return [*at_server(*everything().values()), ReceivedEvent.model_validate(crash)]


def triggered(name: str, happened: list[ReceivedEvent]) -> list[ReceivedEvent]:
    """The events that start an automation, as Prefect's server decides it."""
    automation = ServerAutomation.model_validate({**FILES[name].model_dump(mode="json"), "id": str(uuid4())})
    trigger: Any = automation.trigger
    return [one for one in happened if trigger.covers(one) and trigger.expects(one.event)]


def told(name: str, happened: list[ReceivedEvent]) -> list[tuple[str, str]]:
    """The messages of an automation: what starts it, and the text. Prefect's server renders it."""
    ServerAction._register_filters_if_needed()  # noqa: SLF001 - the server does it before it renders
    shown = []
    for event in triggered(name, happened):
        for action in FILES[name].actions:
            if isinstance(action, SendNotification):
                context = {"event": event, "flow": {"name": "migrate-fleet"}, "flow_run": None}
                parts = [render_user_template_sync(text, context) for text in (action.subject, action.body)]
                shown.append((f"{name}: {event.event}", "\n".join(parts)))
    return shown


def test_golden_messages() -> None:
    others = at_server(*(events.gate_waiting(one, PLAN.digest) for one in OTHER_GATES))
    shown = [one for name in FILES for one in told(name, received())] + told("aks-entra gate waits", others)
    approved("notifications", [(title, text.rstrip()) for title, text in shown])


def test_each_automation_tells_something_and_no_event_starts_two() -> None:
    started = [title.partition(": ") for name in FILES for title, _ in told(name, received())]
    assert {name for name, _, _ in started} == set(FILES) - {"aks-entra dead runs"}
    assert len({event for *_, event in started}) == len(started)


def test_a_message_about_a_gate_has_the_link_and_the_command_and_a_passed_stage_is_no_message() -> None:
    ((_, text),) = told("aks-entra gate waits", received())
    assert RUN["page"] in text
    assert "aks-entra approve 4f1c09aa --plan " in text
    fine = events.stage_ended(PLAN, CANARY, StageResult(go_on=True, failures=0, because=""))
    assert triggered("aks-entra stage failed", received())
    assert triggered("aks-entra stage failed", at_server(fine)) == []


@pytest.mark.parametrize("name", FILES)
def test_each_automation_is_ours_and_switched_on_and_names_no_block_yet(name: str) -> None:
    one = FILES[name]
    assert (one.enabled, one.tags) == (True, [notifications.TAG])
    assert name.startswith("aks-entra ")
    blocks = [action.block_document_id for action in one.actions if isinstance(action, SendNotification)]
    assert set(blocks) <= {notifications.PLACEHOLDER}


def test_each_block_is_told_once_and_other_actions_stay() -> None:
    made = {name: notifications.with_blocks(one, (OPS, NIGHT)) for name, one in FILES.items()}
    for name, one in made.items():
        blocks = [action.block_document_id for action in one.actions if isinstance(action, SendNotification)]
        assert blocks == ([] if name == "aks-entra dead runs" else [OPS, NIGHT])
    assert [action.type for action in made["aks-entra dead runs"].actions] == ["change-flow-run-state"]


def test_a_changed_message_or_trigger_is_a_difference_and_another_order_is_none() -> None:
    one = notifications.with_blocks(FILES["aks-entra drift"], (OPS, NIGHT))
    meant = notifications.as_shown(one, CALLED)
    assert meant.blocks == ("custom-webhook/night", "slack-webhook/ops")
    assert meant.events == ("aks-entra.fleet.drift-found",)
    swapped = notifications.with_blocks(FILES["aks-entra drift"], (NIGHT, OPS))
    assert notifications.as_shown(swapped, CALLED) == meant
    other = one.model_copy(update={"actions": [one.actions[0].model_copy(update={"body": "x"}), one.actions[1]]})
    assert notifications.as_shown(other, CALLED).content != meant.content
    rarer = one.model_copy(update={"trigger": one.trigger.model_copy(update={"threshold": 3})})
    assert notifications.as_shown(rarer, CALLED).content != meant.content
