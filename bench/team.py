"""Measure a migration in batches on Prefect as a team runs it: PostgreSQL, Redis, two API replicas, two hosts.

The parts are those of `make test-team`, on this machine (needs root). Exit code 0: it was measured, whether or not
every cluster is verified. 1: it could not be measured. 130: Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from azure_sandbox.front.proxy import Exchange
from azure_sandbox.server import Sandbox
from bench import meter
from bench.figures import Others
from bench.place import AZURE, FLEET, OPERATIONS, Failed, azure_environment, run, say, typed, write_world
from bench.table import MIB, Row, at_least, at_most, table
from bench.traffic import Traffic, traffic
from tests.team.stack import HOSTS, Stack, missing, stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """What a migration cost. CPU is in seconds and in total, by part of the stack."""

    clusters: int
    verified: int
    others_because: Mapping[str, int]  # how many clusters are not verified, by outcome and reason
    batches: int
    critical_path: float  # seconds
    wall: float  # seconds of `migrate` from start to end
    cpu: Mapping[str, float]
    sandbox: float
    memory: int  # bytes; peak of the largest process of a flow run
    others: Others
    migration: Traffic


def rows(team: Team) -> Iterator[Row]:
    """Yield the figures."""
    whole = at_least(team.clusters)
    yield Row(name="clusters migrated and verified", value=team.verified, digits=0, goal=whole)
    yield Row(name="batches", value=team.batches, digits=0)
    refused = team.migration.throttled
    yield Row(name="answers 429, in total", value=refused, digits=0, goal=at_most(0))
    yield Row(name="requests to Azure, per cluster", value=team.migration.total / team.clusters)
    path = f"operations of Azure: {team.critical_path:.0f} s"
    yield Row(name="`aks-entra migrate`, from start to end (s)", value=team.wall, digits=0, note=path)
    for name, seconds in team.cpu.items():
        yield Row(name=f"CPU per cluster: {name} (s)", value=seconds / team.clusters)
    yield Row(name="CPU per cluster: sandbox (s)", value=team.sandbox / team.clusters, note="no part of the stack")
    yield Row(name="peak memory of the largest flow run's process (MiB)", value=team.memory / MIB, digits=0)
    used = ", ".join(f"{name} {cores:.1f}" for name, cores in team.others.commands.items())
    name = f"of {team.others.of} cores, busy with something else"
    yield Row(name=name, value=team.others.cores, digits=1, note=used)


async def main(arguments: argparse.Namespace) -> None:
    """Measure, and print the table."""
    if lacks := missing():
        raise Failed(f"not here: {', '.join(lacks)} (docs/how-to/run-it-as-a-team.md)")
    with tempfile.TemporaryDirectory(prefix="aks-entra-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        write_world(folder / "world.yaml", clusters=arguments.clusters, by_hand=0)
        size = math.ceil(arguments.clusters / arguments.batches)
        fleet = FLEET.format(concurrency=arguments.concurrency, more=f", batch_size: {size}")
        (folder / "fleet.yaml").write_text(fleet, encoding="utf-8")
        for part in ("home", "tmp"):
            (folder / part).mkdir()
        heard: list[Exchange] = []
        pace = AZURE / OPERATIONS / arguments.operation
        async with AsyncExitStack() as running:
            sandbox = Sandbox(folder / "world.yaml", pace=pace, observe=heard.append)
            azure = azure_environment(folder, await running.enter_async_context(sandbox), pace)
            say("starting PostgreSQL, Redis, two API replicas, HAProxy, the services and workers on two hosts")
            parts = await running.enter_async_context(stack(folder, azure))
            team = await migrate(folder, parts, heard, arguments)
    shown = f"{arguments.clusters} clusters in {arguments.batches} batches, {arguments.concurrency} at a time"
    print(f"\n{shown}\n\n" + "\n".join(table(tuple(rows(team)), "aks-entra")))
    for because, number in team.others_because.items():
        print(f"\nnot verified: {number} clusters: {because}")


async def migrate(folder: Path, parts: Stack, heard: list[Exchange], arguments: argparse.Namespace) -> Team:
    """Plan and migrate as a user does, and measure the processes."""
    environment = {**parts.client, "PREFECT_HOME": str(folder / "client")}
    say("aks-entra plan fleet.yaml --out plan.json")
    await typed("aks-entra plan fleet.yaml --out plan.json", folder, environment)
    pids = {name: one.process.pid for name, one in parts.parts.items() if one.process}
    before = {name: meter.tree_cpu(pid) for name, pid in pids.items()}
    machine, commands, own, asked = meter.machine_cpu(), meter.children_cpu(), time.process_time(), len(heard)
    began = time.monotonic()
    say("aks-entra migrate plan.json --yes")
    async with meter.watched(*(pids[host] for host in HOSTS)) as (runs, processes):
        line = "aks-entra migrate plan.json --yes --approver bench --reason bench -o json || [ $? = 1 ]"
        said = json.loads(await typed(line, folder, environment))
    wall, sandbox = time.monotonic() - began, time.process_time() - own
    cpu = {name: meter.tree_cpu(pid) - before[name] for name, pid in pids.items()}
    cpu["command `migrate`"] = meter.children_cpu() - commands
    verdicts = said["report"]["verdicts"]
    waves = math.ceil(arguments.clusters / arguments.concurrency)
    return Team(
        clusters=arguments.clusters,
        verified=sum(it["outcome"] == "verified" for it in verdicts),
        others_because=Counter(
            f"{it['outcome']}: {'; '.join(it['because'])}" for it in verdicts if it["outcome"] != "verified"
        ),
        batches=len({one.run for one in runs.seen.values()}) - 1,  # the other run is the coordinator
        critical_path=waves * OPERATIONS * arguments.operation,
        wall=wall,
        cpu=cpu,
        sandbox=sandbox,
        memory=max(one.memory for one in runs.seen.values()),
        others=processes.others(
            busy=meter.machine_cpu() - machine - sum(cpu.values()) - sandbox,
            wall=wall,
        ),
        migration=traffic(heard[asked:], arguments.clusters),
    )


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="make bench-team ARGS=…")
    parser.add_argument("--clusters", type=int, default=100, help="number of clusters to migrate")
    parser.add_argument("--batches", type=int, default=5, help="number of batches, each a process")
    parser.add_argument(
        "--concurrency", type=int, default=100, help="number of clusters at the same time, in all batches"
    )
    parser.add_argument("--operation", type=float, default=5.0, help="seconds of an operation of Azure")
    return parser.parse_args()


if __name__ == "__main__":
    run(main(parse()))
