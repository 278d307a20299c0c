"""In which order clusters are migrated, in AKS Fleet Manager's words: strategy, stages, groups, members, gates."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import in_words
from aks_entra.core.gates import Gate, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberGroup:
    """Members that go side by side within a stage."""

    name: str
    members: tuple[ClusterId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One wave. The next begins only when this one ended within `max_allowed_failures`."""

    name: str
    groups: tuple[MemberGroup, ...]
    max_concurrency: int = 5
    max_allowed_failures: int = 0
    gate_before: bool | Gate = True
    gate_after: bool | Gate = False
    batch_size: int | None = None  # clusters in one process; None: all of them
    max_concurrency_per_subscription: int | None = None

    def gate(self, side: Side) -> Gate | None:
        """What is waited for on one side; None: nothing. `True` is an approval."""
        return as_gate(self.gate_before if side == "before" else self.gate_after)

    @property
    def members(self) -> tuple[ClusterId, ...]:
        """Every cluster of the stage, in order."""
        return tuple(member for group in self.groups for member in group.members)

    @property
    def batches(self) -> tuple[tuple[ClusterId, ...], ...]:
        """The members in the order of the stage, cut into what one process works on: the same cut at every look."""
        size = self.batch_size or max(len(self.members), 1)
        return tuple(self.members[start : start + size] for start in range(0, len(self.members), size))

    def only(self, members: set[str], *, gate_before: Gate) -> Stage:
        """The stage with these members alone (their keys), behind another gate and without one after it."""
        groups = (
            replace(group, members=tuple(one for one in group.members if one.key in members)) for group in self.groups
        )
        kept = tuple(group for group in groups if group.members)
        return replace(self, groups=kept, gate_before=gate_before, gate_after=False)

    def bound(self) -> dict[str, Any]:
        """The stage as a plan's digest sees it. What is not set leaves no trace: older digests stay what they were."""
        groups = [{"name": group.name, "members": [member.key for member in group.members]} for group in self.groups]
        found: dict[str, Any] = {
            "name": self.name,
            "groups": groups,
            "max_concurrency": self.max_concurrency,
            "max_allowed_failures": self.max_allowed_failures,
        }
        for side in ("gate_before", "gate_after"):
            gate = as_gate(getattr(self, side))
            found[side] = asdict(gate) if gate and gate != Gate() else gate is not None
        for name in ("batch_size", "max_concurrency_per_subscription"):
            if (value := getattr(self, name)) is not None:
                found[name] = value
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """That certificates are rotated in the same rollout, but later: so many seconds after a stage, behind a gate."""

    after: int
    gate: bool | Gate = True

    @property
    def before(self) -> Gate:
        """The gate of the rotation of a stage: the soak, and what else it waits for."""
        gate = as_gate(self.gate) or Gate(approval=False)
        return replace(gate, wait=max(gate.wait, self.after))

    @property
    def words(self) -> str:
        """`rotation 7d after its stage, under a plan of its own: approval (valid 1d) + window …`."""
        others = " + ".join(replace(self.before, wait=0).conditions) or "no gate"
        return f"rotation {in_words(self.after)} after its stage, under a plan of its own: {others}"

    def bound(self) -> dict[str, Any]:
        """As a plan's digest sees it."""
        return {"after": self.after, "gate": asdict(self.before)}


@dataclass(frozen=True, slots=True, kw_only=True)
class StageResult:
    """How a stage ended: whether the next may begin, and why not."""

    go_on: bool
    failures: int
    because: str


def stage_result(stage: Stage, failed: int) -> StageResult:
    """Weigh the failures of an ended stage against its budget."""
    allowed = stage.max_allowed_failures
    if failed > allowed:
        return StageResult(
            go_on=False,
            failures=failed,
            because=f"stage {stage.name}: {failed} failed, {allowed} allowed: the stages after it are not started",
        )
    return StageResult(go_on=True, failures=failed, because=f"stage {stage.name}: {failed} of {allowed} failures")


def as_gate(given: bool | Gate) -> Gate | None:
    """The gate that is meant; None: none, also by one that waits for nothing."""
    if isinstance(given, bool):
        return Gate() if given else None
    return given if given.approval or given.timed else None
