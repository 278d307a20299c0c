"""The course of a rollout in one scenario: its stages one after the other, with their gates, windows and clusters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import in_words, moment
from aks_entra.core.estimate.durations import Durations, Span
from aks_entra.core.estimate.limits import SHARE, Limit
from aks_entra.core.estimate.model import AtWork, Binding, StageTime
from aks_entra.core.estimate.requests import requests_of
from aks_entra.core.estimate.schedule import Buckets, Part, Slot, ends_at
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.planning.gates import Gate, Side, opening
from aks_entra.core.planning.plan import ClusterPlan, FleetPlan
from aks_entra.core.planning.rollout import Stage
from aks_entra.core.steps import KINDS, ProveSignIn, RecordBaseline, RotateCertificates, Step, VerifyOutcome

Scenario: TypeAlias = Literal["low", "likely", "high"]
"""A field of `Span`."""

ROTATION: Final[tuple[Step, ...]] = (
    ProveSignIn(admin_groups=()),
    RecordBaseline(hold_credential=False),
    RotateCertificates(ca_before=""),
    VerifyOutcome(rotated=True),
)
"""The steps of a cluster whose rotation follows after a soak, as far as they take time."""
LIMIT_BINDS: Final = 1.5
"""A request limit binds if with it a stage takes more than this many times as long as without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What is known of a rollout. `openings` keeps what was searched, because many clusters begin at one moment."""

    plan: FleetPlan
    now: datetime
    ended: frozenset[str]
    at_work: Mapping[str, AtWork]
    reached: Mapping[tuple[str, Side], datetime]
    durations: Durations
    request_rate: float
    openings: dict[tuple[Gate, tuple[MaintenanceWindow, ...], float], float | None] = field(default_factory=dict)

    def begun(self, stage: Stage) -> bool:
        """Whether a cluster of the stage has begun, so that the gate before it is passed."""
        return any(member.key in self.ended or member.key in self.at_work for member in stage.members)

    def opens(self, windows: Gate, maintenance: tuple[MaintenanceWindow, ...], seconds: float) -> float | None:
        """Return when a cluster may begin, at a moment or later. Returns None if never within two months."""
        key = (windows, maintenance, seconds)
        if key not in self.openings:
            at = self.now + timedelta(seconds=seconds)
            found = opening(windows, reached=at, now=at, maintenance=(maintenance,) if maintenance else ())
            self.openings[key] = seconds + (found.at - at).total_seconds() if found else None
        return self.openings[key]

    def left(self, plan: ClusterPlan) -> Work | None:
        """Return what is left to do on a cluster, or None if nothing is."""
        if plan.disposition != "migrate" or plan.cluster.key in self.ended:
            return None
        steps, doing = plan.steps, self.at_work.get(plan.cluster.key)
        spans = [self.durations.of(step, tier=plan.tier) for step in steps]
        if doing is not None:
            titles = [KINDS[type(step)].title for step in steps]
            place = titles.index(doing.title) if doing.title in titles else len(steps) - 1
            steps, spans = steps[place:], spans[place:]
            spans[0] = spans[0].less((self.now - doing.since).total_seconds())
        return Work(
            cluster=plan.cluster,
            steps=steps,
            spans=tuple(spans),
            windows=plan.maintenance_windows,
            running=doing is not None,
        )

    def rotation(self, plan: ClusterPlan) -> Work:
        """Return a cluster's rotation after the soak."""
        spans = tuple(self.durations.of(step, tier=plan.tier) for step in ROTATION)
        return Work(cluster=plan.cluster, steps=ROTATION, spans=spans, windows=plan.maintenance_windows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is left to do on one cluster: its steps, and how long each takes.

    `running`: it has begun, so the first step has sent its requests. `windows` is None if they could not be read.
    """

    cluster: ClusterId
    steps: tuple[Step, ...]
    spans: tuple[Span, ...]
    windows: tuple[MaintenanceWindow, ...] | None = ()
    running: bool = False

    @property
    def requests(self) -> Iterator[Mapping[Limit, int]]:
        """What each step sends before it takes its time."""
        for place, step in enumerate(self.steps):
            if place:
                yield requests_of(step)
            else:
                yield {} if self.running else Counter(requests_of(None)) + Counter(requests_of(step))

    def parts(self, scenario: Scenario, scarce: Collection[Limit]) -> Iterator[Part]:
        """Yield its work in one scenario, cut where it sends requests that a scarce limit counts."""
        seconds, sends = 0.0, dict[Limit, int]()
        for span, requests in zip(self.spans, self.requests, strict=True):
            counted = {limit: number for limit, number in requests.items() if limit in scarce}
            if counted:
                yield Part(seconds, sends)
                seconds, sends = 0.0, counted
            seconds += getattr(span, scenario)
        yield Part(seconds, sends)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A stage in one scenario: its seconds of work, and of waits. The spans of `time` are empty."""

    time: StageTime
    work: float
    waits: float


@dataclass(frozen=True, slots=True)
class _Wait:
    """A wait of a gate, or until a window opens. `words`: what is waited for."""

    seconds: float
    binds: Binding
    words: str


class Course:
    """The stages of a rollout in one scenario. `at` is when the last one ends, in seconds from now."""

    def __init__(self, rollout: Rollout, scenario: Scenario) -> None:
        self._rollout = rollout
        self._scenario = scenario
        self.at = 0.0
        self.passed: list[Passed] = []
        plan, ends = rollout.plan, {stage.name: self._ended(stage) for stage in rollout.plan.stages}
        begun = [place for place, stage in enumerate(plan.stages) if rollout.begun(stage)]
        for stage in plan.stages[max(begun, default=0) :]:
            works = [work for member in stage.members if (work := rollout.left(plan.plan_for(member)))]
            self._stage(stage, stage.name, works)
            if works:
                ends[stage.name] = self.at
        if plan.rotation is not None:
            self._rotations(plan.rotation.after, plan.rotation.before, ends)

    def _rotations(self, soak: int, gate: Gate, ends: Mapping[str, float]) -> None:
        """Pass the rotations that the stages leave owed: each begins when its stage ended a soak ago."""
        plan = self._rollout.plan
        owing = {one.cluster.key for one in plan.clusters if one.disposition == "migrate" and one.rotation_planned}
        for stage in plan.stages:
            mine = stage.only(owing, gate_before=replace(gate, wait=0))
            works = [self._rollout.rotation(plan.plan_for(member)) for member in mine.members]
            wait = max(0.0, ends[stage.name] + soak - self.at)
            if works:
                soaked = _Wait(wait, Binding.WAIT, f"soak of {in_words(soak)}")
                self._stage(mine, f"{stage.name}, rotation", works, soaked=soaked)

    def _stage(self, stage: Stage, name: str, works: list[Work], *, soaked: _Wait | None = None) -> None:
        """Pass a stage: its gates, and its clusters in turns."""
        rollout, windows, unknown = self._rollout, _windows(stage), list[str]()
        before = None if rollout.begun(stage) and soaked is None else stage.gate("before")
        after = stage.gate("after")
        if not works and (after is None or not rollout.begun(stage)):
            return
        unread = sum(work.windows is None for work in works) if windows.maintenance_window else 0
        if unread:
            counted = f"{unread} cluster{'' if unread == 1 else 's'} of stage {name}"
            unknown.append(f"the maintenance windows of {counted}, which were not read")
        waits = [soaked] if soaked else []
        self.at += sum(wait.seconds for wait in waits)
        waited, unsure = self._gate(stage.name, "before", before, works)
        bare = work = self._turns(stage, works) or 0.0
        buckets, scarce = Buckets(rollout.request_rate), self._scarce(works)
        if scarce:
            work = self._turns(stage, works, buckets=buckets, scarce=scarce) or 0.0
        turned: float | None = work
        if windows.timed:
            again = Buckets(rollout.request_rate)
            turned = self._turns(stage, works, windows=windows, buckets=again, scarce=scarce)
        if turned is None:
            turned, unsure = work, [*unsure, _never(stage.name)]
        if turned > work:
            waited.append(_Wait(turned - work, Binding.WINDOW, windows.conditions[-1]))
        self.at += max(work, turned)
        waits += waited
        unknown += unsure
        waited, unsure = self._gate(stage.name, "after", after, works)
        waits += waited
        unknown += unsure
        self.passed.append(
            Passed(
                work=work,
                waits=sum(wait.seconds for wait in waits),
                time=StageTime(
                    name=name,
                    clusters=len(works),
                    at_a_time=_at_a_time(stage, works),
                    work=Span(),
                    waits=Span(),
                    approvals=sum(gate is not None and gate.approval for gate in (before, after)),
                    unknown=tuple(dict.fromkeys(unknown)),
                    **_binds(work, waits, buckets.slowest if work > LIMIT_BINDS * bare else None, self._longest(works)),
                ),
            )
        )

    def _gate(self, stage: str, side: Side, gate: Gate | None, works: list[Work]) -> tuple[list[_Wait], list[str]]:
        """Wait at a gate, without its approval. Returns the waits, and what is not known of them."""
        unsure = [f"how long callers with old credentials go on before stage {stage}"] if gate and gate.quiet else []
        if gate is None or not gate.timed:
            return [], unsure
        now = self._rollout.now + timedelta(seconds=self.at)
        reached = min(self._rollout.reached.get((stage, side), now), now)
        maintenance = tuple(work.windows for work in works if work.windows)
        found = opening(gate, reached=reached, now=now, maintenance=maintenance)
        if found is None:
            return [], [*unsure, _never(stage)]
        bounds = (reached + timedelta(seconds=gate.wait), moment(gate.not_before) if gate.not_before else now, now)
        timed = (max(bounds) - now).total_seconds()
        seconds = (found.at - now).total_seconds()
        self.at += seconds
        conditions = replace(gate, approval=False, quiet=0).conditions
        waits = [_Wait(timed, Binding.WAIT, conditions[0]), _Wait(seconds - timed, Binding.WINDOW, conditions[-1])]
        return waits, unsure

    def _turns(
        self,
        stage: Stage,
        works: list[Work],
        *,
        windows: Gate | None = None,
        buckets: Buckets | None = None,
        scarce: Collection[Limit] = (),
    ) -> float | None:
        """Return the seconds from the first cluster to the last. Returns None if one of the windows never opens."""
        slots = []
        for work in works:
            parts = tuple(work.parts(self._scenario, scarce))
            slot = Slot(parts, work.cluster.subscription_id.lower(), work.running)
            if windows is not None:
                slot = replace(slot, opens=self._opens(windows, work.windows or ()))
            slots.append(slot)
        per = stage.max_concurrency_per_subscription
        ends = ends_at(slots, begins=self.at, at_once=stage.max_concurrency, per_subscription=per, buckets=buckets)
        return None if ends is None else ends - self.at

    def _opens(self, windows: Gate, maintenance: tuple[MaintenanceWindow, ...]) -> Callable[[float], float | None]:
        return lambda seconds: self._rollout.opens(windows, maintenance, seconds)

    def _scarce(self, works: list[Work]) -> frozenset[Limit]:
        """Return the limits for which requests of a stage may have to wait: its bucket is not enough for all."""
        counts: Counter[tuple[Limit, str]] = Counter()
        for work in works:
            for requests in work.requests:
                for limit, number in requests.items():
                    counts[limit, work.cluster.subscription_id.lower()] += number
        return frozenset(limit for (limit, _), number in counts.items() if number > limit.burst * SHARE)

    def _longest(self, works: list[Work]) -> str:
        """Return the title of the kind of step that takes the most time, or "" if there is none."""
        seconds: Counter[str] = Counter()
        for work in works:
            for step in work.steps:
                seconds[KINDS[type(step)].title] += getattr(self._rollout.durations.of(step), self._scenario)
        return max(seconds, key=lambda one: seconds[one], default="")

    def _ended(self, stage: Stage) -> float:
        """Return when the end of a stage was noted, in seconds from now; now if it was not."""
        at = self._rollout.reached.get((stage.name, "after"), self._rollout.now)
        return min(0.0, (at - self._rollout.now).total_seconds())


def _binds(work: float, waits: list[_Wait], limit: Limit | None, operation: str) -> dict[str, Any]:
    """Return what decides how long a stage takes: the longest wait if the waits outlast the work."""
    if sum(wait.seconds for wait in waits) > work:
        longest = max(waits, key=lambda wait: wait.seconds)
        return {"binds": longest.binds, "binds_at": longest.words}
    if limit is not None:
        return {"binds": Binding.REQUESTS, "binds_at": limit.name}
    return {"binds": Binding.OPERATION if operation else Binding.NOTHING, "binds_at": operation}


def _at_a_time(stage: Stage, works: list[Work]) -> int:
    """Return how many clusters of a stage are worked on at the same time, at most."""
    each = Counter(work.cluster.subscription_id.lower() for work in works)
    per = stage.max_concurrency_per_subscription or len(works)
    return min(stage.max_concurrency, sum(min(number, per) for number in each.values()))


def _windows(stage: Stage) -> Gate:
    """Return the part of a stage's gate that must be open whenever a cluster begins."""
    gate = stage.gate("before") or Gate()
    return Gate(approval=False, window=gate.window, maintenance_window=gate.maintenance_window)


def _never(stage: str) -> str:
    return f"when the windows of stage {stage} open: it is not within two months"
