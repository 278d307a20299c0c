"""Measure what a migration through Prefect costs, and the same work in a shell. Prints a table.

Exit code 0: it was measured, whether or not the goals were met. 1: it could not be measured. 130: Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import by_hand, figures, meter, table
from bench.place import FLEET, OPERATIONS, Failed, Place, place, prefect, run, say, write_world
from bench.traffic import traffic

PAGE = 200
PAUSES = 5  # how many pauses are printed with what ran in them
SETTLED = 600.0  # seconds until Prefect's server has recorded all events


async def main(arguments: argparse.Namespace) -> None:
    """Measure, and print the table."""
    ways = tuple(by_hand.possible()) if arguments.az else ()
    if arguments.az and len(ways) < len(by_hand.WAYS):
        say("az, kubectl or kubelogin is not on PATH, so less is compared; `make clients` builds them")
    with tempfile.TemporaryDirectory(prefix="aks-entra-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        say(f"starting a sandbox with {arguments.clusters} clusters, and Prefect")
        others = arguments.az * len(ways)
        write_world(folder / "world.yaml", clusters=arguments.clusters, by_hand=others)
        (folder / "fleet.yaml").write_text(FLEET.format(concurrency=arguments.concurrency, more=""), encoding="utf-8")
        async with place(folder, folder / "world.yaml", operation=arguments.operation) as here:
            fleet = await migrate(here, arguments)
            hands = await walk(here, ways, arguments.az) if ways else ()
    names = ["aks-entra", *(hand.name for hand in hands)]
    by_themselves = f"; by hand: {arguments.az} clusters, one after the other" if hands else ""
    print(f"\n{arguments.clusters} clusters, {arguments.concurrency} at a time{by_themselves}\n")
    print("\n".join(table.table(tuple(table.rows(fleet, hands)), *names)))
    heads = ("migration", "plan", *names[1:])
    print("\nrequests per cluster\n\n" + "\n".join(table.table(tuple(table.kinds(fleet, hands)), *heads)))
    for one in (one for one in fleet.pauses[:PAUSES] if one.where):
        print(f"\nin a pause of {one.own * 1000:.0f} ms: {one.where}")
    if arguments.json:
        arguments.json.write_text(json.dumps(table.document(fleet, hands), indent=2) + "\n", encoding="utf-8")


async def migrate(here: Place, arguments: argparse.Namespace) -> figures.Fleet:
    """Plan and migrate as a user does, and measure the processes."""
    typed = meter.children_cpu()
    say("aks-entra plan fleet.yaml --out plan.json")
    await here.type("aks-entra plan fleet.yaml --out plan.json")
    planned = meter.children_cpu() - typed
    digest = json.loads((here.folder / "plan.json").read_text(encoding="utf-8"))["digest"]
    worker, server = meter.find(here.up, "worker", "start"), meter.find(here.up, "server", "start")
    before = meter.tree_cpu(worker), meter.tree_cpu(server), time.process_time(), len(here.exchanges)
    machine, commands = meter.machine_cpu(), meter.children_cpu()
    say("aks-entra migrate plan.json --yes")
    began = time.monotonic()
    async with meter.watched(worker) as (runs, processes):
        said = await here.type(
            "aks-entra migrate plan.json --yes --approver bench --reason bench -o json || [ $? = 1 ]"
        )
    wall = time.monotonic() - began
    client, served = meter.tree_cpu(worker) - before[0], meter.tree_cpu(server) - before[1]
    sandbox, exchanges = time.process_time() - before[2], tuple(here.exchanges)
    migrated = meter.children_cpu() - commands
    others = processes.others(
        busy=meter.machine_cpu() - machine - (client + served + sandbox + migrated),
        wall=wall,
    )
    async with prefect(here) as http:
        names, batch = await flow_runs(http, f"plan:{digest.removeprefix('sha256:')[:12]}")
        tasks = await task_runs(http, batch)
    parts = {name: runs.cpu(run) for run, name in names.items()}
    return figures.Fleet(
        clusters=arguments.clusters,
        waves=math.ceil(arguments.clusters / arguments.concurrency),
        operations=OPERATIONS,
        operation=arguments.operation,
        verified=sum(it["outcome"] == "verified" for it in json.loads(said)["report"]["verdicts"]),
        tasks=tasks,
        client={
            "command `plan`": planned,
            "command `migrate`": migrated,
            "worker": client - sum(parts.values()),
            **parts,
        },
        server=served,
        sandbox=sandbox,
        others=others,
        memory=runs.memory(batch),
        files=runs.files(batch),
        pauses=meter.pauses(here.pauses, batch),
        wall=wall,
        plan=traffic(exchanges[: before[3]], arguments.clusters),
        migration=traffic(exchanges[before[3] :], arguments.clusters),
    )


async def walk(here: Place, ways: tuple[by_hand.Way, ...], clusters: int) -> tuple[figures.ByHand, ...]:
    """Return what each manual way costs."""
    say("az login")
    await by_hand.sign_in(here)
    hands = []
    for number, way in enumerate(ways):
        say(f"{way.name}: {clusters} clusters, one by one")
        hands.append(await by_hand.walk(here, way, range(number * clusters + 1, (number + 1) * clusters + 1)))
    return tuple(hands)


async def flow_runs(http: httpx.AsyncClient, tag: str) -> tuple[dict[str, str], str]:
    """Return the plan's flow runs by ID, with their part of the client, and the ID of the batch's run."""
    found = await read(http, "/flow_runs/filter", {"flow_runs": {"tags": {"all_": [tag]}}})
    batches = [run["id"] for run in found if any(it.startswith("stage:") for it in run["tags"])]
    if len(batches) != 1:
        raise Failed(f"{len(batches)} batches have the tag {tag}, expected one")
    return {run["id"]: "batch" if run["id"] in batches else "coordinator" for run in found}, batches[0]


async def task_runs(http: httpx.AsyncClient, batch: str) -> tuple[figures.Task, ...]:
    """Return the batch's tasks once the server has recorded the end of each."""
    async with asyncio.timeout(SETTLED):
        while True:
            found: list[Mapping[str, Any]] = []
            wanted = {"flow_runs": {"id": {"any_": [batch]}}, "sort": "ID_DESC", "limit": PAGE}
            while page := await read(http, "/task_runs/filter", {**wanted, "offset": len(found)}):
                found += page
            if found and all(task["start_time"] and task["end_time"] for task in found):
                break
            await asyncio.sleep(1)
    return tuple(
        figures.Task(
            step=task["name"].partition(" · ")[0],
            began=datetime.fromisoformat(task["start_time"]).timestamp(),
            ended=datetime.fromisoformat(task["end_time"]).timestamp(),
        )
        for task in found
    )


async def read(http: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a list from Prefect's server."""
    found: list[Mapping[str, Any]] = (await http.post(path, json=dict(body))).raise_for_status().json()
    return found


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="make bench ARGS=…")
    parser.add_argument("--clusters", type=int, default=100, help="number of clusters to migrate")
    parser.add_argument("--concurrency", type=int, default=20, help="number of clusters at the same time")
    parser.add_argument("--operation", type=float, default=5.0, help="seconds of an operation of Azure")
    parser.add_argument(
        "--az", type=int, default=3, metavar="N", help="number of clusters to migrate by hand; 0 skips this"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all figures")
    return parser.parse_args()


if __name__ == "__main__":
    run(main(parse()))
