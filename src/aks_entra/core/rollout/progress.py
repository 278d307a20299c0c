"""How far a rollout is: what each cluster does now, what somebody has to look at, and what is slow.

The batches note what their clusters do, and verdicts are stored. From both this module makes one overview, which says
"without a verdict" where a batch ended and nobody knows how far a cluster came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from statistics import median
from typing import Final

from aks_entra.core.durations import moment
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.rollout.state import counts_against
from aks_entra.core.verdict.verdict import Outcome, Verdict, unstarted

FEW: Final = 20
"""Up to so many clusters each has a line of its own."""
SHOWN: Final = 8
"""Clusters that need somebody and are named on one screen. The others are counted."""
SLOWEST: Final = 5
WITHOUT: Final = "without a verdict"
"""How a cluster is called whose batch ended before its verdict."""
SAMPLES: Final = 3
"""Finished steps with one title from which their usual duration is known."""
TIMES_THE_USUAL: Final = 2.0
"""A step that takes more than so many times its usual duration is slow."""
NOTICED: Final = 60.0
"""Seconds. A step that is shorter is not slow: twice half a second is nobody's concern."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often something is done for a fleet: every `least` to `most` seconds, and less often for more clusters."""

    least: float
    most: float
    for_each: float

    def seconds(self, clusters: int) -> float:
        """Return the seconds between two times."""
        return min(max(self.least, self.for_each * clusters), self.most)


READ: Final = Rhythm(2.0, 15.0, 0.01)
"""How often a command reads the progress of a run."""
NOTE: Final = Rhythm(1.0, 20.0, 0.02)
"""How often a batch notes its progress, at most."""
PAGE: Final = Rhythm(10.0, 60.0, 0.05)
"""How often a coordinator renews its page, at most."""
LINE: Final = Rhythm(0.0, 30.0, 30.0 / FEW)
"""How often a log gets a line about a fleet of more than `FEW` clusters."""


class StepState(StrEnum):
    """How a step is. A step that was stopped did not end by itself."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgress:
    """A part of a step with its title in Prefect's UI. `began` is ISO 8601; `seconds` is 0 while it runs."""

    title: str
    began: str
    state: StepState = StepState.RUNNING
    seconds: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether it does not run any more."""
        return self.state is not StepState.RUNNING

    def lasts(self, now: datetime) -> float:
        """Return for how many seconds it has run, or ran."""
        return self.seconds if self.ended or not self.began else max((now - moment(self.began)).total_seconds(), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterProgress:
    """How far one cluster is. `cluster` is its name for people, and `key` its ARM id in lower case.

    `outcome` is None before its verdict. `lost`: its batch ended without a verdict. `planned`: the plan itself refused
    or skipped it. `counts_against`: it counts against the failure budget of its stage.
    """

    cluster: str
    key: str = ""
    steps: tuple[StepProgress, ...] = ()
    outcome: Outcome | None = None
    because: str = ""
    counts_against: bool = False
    lost: bool = False
    planned: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it in its batch."""
        return self.outcome is not None or self.lost

    @property
    def running(self) -> StepProgress | None:
        """The step that runs, or None."""
        return next((step for step in reversed(self.steps) if not step.ended), None) if not self.ended else None

    @property
    def verdict(self) -> str:
        """The verdict in a word. Empty before it."""
        return WITHOUT if self.lost else str(self.outcome or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProgress:
    """What a batch notes about its clusters, with the digest of their plan."""

    plan: str
    clusters: tuple[ClusterProgress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSeen:
    """A batch as an observer sees it. `ended` is the name of its final state, or empty."""

    name: str
    ended: str = ""
    progress: BatchProgress | None = None


def with_verdict(progress: ClusterProgress, plan: FleetPlan, verdict: Verdict) -> ClusterProgress:
    """Return the progress of a cluster of the plan that has its verdict now."""
    own = plan.plan_for(verdict.cluster)
    return replace(
        progress,
        outcome=verdict.outcome,
        because=next(iter(verdict.because), ""),
        counts_against=counts_against(own, verdict),
        planned=unstarted(own) is not None,
    )


def progress_of(
    plan: FleetPlan, known: Mapping[str, Verdict], batches: Iterable[BatchSeen]
) -> tuple[ClusterProgress, ...]:
    """Return how far each cluster of the plan is, in the order of its stages.

    Args:
        plan: what the rollout carries out. Notes of other plans do not count.
        known: stored verdicts by `ClusterId.key`.
        batches: the oldest first. The newest one that worked on a cluster says how far it is.
    """
    noted: dict[str, tuple[BatchSeen, ClusterProgress]] = {}
    for batch in batches:
        if batch.progress is not None and batch.progress.plan == plan.digest:
            noted.update((one.key, (batch, one)) for one in batch.progress.clusters)
    nobody = BatchSeen(name="")
    found = []
    for cluster in (member for stage in plan.stages for member in stage.members):
        bare = ClusterProgress(cluster=str(cluster), key=cluster.key)
        batch, said = noted.get(cluster.key, (nobody, bare))
        verdict = unstarted(plan.plan_for(cluster)) or known.get(cluster.key)
        at_work = batch is not nobody and not batch.ended
        if said.outcome is None and verdict is not None and not at_work:
            said = with_verdict(said, plan, verdict)
        elif said.outcome is None and batch.ended:
            why = f"its batch {batch.name} ended {batch.ended}"
            said = replace(said, because=why, lost=True, counts_against=True)
        found.append(said)
    return tuple(found)


def leaves_unsaid(batch: BatchSeen) -> bool:
    """Whether a batch ended without a note of each verdict: then the stored ones have to be read."""
    return bool(batch.ended) and (batch.progress is None or any(one.outcome is None for one in batch.progress.clusters))


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A cluster with the step that it is at. Spans are seconds. `usual`: None if it is not known yet."""

    cluster: str
    title: str
    since: str
    seconds: float
    usual: float | None = None

    @property
    def slow(self) -> bool:
        """Whether the step takes much longer than it usually does in this rollout."""
        return self.usual is not None and self.seconds > max(TIMES_THE_USUAL * self.usual, NOTICED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageProgress:
    """How many clusters of a stage have ended."""

    name: str
    ended: int
    clusters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A rollout on one screen. `verdicts` begins with the worst, and `steps` are in the order of a migration.

    `attention`: the clusters that somebody has to look at, the worst first. `running`: the slowest first.
    """

    clusters: int
    ended: int
    verdicts: tuple[tuple[str, int], ...]
    under_way: int
    waiting: int
    steps: tuple[tuple[str, int], ...]
    stages: tuple[StageProgress, ...]
    attention: tuple[ClusterProgress, ...]
    running: tuple[Running, ...]

    @property
    def percent(self) -> int:
        """How many of a hundred clusters have ended. It is 100 only if all have."""
        return 100 * self.ended // self.clusters if self.clusters else 100

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        """Return how many clusters have each verdict, are under way, and wait. Zeros are left out."""
        rest = (("under way", self.under_way), ("waiting", self.waiting))
        return (*self.verdicts, *(one for one in rest if one[1]))


WORST_FIRST: Final = (
    Outcome.FAILED.value,
    WITHOUT,
    Outcome.NOT_VERIFIED.value,
    Outcome.REFUSED.value,
    Outcome.SKIPPED.value,
    Outcome.VERIFIED.value,
)


def overview(plan: FleetPlan, clusters: Sequence[ClusterProgress], now: datetime) -> Overview:
    """Return the overview of a rollout whose clusters are as `progress_of` returns them."""
    verdicts = Counter(one.verdict for one in clusters if one.ended)
    under_way = [one for one in clusters if not one.ended and one.steps]
    against = [one for one in clusters if one.ended and one.counts_against]
    stages, rest = [], iter(clusters)
    for stage in plan.stages:
        ended = sum(next(rest).ended for _ in stage.members)
        stages.append(StageProgress(name=stage.name, ended=ended, clusters=len(stage.members)))
    return Overview(
        clusters=len(clusters),
        ended=verdicts.total(),
        verdicts=tuple((word, verdicts[word]) for word in WORST_FIRST if verdicts[word]),
        under_way=len(under_way),
        waiting=len(clusters) - verdicts.total() - len(under_way),
        steps=_steps(under_way),
        stages=tuple(stages),
        attention=tuple(sorted(against, key=lambda one: WORST_FIRST.index(one.verdict))),
        running=_running(clusters, now),
    )


def _steps(under_way: Iterable[ClusterProgress]) -> tuple[tuple[str, int], ...]:
    """Return how many clusters are at each step. A step comes after all that came before it on one cluster."""
    counted: Counter[str] = Counter()
    places: dict[str, int] = {}
    for one in under_way:
        step = one.running or one.steps[-1]
        counted[step.title] += 1
        places[step.title] = max(places.get(step.title, 0), len(one.steps))
    return tuple((title, counted[title]) for title in sorted(counted, key=lambda title: (places[title], title)))


def seconds_of_steps(clusters: Iterable[ClusterProgress]) -> dict[str, tuple[float, ...]]:
    """Return how long steps took in this rollout, by their titles. Those with fewer than `SAMPLES` are left out."""
    took: dict[str, list[float]] = {}
    for one in clusters:
        for step in one.steps:
            if step.state is StepState.DONE:
                took.setdefault(step.title, []).append(step.seconds)
    return {title: tuple(seconds) for title, seconds in took.items() if len(seconds) >= SAMPLES}


def _running(clusters: Sequence[ClusterProgress], now: datetime) -> tuple[Running, ...]:
    """Return the running steps: first those that are slow, then the others, the longest first."""
    usual = {title: median(seconds) for title, seconds in seconds_of_steps(clusters).items()}
    found = [
        Running(
            cluster=one.cluster,
            title=step.title,
            since=step.began,
            seconds=step.lasts(now),
            usual=usual.get(step.title),
        )
        for one in clusters
        if (step := one.running) is not None
    ]
    return tuple(sorted(found, key=lambda one: (not one.slow, -one.seconds, one.cluster)))
