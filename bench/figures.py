"""The measured figures and the goals, as a table and as JSON."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from azure_sandbox.front.proxy import Exchange

LONGEST_BATCH = 1.25  # times the critical path
LEAST_GAIN = 10.0  # times less client CPU than az
WIDTH, OURS, THEIRS, GOAL = 54, 10, 12, 18  # of the table's columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task run of the batch: its name without the cluster, start and end in seconds since the epoch."""

    step: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What a migration cost. CPU is in seconds and in total."""

    clusters: int
    waves: int  # groups of clusters that run at the same time
    operations: int  # of one cluster, in sequence
    operation: float  # seconds
    verified: int
    tasks: tuple[Task, ...]
    client: Mapping[str, float]  # CPU of the worker and of the flow runs' processes
    server: float
    typed: float  # CPU of the commands `plan` and `migrate`
    sandbox: float
    memory: int  # bytes; peak of the batch's process
    wall: float  # seconds of `migrate` from start to end
    others: float  # average number of this machine's cores that were busy with something else
    requests: Mapping[str, int]

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
    def steps(self) -> dict[str, float]:
        """Return the average seconds of each kind of step."""
        count = Counter(task.step for task in self.tasks)
        return {
            step: sum(task.ended - task.began for task in self.tasks if task.step == step) / number
            for step, number in count.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """What a manual way cost in total. `proves`: what it does, in two or three words."""

    name: str
    proves: str
    clusters: int
    cpu: float
    wall: float
    requests: Mapping[str, int]


def by_host(exchanges: Iterable[Exchange]) -> dict[str, int]:
    """Return the number of requests by host. All API servers of clusters count as one host."""
    return dict(Counter("API servers" if it.host.endswith(".azmk8s.io") else it.host for it in exchanges))


def table(fleet: Fleet, hands: tuple[ByHand, ...]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield _line("", "aks-entra", *(hand.name for hand in hands), goal="goal")
    yield "-" * (WIDTH + OURS + THEIRS * len(hands) + GOAL)
    blank = [""] * len(hands)
    yield _line(
        "clusters migrated and verified", f"{fleet.verified}", *blank, goal=_met(f"{fleet.clusters}", _whole(fleet))
    )
    path = f"{fleet.waves} rounds of {fleet.operations} operations of {fleet.operation:g} s"
    yield _line(f"critical path: {path}", f"{fleet.critical_path:.1f} s")
    yield _line("batch, from first to last task", f"{fleet.batch:.1f} s")
    goal = _met(f"<= {LONGEST_BATCH}", fleet.ratio <= LONGEST_BATCH)
    yield _line("batch / critical path", f"{fleet.ratio:.2f}", *blank, goal=goal)
    yield _line(f"  of {os.cpu_count()} cores, busy with something else", f"{fleet.others:.1f}")
    yield _line("`aks-entra migrate`, from start to end", f"{fleet.wall:.1f} s")
    yield from _cpu(fleet, hands)
    total = [_each(sum(hand.requests.values()), hand.clusters, 1) for hand in hands]
    yield _line("requests per cluster", _each(sum(fleet.requests.values()), fleet.clusters, 1), *total)
    for host in sorted(set(fleet.requests).union(*(hand.requests for hand in hands))):
        theirs = [_each(hand.requests.get(host, 0), hand.clusters, 1) for hand in hands]
        yield _line(f"  {host}", _each(fleet.requests.get(host, 0), fleet.clusters, 1), *theirs)
    yield _line("peak memory of the batch's process", f"{fleet.memory / 2**20:.0f} MiB")


def _cpu(fleet: Fleet, hands: tuple[ByHand, ...]) -> Iterator[str]:
    theirs = [_each(hand.cpu, hand.clusters) for hand in hands]
    yield _line("client CPU per cluster, in seconds", _each(sum(fleet.client.values()), fleet.clusters), *theirs)
    for name, seconds in fleet.client.items():
        yield _line(f"  {name}", _each(seconds, fleet.clusters))
    gains = [gain(fleet, hand) for hand in hands]
    for place, (hand, much) in enumerate(zip(hands, gains, strict=True)):
        shown = ["" if other != place else f"{much:.1f} x" for other in range(len(hands))]
        goal = _met(f">= {LEAST_GAIN:.0f} x", much >= LEAST_GAIN)
        yield _line(f"  less than {hand.name} ({hand.proves})", "", *shown, goal=goal)
    yield _line("CPU per cluster of the commands `plan` and `migrate`", _each(fleet.typed, fleet.clusters))
    yield _line("CPU per cluster of Prefect's server", _each(fleet.server, fleet.clusters))
    yield _line("CPU per cluster of the sandbox (part of neither)", _each(fleet.sandbox, fleet.clusters))


def gain(fleet: Fleet, hand: ByHand) -> float:
    """Return how many times less client CPU a cluster takes than by hand."""
    return (hand.cpu / hand.clusters) / (sum(fleet.client.values()) / fleet.clusters)


def document(fleet: Fleet, hands: tuple[ByHand, ...]) -> dict[str, Any]:
    """Return all figures as JSON."""
    gains = {hand.name: gain(fleet, hand) for hand in hands}
    return {
        "kind": "aks-entra/bench",
        "goals": {
            "verified": _whole(fleet),
            "batch": fleet.ratio <= LONGEST_BATCH,
            **{f"client CPU beside {name}": much >= LEAST_GAIN for name, much in gains.items()},
        },
        "batch": fleet.batch,
        "critical_path": fleet.critical_path,
        "ratio": fleet.ratio,
        "gains": gains,
        "steps": fleet.steps,
        "fleet": asdict(fleet),
        "by_hand": [asdict(hand) for hand in hands],
    }


def _whole(fleet: Fleet) -> bool:
    return fleet.verified == fleet.clusters


def _each(amount: float, clusters: int, digits: int = 2) -> str:
    return f"{amount / clusters:.{digits}f}"


def _met(goal: str, met: bool) -> str:
    return f"{goal}: {'met' if met else 'MISSED'}"


def _line(name: str, ours: str, *theirs: str, goal: str = "") -> str:
    return f"{name:<{WIDTH}}{ours:>{OURS}}{''.join(f'{it:>{THEIRS}}' for it in theirs)}  {goal}".rstrip()
