"""The measured figures, and what follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task run of the batch: its name without the cluster, start and end in seconds since the epoch."""

    step: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause of an event loop, in seconds. `where`: the innermost calls that were seen in it."""

    pause: float
    waited: float  # of it, for a processor that others used
    where: str = ""

    @property
    def own(self) -> float:
        """Return the seconds that are not due to other processes."""
        return self.pause - self.waited


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """What else ran on this machine: the average number of cores that it kept busy, in total and by command."""

    cores: float
    of: int
    commands: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What a migration cost. CPU is in seconds and in total."""

    clusters: int
    waves: int  # groups of clusters that run at the same time
    operations: int  # of one cluster, in sequence
    operation: float  # seconds
    verified: int
    tasks: tuple[Task, ...]
    client: Mapping[str, float]  # CPU by part: commands, worker and the flow runs' processes
    server: float
    sandbox: float
    memory: int  # bytes; peak of the batch's process
    files: int  # the most that the batch's process had open
    pauses: tuple[Pause, ...]  # of the batch's event loop, the longest first; none: not measured
    wall: float  # seconds of `migrate` from start to end
    others: Others
    plan: Traffic
    migration: Traffic

    @property
    def batch(self) -> float:
        """Return the seconds from the start of the first task to the end of the last."""
        return max(task.ended for task in self.tasks) - min(task.began for task in self.tasks)

    @property
    def critical_path(self) -> float:
        """Return the seconds that Azure's operations take on their own."""
        return self.waves * self.operations * self.operation

    @property
    def ratio(self) -> float:
        """Return the batch's length divided by the critical path."""
        return self.batch / self.critical_path

    @property
    def cpu(self) -> float:
        """Return the client CPU seconds of a cluster."""
        return sum(self.client.values()) / self.clusters

    @property
    def steps(self) -> dict[str, float]:
        """Return the average seconds of each kind of step."""
        count = Counter(task.step for task in self.tasks)
        return {
            step: sum(task.ended - task.began for task in self.tasks if task.step == step) / number
            for step, number in count.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """What a manual way cost in total. `proves`: what it does, in two or three words. `gain`: the goal for us."""

    name: str
    proves: str
    clusters: int
    cpu: float
    wall: float
    requests: Traffic
    gain: float


def gain(fleet: Fleet, hand: ByHand) -> float:
    """Return how many times less client CPU a cluster takes than by hand."""
    return (hand.cpu / hand.clusters) / fleet.cpu
