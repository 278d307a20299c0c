"""Follows a run: how it is, what its batches noted about their clusters, and how far the rollout is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort

from aks_entra.core.durations import stamp
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.rollout.progress import (
    READ,
    BatchProgress,
    BatchSeen,
    ClusterProgress,
    StepProgress,
    StepState,
    leaves_unsaid,
    progress_of,
)
from aks_entra.core.verdict.verdict import Verdict
from aks_entra.prefect_client import migration_records, names
from aks_entra.prefect_client.approvals import Gate, gate_of
from aks_entra.prefect_client.batch_progress import progress_of_batches
from aks_entra.prefect_client.flow_run_list import PAGE, all_runs
from aks_entra.prefect_client.waiting import WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A flow run as an observer sees it. `state` is Prefect's name of its state; `ended` says whether it is final."""

    id: UUID
    name: str
    state: str
    message: str
    ended: bool
    completed: bool
    waits: bool = False  # for a time, without a process; `message` says what it waits for, and until when
    progress: BatchProgress | None = None  # what a batch noted; None before its first note, and for other runs

    @property
    def page(self) -> str:
        """Its page in Prefect's UI."""
        return names.run_page(self.id)

    @property
    def as_batch(self) -> BatchSeen:
        """The run as a batch of a rollout."""
        return BatchSeen(name=self.name, ended=self.state if self.ended else "", progress=self.progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A run at one moment, with its batches, the oldest first.

    `clusters`: what the tasks of the run itself do, as long as it has no plan.
    """

    run: RunView
    gate: Gate | None = None
    batches: tuple[RunView, ...] = ()
    clusters: tuple[ClusterProgress, ...] = ()

    @property
    def steps(self) -> tuple[StepProgress, ...]:
        """The steps that the batches noted, or those of the run itself."""
        noted = (one for batch in self.batches if batch.progress for one in batch.progress.clusters)
        return tuple(step for one in (*self.clusters, *noted) for step in one.steps)


class StoredVerdicts:
    """The stored verdicts of a plan. They are read once, and again when a batch ended without a note of its own."""

    def __init__(self, known: Mapping[str, Verdict] | None = None, plan: str = "") -> None:
        self._known, self._plan = dict(known or {}), plan
        self._read: frozenset[UUID] = frozenset()

    async def with_batches(self, plan: FleetPlan, batches: tuple[RunView, ...]) -> tuple[ClusterProgress, ...]:
        """Return how far each cluster of the plan is, in the order of its stages."""
        unsaid = frozenset(batch.id for batch in batches if leaves_unsaid(batch.as_batch))
        if plan.digest != self._plan or not unsaid <= self._read:
            self._known = await migration_records.verdicts(plan.digest)
            self._plan, self._read = plan.digest, unsaid
        return progress_of(plan, self._known, [batch.as_batch for batch in batches])


async def look_at(run: UUID) -> RunView:
    """Return the state of one run."""
    async with get_client() as client:
        return _view(await client.read_flow_run(run))


async def follow(run: UUID, *, every: float | None = None) -> AsyncGenerator[Snapshot, None]:
    """Yield a snapshot every few seconds until the run ended. Each costs four queries for any fleet size.

    `every`: seconds between two; None: more for a larger fleet.
    """
    async with get_client() as client:
        while True:
            found = await client.read_flow_run(run)
            planned = any(tag.startswith("plan:") for tag in found.tags)
            batches = await batches_of(client, found) if planned else ()
            view = _view(found)
            yield Snapshot(
                run=view,
                gate=await gate_of(client, found),
                batches=batches,
                clusters=() if planned else await _own_tasks(client, run),
            )
            if view.ended:
                return
            clusters = sum(len(batch.progress.clusters) for batch in batches if batch.progress)
            await asyncio.sleep(READ.seconds(clusters) if every is None else every)


async def batches_of(client: PrefectClient, coordinator: FlowRun) -> tuple[RunView, ...]:
    """Return the batches of the coordinator's plans that ran while or after it began, with what they noted."""
    plans = [tag for tag in coordinator.tags if tag.startswith("plan:")]  # several, when clusters moved meanwhile
    found = await all_runs(
        client,
        flow_run_filter=FlowRunFilter(
            tags=FlowRunFilterTags(any_=plans), id=FlowRunFilterId(not_any_=[coordinator.id])
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
    )
    since = coordinator.created
    batches = [
        run
        for run in found
        if names.stage_of(run.tags) is not None
        and (
            since is None
            or run.end_time is None
            or run.end_time > since
            or names.coordinator_tag(coordinator.id) in run.tags
        )
    ]
    noted = await progress_of_batches(client, tuple(one.id for one in batches))
    return tuple(_view(one, noted.get(one.id)) for one in batches)


async def _own_tasks(client: PrefectClient, run: UUID) -> tuple[ClusterProgress, ...]:
    """Return what the newest tasks of a run do, by what they are about, in the order in which they began."""
    found = await client.read_task_runs(
        task_run_filter=TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[run])),
        sort=TaskRunSort.EXPECTED_START_TIME_DESC,
        limit=PAGE,
    )
    steps: dict[str, dict[str, StepProgress]] = {}
    for one in sorted(found, key=lambda one: (one.start_time is None, one.start_time)):
        # `tasks.azure_task` makes the name of the title, this separator and the cluster
        title, _, about = one.name.partition(names.SEPARATOR)
        if about:  # a later run of a step replaces the one of an earlier attempt
            steps.setdefault(about, {})[title] = _step(title, one)
    return tuple(ClusterProgress(cluster=about, key=about, steps=tuple(its.values())) for about, its in steps.items())


def _view(run: FlowRun, progress: BatchProgress | None = None) -> RunView:
    state = run.state
    return RunView(
        id=run.id,
        name=run.name,
        state=(state.name or state.type.value.title()) if state else "Unknown",
        message=(state.message or "") if state else "",
        ended=bool(state and state.is_final()),
        completed=bool(state and state.is_completed()),
        waits=bool(state and state.name == WAITING),
        progress=progress,
    )


def _step(title: str, run: TaskRun) -> StepProgress:
    state = StepState.RUNNING
    if run.state is not None and run.state.is_final():
        state = StepState.DONE if run.state.is_completed() else StepState.FAILED
    return StepProgress(
        title=title,
        began=stamp(run.start_time) if run.start_time else "",
        state=state,
        seconds=run.total_run_time.total_seconds() if state is not StepState.RUNNING else 0.0,
    )
