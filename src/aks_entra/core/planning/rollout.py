"""The order of a migration, in AKS Fleet Manager's terms: strategy, stages, groups, members, gates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import in_words
from aks_entra.core.hooks.model import Hook, bound
from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.gates import Gate, Side
from aks_entra.core.planning.prover import Prover


class Gated(Protocol):
    """A stage of a plan or of a fleet file, as far as the gate before it is concerned."""

    @property
    def name(self) -> str:
        """Return the stage's name."""

    @property
    def gate_before(self) -> bool | Gate:
        """Return the gate before the stage. True means an approval, False no gate."""

    @property
    def gate_after(self) -> bool | Gate:
        """Return the gate after the stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberGroup:
    """Clusters of a stage that the fleet file groups together.

    Workers of `work_queue` read and prove them (empty: the queue of the deployment), as `prover` (None: the plan's).
    """

    name: str
    members: tuple[ClusterId, ...]
    work_queue: str = ""
    prover: Prover | None = None

    def only(self, members: set[str]) -> MemberGroup:
        """Return the group with only these clusters, by key."""
        return replace(self, members=tuple(one for one in self.members if one.key in members))

    def bound(self) -> dict[str, Any]:
        """Return what a plan's digest covers of it. Unset fields are left out, as in older digests."""
        found: dict[str, Any] = {"name": self.name, "members": [member.key for member in self.members]}
        if self.work_queue:
            found["work_queue"] = self.work_queue
        if self.prover:
            found["prover"] = self.prover.bound()
        return found


def joined(groups: Iterable[MemberGroup]) -> tuple[MemberGroup, ...]:
    """Join groups with the same work queue and prover into one, in the order of the first of each."""
    found: dict[tuple[str, Prover | None], MemberGroup] = {}
    for group in groups:
        before = found.setdefault((group.work_queue, group.prover), replace(group, members=()))
        found[group.work_queue, group.prover] = replace(before, members=(*before.members, *group.members))
    return tuple(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage. The next one begins only when this one ended within `max_allowed_failures`."""

    name: str
    groups: tuple[MemberGroup, ...]
    max_concurrency: int = 5
    max_allowed_failures: int = 0
    gate_before: bool | Gate = True
    gate_after: bool | Gate = False
    batch_size: int | None = None  # clusters in one process; None: all of them
    max_concurrency_per_subscription: int | None = None
    after: tuple[Hook, ...] = ()  # what happens after the rotation of each of its clusters, besides the plan's hooks

    def gate(self, side: Side, *, ungated: bool = True) -> Gate | None:
        """Return the gate on one side, or None if there is no gate.

        `ungated`: whether the stage may begin without an approval. If it may not, the gate before it needs one.
        """
        gate = as_gate(self.gate_before if side == "before" else self.gate_after)
        if side == "before" and not ungated and (gate is None or not gate.approval):
            return replace(gate or Gate(), approval=True)
        return gate

    @property
    def waits_for_maintenance(self) -> bool:
        """Whether the gate before the stage reads its clusters' maintenance windows, and waits for them."""
        gate = as_gate(self.gate_before)
        return gate is not None and gate.maintenance_window

    @property
    def ungated(self) -> bool:
        """Whether the plan lets the stage begin without an approval."""
        return bool(without_approval((self,)))

    @property
    def members(self) -> tuple[ClusterId, ...]:
        """Every cluster of the stage, in order."""
        return tuple(member for group in self.groups for member in group.members)

    @property
    def batches(self) -> tuple[tuple[ClusterId, ...], ...]:
        """The clusters in the order of the stage, cut into batches for one process each. The cut never changes.

        All clusters of a batch have the same work queue and prover.
        """
        size = self.batch_size or max(len(self.members), 1)
        return tuple(
            group.members[start : start + size]
            for group in joined(self.groups)
            for start in range(0, len(group.members), size)
        )

    def only(self, members: set[str], *, gate_before: Gate) -> Stage:
        """Return the stage with only these clusters (by key), another gate before it and none after it."""
        kept = tuple(group for group in (one.only(members) for one in self.groups) if group.members)
        return replace(self, groups=kept, gate_before=gate_before, gate_after=False)

    def bound(self) -> dict[str, Any]:
        """Return what a plan's digest covers of the stage. Unset fields are left out, as in older digests."""
        found: dict[str, Any] = {
            "name": self.name,
            "groups": [group.bound() for group in self.groups],
            "max_concurrency": self.max_concurrency,
            "max_allowed_failures": self.max_allowed_failures,
        }
        for side in ("gate_before", "gate_after"):
            gate = as_gate(getattr(self, side))
            found[side] = gate.bound() if gate and gate != Gate() else gate is not None
        for name in ("batch_size", "max_concurrency_per_subscription"):
            if (value := getattr(self, name)) is not None:
                found[name] = value
        if self.after:
            found["after"] = [bound(hook) for hook in self.after]
        return found


def hooks_of(stages: Iterable[Stage], after: tuple[Hook, ...]) -> Mapping[str, tuple[Hook, ...]]:
    """Return the hooks of each cluster (by key) in their order: those of all clusters, then those of its stage."""
    return {member.key: (*after, *stage.after) for stage in stages for member in stage.members}


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """A rotation in the same rollout, `after` seconds after each stage, behind a gate."""

    after: int
    gate: bool | Gate = True

    @property
    def before(self) -> Gate:
        """The gate before a stage's rotation: the soak and all other conditions."""
        gate = as_gate(self.gate) or Gate(approval=False)
        return replace(gate, wait=max(gate.wait, self.after))

    @property
    def words(self) -> str:
        """`rotation 7d after its stage, under a plan of its own: approval (valid 1d) + window …`."""
        others = " + ".join(replace(self.before, wait=0).conditions) or "no gate"
        return f"rotation {in_words(self.after)} after its stage, under a plan of its own: {others}"

    def bound(self) -> dict[str, Any]:
        """Return what a plan's digest covers of it."""
        return {"after": self.after, "gate": self.before.bound()}


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """How a stage ended: whether the next one may begin, and why."""

    go_on: bool
    failures: int
    because: str


def stage_result(stage: Stage, failed: int, unproven: int = 0, hooks: int = 0) -> StageResult:
    """Weigh the failures of a stage against its budget.

    Clusters that are `unproven`, and proven ones whose `hooks` are not done, count as well.
    """
    allowed, counted = stage.max_allowed_failures, failed + unproven + hooks
    parts = (
        f"{failed} failed" if failed or not (unproven or hooks) else "",
        f"{unproven} not proven" if unproven else "",
        f"{hooks} with a hook that is not done" if hooks else "",
    )
    said = " and ".join(part for part in parts if part)
    because = f"stage {stage.name}: {said}, {allowed} allowed"
    if counted > allowed:
        because += ": the stages after it are not started"
    return StageResult(go_on=counted <= allowed, failures=counted, because=because)


def without_approval(stages: Iterable[Gated], rotation: Soak | None = None) -> tuple[str, ...]:
    """Return what would begin without an approval, in words: stages, and the rotation after a soak."""
    found = [f"stage {one.name}" for one in stages if (gate := as_gate(one.gate_before)) is None or not gate.approval]
    return (*found, *(("the rotation after the soak",) if rotation and not rotation.before.approval else ()))


def needs_requester(stages: Iterable[Gated], rotation: Soak | None = None) -> bool:
    """Whether somebody must not approve what they started: then the run has to name who started it."""
    return any(one.not_requester for one in approvers_of(stages, rotation))


def approvers_of(stages: Iterable[Gated], rotation: Soak | None = None) -> tuple[Approvers, ...]:
    """Return the different approvers of all gates, in the order of the gates."""
    gates = [as_gate(side) for one in stages for side in (one.gate_before, one.gate_after)]
    gates += [rotation.before] if rotation else []
    return tuple(dict.fromkeys(gate.approvers for gate in gates if gate and gate.approvers))


def as_gate(given: bool | Gate) -> Gate | None:
    """Return the gate, or None if it waits for nothing. `True` means an approval."""
    if isinstance(given, bool):
        return Gate() if given else None
    return given if given.approval or given.timed or given.quiet else None
