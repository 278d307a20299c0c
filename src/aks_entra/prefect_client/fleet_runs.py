"""The runs of a deployed fleet: one migration at a time, and the event that asks for a run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import FlowRunContext
from prefect.events.schemas.events import Event, Resource

from aks_entra.errors import Refused
from aks_entra.fleet_file.runs import RequestFile
from aks_entra.prefect_client import events, names
from aks_entra.prefect_client.deployments import DEPLOY_ALL, read_deployment
from aks_entra.prefect_client.flow_run_list import all_runs
from aks_entra.prefect_client.liveness import LIVE_STATES, Liveness, liveness_of

_DEPLOY_FLEET: Final = "deploy the fleet: aks-entra deploy FLEET.yaml"
_EVERY: Final = 0.5  # seconds
_NEWEST: Final = 50  # runs: more do not begin within the time that a request is followed


class FleetBusy(Refused):
    """Another migration of the fleet is not over. `scheduled`: a schedule started this run, and nobody waits for it."""

    scheduled = False


async def require_only_migration() -> None:
    """Raise FleetBusy if another migration of the present run's fleet is not over. The one that began first goes on.

    A deployment's own concurrency limit cannot do this: a run that waits at its gate holds no place there, and would
    have to get one again after its approval. Runs that no fleet's deployment started are not restricted.
    """
    context = FlowRunContext.get()
    own = context.flow_run if context is not None else None
    fleet = names.fleet_of(own.tags) if own is not None else None
    if own is None or fleet is None:
        return
    async with get_client() as client:
        own = await client.read_flow_run(own.id)
        before = [
            one for one in await unfinished(client, fleet) if one[0].id != own.id and _since(one[0]) < _since(own)
        ]
    if before:
        error = busy(fleet, *before[0])
        error.scheduled = own.auto_scheduled
        raise error


async def require_idle(fleet: str) -> None:
    """Raise FleetBusy if a migration of the fleet is not over."""
    async with get_client() as client:
        for run, alive in await unfinished(client, fleet):
            raise busy(fleet, run, alive)


async def begun_and_not_over(client: PrefectClient, deployment: UUID) -> list[FlowRun]:
    """Return the runs of a deployment that began and are not over, dead ones included: they can be resumed."""
    runs = await all_runs(
        client,
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
        flow_run_filter=FlowRunFilter(state=_not_over()),
    )
    return [run for run in runs if run.start_time is not None]


async def unfinished(client: PrefectClient, fleet: str) -> list[tuple[FlowRun, Liveness]]:
    """Return the migrations of a fleet that began and are not over, the oldest first. Dead runs do not count."""
    runs = await all_runs(
        client,
        flow_filter=FlowFilter(name=FlowFilterName(any_=[names.COORDINATOR])),
        flow_run_filter=FlowRunFilter(
            tags=FlowRunFilterTags(all_=[names.fleet_tag(fleet)]),
            state=_not_over(),
        ),
    )
    begun = [(run, await liveness_of(client, run)) for run in runs if run.start_time is not None]
    return sorted((one for one in begun if one[1] is not Liveness.DEAD), key=lambda one: _since(one[0]))


def _not_over() -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=list(LIVE_STATES)))


def _since(run: FlowRun) -> tuple[datetime, UUID]:
    return run.start_time or datetime.max.replace(tzinfo=UTC), run.id


def busy(fleet: str, run: FlowRun, alive: Liveness) -> FleetBusy:
    """Return the error that says what the older run does, and how to go on."""
    state = run.state
    doing = "runs"
    remedy = f"follow it: aks-entra migrate --follow {str(run.id)[:8]}"
    if alive is Liveness.SILENT:
        doing = "was not heard of for some minutes"
        remedy = f"continue it: aks-entra migrate --resume {str(run.id)[:8]}"
    elif state is not None and state.is_paused():
        doing = "waits at its gate"
        remedy = f"decide at its gate (aks-entra gates lists it), or end it: aks-entra stop {str(run.id)[:8]}"
    elif state is not None and state.is_scheduled():
        doing = state.message or "waits"
        remedy = f"wait for it, or end it: aks-entra stop {str(run.id)[:8]}"
    return FleetBusy(f"run {run.name} ({str(run.id)[:8]}) of fleet {fleet} {doing}", remedy=remedy)


def requested() -> str:
    """Return what the request for the present run says about it, for people. Empty for a run that nobody requested."""
    context = FlowRunContext.get()
    said = (context.parameters or {}).get("request") if context is not None else None
    return str(RequestFile.model_validate(said)) if said else ""


def requested_deployment(fleet: str, run: str, *, with_content: bool) -> str:
    """Return the deployment that a request starts. `with_content`: the event brings the fleet."""
    return names.ON_REQUEST if with_content else names.fleet_deployment(run, fleet)


async def request(fleet: str, run: str, payload: Mapping[str, Any]) -> UUID:
    """Send the event that asks for a run of a deployed fleet. Returns the event's id.

    Raises:
        Refused: the fleet has no deployment of that kind, no event starts it, or it is paused.
    """
    name = requested_deployment(fleet, run, with_content=False)
    async with get_client() as client:
        await _require_trigger(client, await _deployment(client, name), name, events.REQUESTED[run])
        return await _emit(client, events.REQUESTED[run], events.fleet_id(fleet), payload)


async def request_with_content(fleet: str, payload: Mapping[str, Any]) -> UUID:
    """Send the event that starts `migrate-fleet/on-request`; `payload` contains the fleet. Returns the event's id."""
    async with get_client() as client:
        event = events.REQUESTED["migrate"]
        await _require_trigger(client, await _deployment(client, names.ON_REQUEST), names.ON_REQUEST, event)
        return await _emit(client, event, f"aks-entra.fleet.{fleet}", payload)


async def runs_begun(deployment: str) -> frozenset[UUID]:
    """Return the newest runs of a deployment that no schedule started."""
    async with get_client() as client:
        return frozenset(run.id for run in await _newest(client, deployment))


async def await_run(deployment: str, known: frozenset[UUID], ticket: str, *, seconds: float) -> FlowRun | None:
    """Return the run that a request started, or None if none was seen in time.

    `known`: the runs that were there before. `ticket`: the one of the request.
    """
    try:
        async with asyncio.timeout(seconds), get_client() as client:
            while True:
                for run in await _newest(client, deployment):
                    asked = run.parameters.get("request") or {}
                    if run.id not in known and asked.get("ticket", ticket) == ticket:
                        return run
                await asyncio.sleep(_EVERY)
    except TimeoutError:
        return None


async def _newest(client: PrefectClient, deployment: str) -> list[FlowRun]:
    found = await _deployment(client, deployment)
    runs = await client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[found.id])),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=_NEWEST,
    )
    return [run for run in runs if not run.auto_scheduled]


async def _deployment(client: PrefectClient, name: str) -> DeploymentResponse:
    return await read_deployment(client, name, remedy=DEPLOY_ALL if name == names.ON_REQUEST else _DEPLOY_FLEET)


async def _require_trigger(client: PrefectClient, found: DeploymentResponse, name: str, event: str) -> None:
    """Raise Refused if no automation would start the deployment on the event."""
    starting = await client.read_resource_related_automations(f"prefect.deployment.{found.id}")
    own = [one for one in starting if event in getattr(one.trigger, "expect", ())]
    if not own:
        raise Refused(
            f"no event starts {name}",
            remedy=DEPLOY_ALL
            if name == names.ON_REQUEST
            else "write `on_event: true` in the file's `runs`, and deploy it again",
        )
    if not any(one.enabled for one in own):
        raise Refused(f"the automation {own[0].name} is switched off", remedy="switch it on in Prefect's UI")


async def _emit(client: PrefectClient, event: str, resource: str, payload: Mapping[str, Any]) -> UUID:
    asked = Event(event=event, resource=Resource({"prefect.resource.id": resource}), payload=dict(payload))
    await events.send(client, asked)
    return asked.id
