"""Starting and following flow runs by the names of their deployments, and resuming what died."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, TaskRun, WorkerStatus
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort
from prefect.deployments import arun_deployment
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from aks_entra.errors import Refused
from aks_entra.prefect_client import names
from aks_entra.prefect_client.approvals import Gate, gate_of
from aks_entra.prefect_client.claims import free
from aks_entra.prefect_client.life import LIVE_STATES, Life, bury, life
from aks_entra.prefect_client.waiting import WAITING

PAGE: Final = 200
TAG: Final = "aks-entra"
EVERY: Final = 2.0
"""Seconds between two looks at Prefect's server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A flow run as far as an onlooker cares. `state` is Prefect's name for it; `ended` whether it is final."""

    id: UUID
    name: str
    state: str
    message: str
    ended: bool
    completed: bool
    waits: bool = False  # for a time, without a process; `message` says for which and until when

    @property
    def page(self) -> str:
        """Its page in Prefect's UI."""
        return names.run_page(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """A task run: which step of which cluster, how it stands, since when and until when."""

    id: UUID
    flow_run: UUID | None
    step: str
    cluster: str
    state: str
    ended: bool
    completed: bool
    began: datetime | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How a migration stands at one moment."""

    run: RunView
    gate: Gate | None = None
    batches: tuple[RunView, ...] = ()
    steps: tuple[StepView, ...] = ()


async def require_server() -> str:
    """The API's address. Refused, with the command to type, when none is configured or none answers."""
    url = get_current_settings().api.url
    if not url:
        raise Refused(
            "no Prefect API is configured",
            remedy="start one here with `aks-entra up` (or use `--local`), or set PREFECT_API_URL",
        )
    async with get_client() as client:
        trouble = await client.api_healthcheck()
    if trouble is not None:
        raise Refused(
            f"no Prefect server answers at {url} ({type(trouble).__name__})",
            remedy="start it (`aks-entra up`, `prefect server start`), or correct PREFECT_API_URL",
        )
    return url


async def require_online(deployment: str = names.MIGRATE_FLEET) -> None:
    """Refused, with the command to type, unless an API, the deployment and an online worker are there."""
    url = await require_server()
    try:
        async with get_client() as client:
            found = await client.read_deployment_by_name(deployment)
            pool = found.work_pool_name or names.WORK_POOL
            workers = await client.read_workers_for_work_pool(pool)
    except ObjectNotFound:
        raise Refused(
            f"the Prefect server at {url} has no deployment {deployment}", remedy="prefect deploy --all"
        ) from None
    if not any(worker.status is WorkerStatus.ONLINE for worker in workers):
        raise Refused(
            f"no worker of pool {pool} is online", remedy=f"prefect worker start --pool {pool} --type process"
        )


async def start(
    deployment: str, parameters: Mapping[str, Any], *, digest: str | None = None, name: str | None = None
) -> FlowRun:
    """Start a deployment; with a digest under the plan's tag."""
    tags = [TAG, *([names.plan_tag(digest)] if digest else [])]
    async with get_client() as client:
        found = await client.read_deployment_by_name(deployment)
        return await client.create_flow_run_from_deployment(found.id, parameters=dict(parameters), tags=tags, name=name)


async def start_migration(digest: str) -> FlowRun:
    """Start a coordinator for a stored plan. Refused while another one carries it out."""
    async with get_client() as client:
        for run in await runs_of(client, digest, coordinators=True, live=True):
            raise Refused(
                f"plan {names.short(digest)} is being carried out by run {run.name} ({run.id})",
                remedy=f"follow it: {names.run_page(run.id)}; if its machine died: aks-entra migrate --resume "
                f"{str(run.id)[:8]}",
            )
    return await start(names.MIGRATE_FLEET, {"plan": digest}, digest=digest)


async def start_fleet(fleet: Mapping[str, Any]) -> FlowRun:
    """Start a coordinator that plans a fleet first; `fleet` is a fleet file's content."""
    return await start(names.MIGRATE_FLEET, {"fleet": dict(fleet)})


async def look_at(run: UUID) -> RunView:
    """How one run stands."""
    async with get_client() as client:
        return _view(await client.read_flow_run(run))


async def tag_run(run: UUID, digest: str) -> None:
    """Put the plan's tag on a run that was started before its plan was known."""
    async with get_client() as client:
        found = await client.read_flow_run(run)
        await client.update_flow_run(run, tags={*found.tags, TAG, names.plan_tag(digest)})


async def began(run: UUID) -> str:
    """When a run began for the first time, ISO 8601."""
    async with get_client() as client:
        found = await client.read_flow_run(run)
    return (found.start_time or found.created or datetime.now(UTC)).isoformat()


async def start_batch(
    digest: str, stage: str, batch: tuple[int, int], members: tuple[str, ...], coordinator: UUID
) -> FlowRun:
    """Start a batch of a stage, or find the one that runs already: its key is digest, stage, batch and attempt.

    `batch`: its number, and how many there are. The attempt counts the batches of *other* coordinators that ended, and
    own ones that a window cut short: a coordinator that runs from the top again finds its own batch, a new one finds
    an orphan that still lives, and starts anew after one that died.
    """
    number, count = batch
    own = names.coordinator_tag(coordinator)
    async with get_client() as client:
        batches = await runs_of(client, digest, stage=stage, batch=number)
    over = [run for run in batches if run.state and run.state.is_final()]
    ended = [run for run in over if own not in run.tags or (run.state and run.state.name == names.WINDOW_CLOSED)]
    which = f"{stage} {number} of {count}" if count > 1 else stage
    return await arun_deployment(
        names.MIGRATE_BATCH,
        parameters={"plan": digest, "stage": stage, "members": list(members)},
        timeout=0,
        idempotency_key=f"{digest}-{stage}-{number}-{len(ended) + 1}",
        flow_run_name=f"{which} · plan {names.short(digest)} · attempt {len(ended) + 1}",
        tags=[TAG, names.plan_tag(digest), names.stage_tag(stage), names.batch_tag(number), own],
        as_subflow=True,
    )


async def await_end(run: UUID, *, every: float) -> FlowRun:
    """Follow one run with one query per look until it ended; one whose process is gone is put to rest as Crashed."""
    async with get_client() as client:
        while True:
            found = await client.read_flow_run(run)
            if found.state is not None and found.state.is_final():
                if found.state.is_crashed():
                    await free(client, (found.id,))
                return found
            if await life(client, found) is Life.DEAD:
                await bury(client, (found,))
            else:
                await asyncio.sleep(every)


async def follow(run: UUID, *, every: float = EVERY) -> AsyncIterator[Snapshot]:
    """A snapshot now and then until the run ended: three or four queries each, however many clusters.

    Steps are those of a coordinator's batches, or of the run itself before it has a plan (or if it never has one).
    """
    steps: dict[UUID, StepView] = {}
    async with get_client() as client:
        while True:
            found = await client.read_flow_run(run)
            plans = [tag for tag in found.tags if tag.startswith("plan:")]  # several, when clusters moved meanwhile
            batches = await _batches(client, plans, found) if plans else ()
            working = tuple(batch.id for batch in batches) if plans else (run,)
            steps = {id_: step for id_, step in steps.items() if step.flow_run in working}
            for one in await _recent_steps(client, working, steps):
                steps[one.id] = one
            view = _view(found)
            yield Snapshot(
                run=view,
                gate=await gate_of(client, found),
                batches=tuple(_view(batch) for batch in batches),
                steps=tuple(steps.values()),
            )
            if view.ended:
                return
            await asyncio.sleep(every)


async def find_run(name: str) -> FlowRun:
    """A coordinator by the beginning of its id, or by its name. Refused when none, or several."""
    async with get_client() as client:
        found = await client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[names.COORDINATOR])),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=PAGE,
        )
    matching = [run for run in found if str(run.id).startswith(name.lower()) or run.name == name]
    if len(matching) == 1:
        return matching[0]
    problem = "no run" if not matching else f"{len(matching)} runs"
    raise Refused(
        f"{problem} of {names.COORDINATOR} is called, or begins with, {name!r}", remedy="copy the id from Prefect's UI"
    )


async def resume(run: str, digest: str) -> FlowRun:
    """Put dead runs of a plan to rest and start a new coordinator. Refused while the old one lives or waits.

    A batch that still lives is left alone: the new coordinator finds and follows it.
    """
    async with get_client() as client:
        dead = []
        for one in await runs_of(client, digest, live=True):
            state = await life(client, one)
            if state is Life.DEAD:
                dead.append(one)
            elif names.stage_of(one.tags) is None:
                waits = one.state is not None and one.state.is_paused()
                how = "waiting at its gate" if waits else str(state)
                if one.state is not None and one.state.name == WAITING:
                    how = f"fine ({one.state.message})"
                raise Refused(
                    f"run {one.name} ({one.id}) is {how}: nothing to resume",
                    remedy=f"aks-entra approve {str(one.id)[:8]} --plan {names.short(digest)} --reason …"
                    if waits
                    else f"follow it: {names.run_page(one.id)}",
                )
        await bury(client, tuple(dead))
        crashed = [one.id for one in await runs_of(client, digest) if one.state and one.state.is_crashed()]
        await free(client, tuple(crashed))
    return await start(names.MIGRATE_FLEET, {"plan": digest}, digest=digest, name=f"resumes {run[:8]}")


async def runs_of(
    client: PrefectClient,
    digest: str,
    *,
    stage: str | None = None,
    batch: int | None = None,
    coordinators: bool = False,
    live: bool = False,
) -> list[FlowRun]:
    """The runs that carry out a plan: batches of a stage, coordinators only, or all; `live`: those not yet final."""
    tags = [names.plan_tag(digest)]
    tags += [names.stage_tag(stage)] if stage else []
    tags += [names.batch_tag(batch)] if batch else []
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(LIVE_STATES))) if live else None
    found = await client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[names.COORDINATOR])) if coordinators else None,
        flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=tags), state=state),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=PAGE,
    )
    return list(found)


async def _batches(client: PrefectClient, plans: list[str], coordinator: FlowRun) -> tuple[FlowRun, ...]:
    """The batches of the coordinator's plans (their tags) that ran beside it or after it began."""
    found = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            tags=FlowRunFilterTags(any_=plans), id=FlowRunFilterId(not_any_=[coordinator.id])
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=PAGE,
    )
    since = coordinator.created
    return tuple(
        run
        for run in found
        if names.stage_of(run.tags) is not None
        and (
            since is None
            or run.end_time is None
            or run.end_time > since
            or names.coordinator_tag(coordinator.id) in run.tags
        )
    )


async def _recent_steps(
    client: PrefectClient, flow_runs: tuple[UUID, ...], known: Mapping[UUID, StepView]
) -> list[StepView]:
    """Task runs from the newest back, until a page holds nothing but steps that are known to have ended."""
    changed: list[StepView] = []
    for offset in range(0, 10**6, PAGE):
        if not flow_runs:
            break
        page = await client.read_task_runs(
            task_run_filter=TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=list(flow_runs))),
            sort=TaskRunSort.EXPECTED_START_TIME_DESC,
            limit=PAGE,
            offset=offset,
        )
        fresh = [_step(one) for one in page if one.id not in known or not known[one.id].ended]
        changed += fresh
        if len(page) < PAGE or not fresh:
            break
    return changed


def _view(run: FlowRun) -> RunView:
    state = run.state
    return RunView(
        id=run.id,
        name=run.name,
        state=(state.name or state.type.value.title()) if state else "Unknown",
        message=(state.message or "") if state else "",
        ended=bool(state and state.is_final()),
        completed=bool(state and state.is_completed()),
        waits=bool(state and state.name == WAITING),
    )


def _step(run: TaskRun) -> StepView:
    step, _, cluster = run.name.partition(names.SEPARATOR)
    state = run.state
    return StepView(
        id=run.id,
        flow_run=run.flow_run_id,
        step=step,
        cluster=cluster,
        state=(state.name or state.type.value.title()) if state else "Unknown",
        ended=bool(state and state.is_final()),
        completed=bool(state and state.is_completed()),
        began=run.start_time,
        seconds=run.total_run_time.total_seconds() if run.end_time else run.estimated_run_time.total_seconds(),
    )
