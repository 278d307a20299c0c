"""What was measured, beside the goals, as a table and as JSON."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from azure_sandbox.proxy import Exchange

LONGEST_BATCH = 1.25  # times the critical path
LEAST_GAIN = 10.0  # times less client CPU than az
WIDTH, OURS, THEIRS, GOAL = 54, 10, 12, 18  # of the table's columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task run of the batch: what it is called without its cluster, when it began and ended (seconds, one epoch)."""

    step: str
    began: float
    ended: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What a migration took; CPU in seconds, altogether."""

    clusters: int
    waves: int
    operations: int  # of one cluster, one after the other
    operation: float  # seconds
    verified: int
    tasks: tuple[Task, ...]
    client: Mapping[str, float]  # CPU of the worker, and of each flow run's process
    server: float
    typed: float  # CPU of the command lines `plan` and `migrate`
    sandbox: float
    memory: int  # bytes: the batch's process at its peak
    wall: float  # seconds of `migrate`, from typing it to its end
    others: float  # cores of this machine that were busy with something else meanwhile, on average
    requests: Mapping[str, int]

    @property
    def batch(self) -> float:
        """Seconds from the first task to the last."""
        return max(task.ended for task in self.tasks) - min(task.began for task in self.tasks)

    @property
    def critical_path(self) -> float:
        """Seconds that Azure's operations alone take."""
        return self.waves * self.operations * self.operation

    @property
    def ratio(self) -> float:
        """The batch beside its critical path."""
        return self.batch / self.critical_path

    @property
    def steps(self) -> dict[str, float]:
        """Seconds of a step of each kind, on average."""
        count = Counter(task.step for task in self.tasks)
        return {
            step: sum(task.ended - task.began for task in self.tasks if task.step == step) / number
            for step, number in count.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """What a way by hand took, altogether; `proves`: what it does, in two or three words."""

    name: str
    proves: str
    clusters: int
    cpu: float
    wall: float
    requests: Mapping[str, int]


def by_host(exchanges: Iterable[Exchange]) -> dict[str, int]:
    """Requests by host; the clusters' API servers are one."""
    return dict(Counter("API servers" if it.host.endswith(".azmk8s.io") else it.host for it in exchanges))


def table(fleet: Fleet, hands: tuple[ByHand, ...]) -> Iterator[str]:
    """The lines to print."""
    yield _line("", "aks-entra", *(hand.name for hand in hands), goal="goal")
    yield "-" * (WIDTH + OURS + THEIRS * len(hands) + GOAL)
    blank = [""] * len(hands)
    yield _line(
        "clusters migrated, and proven", f"{fleet.verified}", *blank, goal=_met(f"{fleet.clusters}", _whole(fleet))
    )
    path = f"{fleet.waves} waves of {fleet.operations} operations of {fleet.operation:g} s"
    yield _line(f"critical path: {path}", f"{fleet.critical_path:.1f} s")
    yield _line("batch, from its first task to its last", f"{fleet.batch:.1f} s")
    goal = _met(f"<= {LONGEST_BATCH}", fleet.ratio <= LONGEST_BATCH)
    yield _line("batch / critical path", f"{fleet.ratio:.2f}", *blank, goal=goal)
    yield _line(f"  of {os.cpu_count()} cores, busy with something else meanwhile", f"{fleet.others:.1f}")
    yield _line("`aks-entra migrate`, from typing it to its end", f"{fleet.wall:.1f} s")
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
    yield _line("CPU per cluster of `plan` and `migrate` as typed", _each(fleet.typed, fleet.clusters))
    yield _line("CPU per cluster of Prefect's server", _each(fleet.server, fleet.clusters))
    yield _line("CPU per cluster of the sandbox (no part of either)", _each(fleet.sandbox, fleet.clusters))


def gain(fleet: Fleet, hand: ByHand) -> float:
    """How many times less client CPU a cluster takes than by hand."""
    return (hand.cpu / hand.clusters) / (sum(fleet.client.values()) / fleet.clusters)


def document(fleet: Fleet, hands: tuple[ByHand, ...]) -> dict[str, Any]:
    """Everything, for programs."""
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
