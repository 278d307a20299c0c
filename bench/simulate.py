"""Simulate rollouts of fleets that fit on no machine here, with the model of a plan's expected time. Prints a table.

It is a discrete simulation: clusters take places of their stage, batches take processes of workers, requests take
tokens of Azure's buckets, and work takes the CPU of a batch's process and of Prefect's server.
`--held-against FILE …` compares it with measurements of `make bench ARGS="--json FILE"`.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from aks_entra.core.cluster import Identity
from aks_entra.core.estimate.durations import POLL_INTERVAL, PUBLISHED, Durations
from aks_entra.core.estimate.requests import requests_of, requests_of_plan
from aks_entra.core.estimate.schedule import Buckets
from aks_entra.core.steps import (
    DisableLocalAccounts,
    EnableEntra,
    ProveSignIn,
    RecordBaseline,
    RotateCertificates,
    Step,
    VerifyOutcome,
    writes,
)
from aks_entra.report.expected_time import about

STEPS_OF_A_CLUSTER: Final[tuple[Step, ...]] = (
    EnableEntra(tenant_id="", admin_groups=(), azure_rbac=None, was=Identity.NONE),
    ProveSignIn(admin_groups=()),
    RecordBaseline(hold_credential=True),
    DisableLocalAccounts(),
    RotateCertificates(ca_before=""),
    VerifyOutcome(rotated=True),
)
MOSTLY: Final = 0.5
"""A resource that is busy for more than this part of the time is what binds. If none is, Azure's operations bind."""
DRAWS: Final = 2026
"""The seed of the durations of operations, which are drawn between the least and the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """CPU seconds: of a batch to start, of each cluster in its batch, at Prefect's server, and in the sandbox."""

    start: float = 5.1
    batch: float = 0.31
    server: float = 0.17
    sandbox: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A stage of `clusters` over `subscriptions`, and what an operator sets.

    `processes`: batches side by side, over all workers. `servers`: replicas of Prefect's server. `cores`: of a machine
    that all of them share; infinite if each has its own.
    """

    clusters: int
    subscriptions: int = 1
    max_concurrency: int = 20
    batch_size: int = 0
    processes: int = 1
    servers: int = 1
    cores: float = math.inf
    costs: Costs = field(default_factory=Costs)
    poll_interval: float = POLL_INTERVAL
    request_rate: float = 1.0
    length: Callable[[Step], float] | None = None  # seconds of a step in Azure; None: drawn from the published range


@dataclass(slots=True)
class Processor:
    """CPU that serves one piece of work after the other. `cores` may be a part of one."""

    cores: float = 1.0
    free: float = 0.0
    busy: float = 0.0

    def take(self, now: float, seconds: float) -> float:
        """Return when a piece of work ends that arrives now."""
        self.free = max(self.free, now) + seconds / self.cores
        self.busy += seconds / self.cores
        return self.free


@dataclass(slots=True)
class Places:
    """Places that are given in the order in which they are asked for."""

    free: int
    waiting: deque[Iterator[Wait]] = field(default_factory=deque)


Wait = float | Places
"""What a process of the simulation waits for: a time, or a place."""


class Simulation:
    """One run. `ended` is its length in seconds."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.now = self.ended = 0.0
        self._queue: list[tuple[float, int, Iterator[Wait]]] = []
        self._count = 0
        self._draw = random.Random(DRAWS)  # noqa: S311 - no secret
        self.machine = Processor(cores=setting.cores)
        self.servers = [Processor() for _ in range(setting.servers)]
        self.sandbox = Processor()
        self.buckets = Buckets(setting.request_rate)
        self._places, self._processes = Places(setting.max_concurrency), Places(setting.processes)
        size = setting.batch_size or setting.clusters
        for first in range(0, setting.clusters, size):
            self._push(0.0, self._batch(range(first, min(first + size, setting.clusters))))
        while self._queue:
            self.now, _, one = heapq.heappop(self._queue)
            self._go_on(one)

    def _push(self, at: float, one: Iterator[Wait]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (at, self._count, one))

    def _go_on(self, one: Iterator[Wait]) -> None:
        wait = next(one, None)
        if isinstance(wait, Places) and wait.free:
            wait.free -= 1
            self._push(self.now, one)
        elif isinstance(wait, Places):
            wait.waiting.append(one)
        elif wait is not None:
            self._push(wait, one)

    def _leave(self, places: Places) -> None:
        if places.waiting:
            self._push(self.now, places.waiting.popleft())
        else:
            places.free += 1

    def _batch(self, clusters: range) -> Iterator[Wait]:
        yield self._processes
        processor, left = Processor(), Places(0)
        yield self._work(processor, self.setting.costs.start)
        for cluster in clusters:
            self._push(self.now, self._cluster(cluster, processor, left))
        for _ in clusters:
            yield left
        self._leave(self._processes)

    def _cluster(self, cluster: int, processor: Processor, left: Places) -> Iterator[Wait]:
        setting, parts = self.setting, len(STEPS_OF_A_CLUSTER) + 1
        yield self._places
        server = self.servers[cluster % len(self.servers)]
        for step in (None, *STEPS_OF_A_CLUSTER):
            yield self.buckets.sent(requests_of(step), self._subscription(cluster), self.now)
            for its, seconds in (
                (processor, setting.costs.batch),
                (server, setting.costs.server),
                (self.sandbox, setting.costs.sandbox),
            ):
                yield self._work(its, seconds / parts)
            if step is not None:
                yield self.now + self._length(step)
                if writes(step):
                    yield math.ceil(self.now / setting.poll_interval) * setting.poll_interval
        self.ended = self.now
        self._leave(self._places)
        self._leave(left)

    def _work(self, processor: Processor, seconds: float) -> float:
        return max(processor.take(self.now, seconds), self.machine.take(self.now, seconds))

    def _subscription(self, cluster: int) -> str:
        return str(cluster * self.setting.subscriptions // self.setting.clusters)

    def _length(self, step: Step) -> float:
        if self.setting.length is not None:
            return self.setting.length(step)
        span = PUBLISHED.of(step) if not writes(step) else Durations(poll_interval=0).of(step)
        return self._draw.triangular(span.low, span.high, span.likely)

    @property
    def binds(self) -> str:
        """What made it take so long."""
        if max(server.busy for server in self.servers) > MOSTLY * self.ended:
            return "Prefect's server"
        forced = {limit: limit.seconds(one.taken, rate=one.rate) for (limit, _), one in self.buckets.tokens.items()}
        if max(forced.values()) > MOSTLY * self.ended:
            return f"Azure's request limit: {max(forced, key=lambda limit: forced[limit]).name}"
        if self.machine.busy > MOSTLY * self.ended:
            return "the machine"
        setting = self.setting
        at_once = min(setting.max_concurrency, setting.processes * (setting.batch_size or setting.clusters))
        if at_once >= setting.clusters:
            return "Azure's rotations"
        which = "max_concurrency" if at_once == setting.max_concurrency else "processes"
        return f"Azure's rotations, in {math.ceil(setting.clusters / at_once)} rounds ({which})"


LARGE: Final = (
    Setting(clusters=1_000, subscriptions=10, max_concurrency=20, batch_size=100, processes=5),
    Setting(clusters=1_000, subscriptions=10, max_concurrency=100, batch_size=100, processes=5),
    Setting(clusters=1_000, subscriptions=10, max_concurrency=500, batch_size=100, processes=10),
    Setting(clusters=1_000, subscriptions=10, max_concurrency=1_000, batch_size=100, processes=10),
    Setting(clusters=1_000, subscriptions=1, max_concurrency=1_000, batch_size=200, processes=5),
    Setting(clusters=10_000, subscriptions=100, max_concurrency=1_000, batch_size=200, processes=10),
    Setting(clusters=10_000, subscriptions=100, max_concurrency=5_000, batch_size=200, processes=25),
    Setting(clusters=10_000, subscriptions=100, max_concurrency=5_000, batch_size=200, processes=25, servers=2),
    Setting(clusters=100_000, subscriptions=1_000, max_concurrency=10_000, batch_size=200, processes=50),
    Setting(clusters=100_000, subscriptions=1_000, max_concurrency=20_000, batch_size=200, processes=100),
    Setting(clusters=100_000, subscriptions=1_000, max_concurrency=20_000, batch_size=200, processes=100, servers=4),
)


def table(settings: tuple[Setting, ...]) -> Iterator[str]:
    """Yield the lines of a Markdown table: what is set, how long the rollout takes, and what binds."""
    yield "| clusters | subscriptions | at a time | batches | processes | servers | plan | migration | what binds |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for one in settings:
        run = Simulation(one)
        batches = f"{math.ceil(one.clusters / one.batch_size)} of {one.batch_size}"
        planned = max(
            limit.seconds(each * one.clusters / one.subscriptions)
            for limit, each in requests_of_plan(one.clusters).items()
        )
        cells = (
            *(f"{one.clusters:,}", f"{one.subscriptions:,}", f"{one.max_concurrency:,}", batches),
            *(str(one.processes), str(one.servers), about(planned), about(run.ended), run.binds),
        )
        yield f"| {' | '.join(cells)} |"


def measured(file: Path) -> tuple[Setting, float]:
    """Return the setting of a measurement of `bench/migrate.py`, and how long its batch took in seconds."""
    fleet = json.loads(file.read_text(encoding="utf-8"))["fleet"]
    clusters, operation, tasks = fleet["clusters"], fleet["operation"], fleet["tasks"]
    batch = max(task["ended"] for task in tasks) - min(task["began"] for task in tasks)
    pace = (160 + 113 + 1500) / fleet["operations"] / operation
    during = batch / fleet["wall"]  # the server and the sandbox also work before and after the batch
    start = Costs().start
    costs = Costs(
        start=start,
        batch=max(0.0, fleet["client"]["batch"] - start) / clusters,
        server=fleet["server"] * during / clusters,
        sandbox=fleet["sandbox"] * during / clusters,
    )
    return (
        Setting(
            clusters=clusters,
            max_concurrency=math.ceil(clusters / fleet["waves"]),
            cores=fleet["others"]["of"] - fleet["others"]["cores"],
            costs=costs,
            poll_interval=POLL_INTERVAL / pace,
            request_rate=pace,
            length=lambda step: operation if writes(step) else 0.0,
        ),
        batch,
    )


def held_against(files: list[Path]) -> Iterator[str]:
    """Yield the lines of a Markdown table: measurements, and how far the simulation is from each."""
    yield "| clusters | at a time | cores left | measured | simulated | difference |"
    yield "|---|---|---|---|---|---|"
    for file in files:
        setting, real = measured(file)
        ended = Simulation(setting).ended - setting.costs.start
        yield (
            f"| {setting.clusters} | {setting.max_concurrency} | {setting.cores:.1f} | {real:.1f} s | {ended:.1f} s "
            f"| {ended / real - 1:+.0%} |"
        )


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="make bench-simulate ARGS=…")
    parser.add_argument(
        "--held-against", type=Path, nargs="+", metavar="FILE", help="measurements of `make bench ARGS='--json FILE'`"
    )
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse()
    print("\n".join(held_against(arguments.held_against) if arguments.held_against else table(LARGE)))
