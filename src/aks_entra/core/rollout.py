"""In which order clusters are migrated, in AKS Fleet Manager's words: strategy, stages, groups, members, gates."""

from __future__ import annotations

from dataclasses import dataclass

from aks_entra.core.cluster import ClusterId


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
    gate_before: bool = True
    gate_after: bool = False

    @property
    def members(self) -> tuple[ClusterId, ...]:
        """Every cluster of the stage, in order."""
        return tuple(member for group in self.groups for member in group.members)


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
