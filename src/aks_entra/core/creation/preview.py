"""What a creation would do, decided from what was read: create, take up again, add what is missing, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aks_entra.core.cluster import is_terminal
from aks_entra.core.creation.check import Problem
from aks_entra.core.creation.new_cluster import ChildResource, NewCluster


class Course(StrEnum):
    """What a creation would do."""

    CREATE = "create"
    WAIT = "wait for its creation, which runs"
    REPEAT = "repeat its creation, which failed"
    COMPLETE = "create what is missing below it"
    NOTHING = "change nothing"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A new cluster beside what exists. `state` is the provisioning state of an existing cluster; empty: none exists.

    `missing` are the resources below the cluster that do not exist.
    """

    new: NewCluster
    state: str = ""
    differences: tuple[str, ...] = ()
    missing: tuple[ChildResource, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether a cluster of this name exists."""
        return bool(self.state)

    @property
    def blockers(self) -> tuple[Problem, ...]:
        """The problems because of which nothing is created."""
        return tuple(one for one in self.problems if not one.unknown)

    @property
    def unknown(self) -> tuple[Problem, ...]:
        """What could not be read."""
        return tuple(one for one in self.problems if one.unknown)

    @property
    def course(self) -> Course:
        """What happens if this is carried out."""
        if self.blockers or self.differences:
            return Course.REFUSE
        if not self.exists:
            return Course.CREATE
        if not is_terminal(self.state):
            return Course.WAIT
        if self.state.casefold() != "succeeded":
            return Course.REPEAT
        return Course.COMPLETE if self.missing else Course.NOTHING
