"""Measure what a command costs before and around its work: `aks-entra --help`, and `inventory` of one cluster.

The figures are CPU seconds (user and system) of the command alone. A busy machine makes them larger, so the smallest of
several runs is compared with the goal. The first run fills caches and does not count.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from azure_sandbox.server import Sandbox
from bench.place import BIN, write_world

GOALS = {"--help": 0.3, "inventory --subscription bench": 1.2}


def cost(arguments: list[str], environment: Mapping[str, str]) -> float:
    """Return the CPU seconds of a command. Raises CalledProcessError if it fails."""
    before = os.times()
    subprocess.run([str(BIN / "aks-entra"), *arguments], env=environment, check=True, capture_output=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


async def measure(folder: Path, runs: int) -> bool:
    """Print the table. Returns whether every goal is met."""
    write_world(folder / "world.yaml", clusters=1, by_hand=0)
    met = True
    async with Sandbox(folder / "world.yaml") as sandbox:
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", **sandbox.environment}
        print(f"CPU seconds, {runs} runs (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)")
        for line, goal in GOALS.items():
            took = [await asyncio.to_thread(cost, line.split(), environment) for _ in range(runs + 1)][1:]
            ok = min(took) <= goal
            met = met and ok
            print(f"  aks-entra {line:32} min {min(took):.2f}  median {statistics.median(took):.2f}", end="")
            print(f"  goal {goal:g}: {'ok' if ok else 'MISSED'}")
    return met


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    with tempfile.TemporaryDirectory() as folder:
        met = asyncio.run(measure(Path(folder), parser.parse_args().runs))
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
