"""What an estimate says: for each stage and in total, how long it takes, and what binds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import ceil

from aks_entra.core.estimate.durations import Span


class Binding(StrEnum):
    """What decides how long a stage takes."""

    NOTHING = "nothing"  # no cluster of the stage has a step
    OPERATION = "operation"  # Azure's own operations
    REQUESTS = "requests"  # a published request limit of Azure
    WINDOW = "window"  # a gate's window, or the clusters' maintenance windows
    WAIT = "wait"  # a wait of a gate, or its earliest time


@dataclass(frozen=True, slots=True, kw_only=True)
class AtWork:
    """A step that runs, and since when. `title` is that of `core.steps.KINDS`, or of a part of the last step."""

    title: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """The expected time of one stage. Spans are seconds.

    `work`: from its first cluster to its last. `waits`: at its gates, without approvals, and for windows to open while
    it runs. `approvals`: how many a person gives. `at_a_time`: clusters side by side. `binds_at`: the title of the
    longest step, the name of the limit, or the condition of a gate. `unknown`: what could not be estimated.
    """

    name: str
    clusters: int
    at_a_time: int
    work: Span
    waits: Span
    approvals: int = 0
    binds: Binding = Binding.NOTHING
    binds_at: str = ""
    unknown: tuple[str, ...] = ()

    @property
    def rounds(self) -> int:
        """How many clusters follow each other on one place."""
        return ceil(self.clusters / self.at_a_time) if self.at_a_time else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedTime:
    """The expected time of a plan, or what is left of it, from a moment (ISO 8601). Spans are seconds."""

    since: str
    total: Span
    stages: tuple[StageTime, ...]
    basis: str

    @property
    def approvals(self) -> int:
        """How many approvals people give meanwhile. The time that they take is in no span."""
        return sum(stage.approvals for stage in self.stages)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What could not be estimated, in words."""
        return tuple(dict.fromkeys(words for stage in self.stages for words in stage.unknown))
