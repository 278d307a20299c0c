"""What was measured, beside the goals, as a table and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from azure_sandbox.proxy import Exchange

LONGEST_BATCH = 1.25  # times the critical path
LEAST_GAIN = 10.0  # times less client CPU than az
WIDTHS = (52, 10, 8, 24)


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
    def steps(self) -> dict[str, float]:
        """Seconds of a step of each kind, on average."""
        count = Counter(task.step for task in self.tasks)
        return {
            step: sum(task.ended - task.began for task in self.tasks if task.step == step) / number
            for step, number in count.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """What az took for the writes alone, altogether: it proves nothing."""

    clusters: int
    cpu: float
    wall: float
    requests: Mapping[str, int]


def by_host(exchanges: Iterable[Exchange]) -> dict[str, int]:
    """Requests by host; the clusters' API servers are one."""
    return dict(Counter("API servers" if it.host.endswith(".azmk8s.io") else it.host for it in exchanges))


def table(fleet: Fleet, by_hand: ByHand | None) -> Iterator[str]:
    """The lines to print."""
    yield _line("", "aks-entra", "az", "goal")
    yield "-" * sum(WIDTHS)
    yield _line("clusters migrated, and proven", f"{fleet.verified}", "-", _met(f"{fleet.clusters}", _complete(fleet)))
    path = f"{fleet.waves} waves of {fleet.operations} operations of {fleet.operation:g} s"
    yield _line(f"critical path: {path}", f"{fleet.critical_path:.1f} s")
    yield _line("batch, from its first task to its last", f"{fleet.batch:.1f} s")
    ratio = fleet.batch / fleet.critical_path
    yield _line("batch / critical path", f"{ratio:.2f}", "", _met(f"<= {LONGEST_BATCH}", ratio <= LONGEST_BATCH))
    yield _line("`aks-entra migrate`, from typing it to its end", f"{fleet.wall:.1f} s")
    yield from _cpu(fleet, by_hand)
    hands = by_hand.requests if by_hand else {}
    total = by_hand and _each(sum(hands.values()), by_hand.clusters, 1)
    yield _line("requests per cluster", _each(sum(fleet.requests.values()), fleet.clusters, 1), total or "")
    for host in sorted({*fleet.requests, *hands}):
        theirs = _each(hands.get(host, 0), by_hand.clusters, 1) if by_hand else ""
        yield _line(f"  {host}", _each(fleet.requests.get(host, 0), fleet.clusters, 1), theirs)
    yield _line("peak memory of the batch's process", f"{fleet.memory / 2**20:.0f} MiB")


def _cpu(fleet: Fleet, by_hand: ByHand | None) -> Iterator[str]:
    client = sum(fleet.client.values())
    goal, theirs = "", ""
    if by_hand is not None:
        gain = (by_hand.cpu / by_hand.clusters) / (client / fleet.clusters)
        theirs = _each(by_hand.cpu, by_hand.clusters)
        goal = _met(f">= {LEAST_GAIN:.0f} x less ({gain:.1f} x)", gain >= LEAST_GAIN)
    yield _line("client CPU per cluster, in seconds", _each(client, fleet.clusters), theirs, goal)
    for name, seconds in fleet.client.items():
        yield _line(f"  {name}", _each(seconds, fleet.clusters))
    yield _line("CPU per cluster of `plan` and `migrate` as typed", _each(fleet.typed, fleet.clusters))
    yield _line("CPU per cluster of Prefect's server", _each(fleet.server, fleet.clusters))
    yield _line("CPU per cluster of the sandbox (no part of either)", _each(fleet.sandbox, fleet.clusters))


def reached(fleet: Fleet, by_hand: ByHand | None) -> dict[str, bool]:
    """Each goal, and whether it was met; without az there is nothing to compare with."""
    goals = {"verified": _complete(fleet), "batch": fleet.batch / fleet.critical_path <= LONGEST_BATCH}
    if by_hand is not None:
        ours = sum(fleet.client.values()) / fleet.clusters
        goals["client CPU"] = by_hand.cpu / by_hand.clusters >= LEAST_GAIN * ours
    return goals


def document(fleet: Fleet, by_hand: ByHand | None) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "kind": "aks-entra/bench",
        "goals": reached(fleet, by_hand),
        "ratio": fleet.batch / fleet.critical_path,
        "batch": fleet.batch,
        "critical_path": fleet.critical_path,
        "steps": fleet.steps,
        "fleet": asdict(fleet),
        "by_hand": None if by_hand is None else asdict(by_hand),
    }


def _complete(fleet: Fleet) -> bool:
    return fleet.verified == fleet.clusters


def _each(amount: float, clusters: int, digits: int = 2) -> str:
    return f"{amount / clusters:.{digits}f}"


def _met(goal: str, met: bool) -> str:
    return f"{goal}: {'met' if met else 'MISSED'}"


def _line(name: str, ours: str, theirs: str = "", goal: str = "") -> str:
    first, second, third, _ = WIDTHS
    return f"{name:<{first}}{ours:>{second}}{theirs:>{third}}  {goal}".rstrip()
