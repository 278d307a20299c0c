"""Measure an inventory of 1,000 clusters of one subscription, and of 10,000 clusters in 200 subscriptions of a tenant.

Seconds are of the command, from its start to its end, so they include Python's start and what else ran on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from azure_sandbox.front.proxy import Exchange
from azure_sandbox.server import Sandbox
from bench import meter
from bench.place import BIN
from bench.table import Row, at_most, table
from bench.traffic import TOKENS, Traffic, traffic

TENANT = UUID("6f0c2a51-9b1e-4c7d-8a33-2f5e9d4b7c10")
IDENTITIES = ("none", "managed", "legacy")


def _subscription(number: int) -> str:
    return str(UUID(int=TENANT.int + 1 + number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """A world, what is typed to look at it, and the goals: seconds, and requests without those for tokens."""

    subscriptions: int
    clusters: int  # of each subscription
    command: tuple[str, ...]
    seconds: float
    requests: int


ESTATES = (
    Estate(
        subscriptions=1,
        clusters=1000,
        command=("inventory", "--subscription", _subscription(0)),
        seconds=2.2,
        requests=3,
    ),
    Estate(
        subscriptions=200,
        clusters=50,
        command=("inventory", "--tenant", "--summary"),
        seconds=15,
        requests=40,
    ),
)


def world(estate: Estate) -> dict[str, Any]:
    """Return a world with these clusters, in all postures, two resource groups for each subscription."""

    def subscription(number: int) -> dict[str, Any]:
        clusters = [
            {"name": f"c-{number}-{one}", "identity": IDENTITIES[one % len(IDENTITIES)], "nodes": 3}
            for one in range(estate.clusters)
        ]
        return {
            "name": f"bench-{number}",
            "id": _subscription(number),
            "roleAssignments": [{"principal": "operator", "role": "Reader"}],
            "resourceGroups": [{"name": f"g-{half}", "clusters": clusters[half::2]} for half in range(2)],
        }

    return {
        "version": 1,
        "tenant": {"id": str(TENANT), "name": "contoso.onmicrosoft.com"},
        "servicePrincipals": [{"name": "operator"}],
        "operator": "operator",
        "subscriptions": [subscription(number) for number in range(estate.subscriptions)],
    }


async def measure(folder: Path, estate: Estate) -> tuple[Row, ...]:
    """Return what the command takes."""
    file = folder / "world.yaml"
    file.write_text(json.dumps(world(estate)), encoding="utf-8")  # JSON is YAML
    heard: list[Exchange] = []
    async with Sandbox(file, observe=heard.append) as sandbox:
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", **sandbox.environment}
        machine, used, own = meter.machine_cpu(), meter.children_cpu(), time.process_time()
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            str(BIN / "aks-entra"), *estate.command, env=environment, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        wall = time.monotonic() - began
        cpu = meter.children_cpu() - used
        others = max(0.0, meter.machine_cpu() - machine - cpu - (time.process_time() - own)) / wall
    if process.returncode:
        raise RuntimeError(f"aks-entra {' '.join(estate.command)} ended with exit code {process.returncode}")
    return tuple(_rows(estate, traffic(heard, 1), wall=wall, cpu=cpu, others=others, lines=len(said.splitlines())))


def _rows(estate: Estate, heard: Traffic, *, wall: float, cpu: float, others: float, lines: int) -> Iterator[Row]:
    name = f"aks-entra {' '.join(estate.command)}".replace(_subscription(0), "ID")
    of = f"{estate.subscriptions * estate.clusters} clusters, {estate.subscriptions} subscriptions"
    requests = heard.total - heard.of(TOKENS)
    yield Row(name=f"{name}: requests", value=requests, digits=0, goal=at_most(estate.requests), note=of)
    for asked, number in (it for service in heard.kinds.values() for it in service.items()):
        yield Row(name=f"  {asked}", value=number, digits=0)
    yield Row(
        name="  seconds", value=wall, digits=1, goal=at_most(estate.seconds), note=f"others used {others:.1f} cores"
    )
    yield Row(name="  of them CPU", value=cpu, digits=1)
    yield Row(name="  lines of output", value=lines, digits=0)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, prog="make bench-inventory").parse_args()
    found: list[Row] = []
    for estate in ESTATES:
        with tempfile.TemporaryDirectory(prefix="aks-entra-bench-") as folder:
            found += asyncio.run(measure(Path(folder), estate))
    print("\n".join(table(found, "aks-entra")))


if __name__ == "__main__":
    main()
