"""Migrate a fleet in several batches, each a process, in a subscription that throttles as Azure does; count the 429s.

Another client of the same subscription may send bursts of requests, and use up the limit of AKS (`--foreign`).

Exit code 0: the migration ended as planned, and without another client there was no 429. 1: it did not, or there was.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.place import FLEET, Failed, place, write_world

SUBSCRIPTION = "0b7d5c1e-3f2a-4e89-9c64-d8a1b5e7f302"
POOLS = (
    f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/resourceGroups/fleet"
    "/providers/Microsoft.ContainerService/managedClusters/fleet-001/agentPools?api-version=2026-08-01"
)
BURST = 80  # requests; AKS allows 60 at once
EVERY = 5.0  # seconds
TOO_MANY = 429


async def main(arguments: argparse.Namespace) -> bool:
    """Run the migration and print what was answered. Returns whether all went well."""
    with tempfile.TemporaryDirectory(prefix="aks-entra-limits-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        world = folder / "world.yaml"
        write_world(world, clusters=arguments.clusters, by_hand=0)
        size = -(-arguments.clusters // arguments.batches)
        fleet = FLEET.format(concurrency=arguments.clusters, more=f", batch_size: {size}")
        (folder / "fleet.yaml").write_text(fleet, encoding="utf-8")
        async with place(folder, world, operation=arguments.operation) as here:
            began = time.monotonic()
            await here.type("aks-entra plan fleet.yaml --out plan.json")
            planned = len(here.exchanges)
            async with others(here.environment, on=arguments.foreign) as theirs:
                await here.type("aks-entra migrate plan.json --yes --approver bench --reason bench -o json >/dev/null")
            answers = [one.status for one in here.exchanges if one.host == "management.azure.com"]
            ours = answers.count(TOO_MANY) - theirs[TOO_MANY]
            print(f"{arguments.clusters} clusters in {arguments.batches} batches, {time.monotonic() - began:.0f} s")
            print(f"requests of ours: {len(answers) - theirs.total()} (all hosts: {len(here.exchanges) - planned})")
            print(f"429 of ours: {ours}; requests of the other client: {theirs.total()}, 429: {theirs[TOO_MANY]}")
            return arguments.foreign or not ours


@asynccontextmanager
async def others(environment: Mapping[str, str], *, on: bool) -> AsyncIterator[Counter[int]]:
    """Send bursts of requests meanwhile, if `on`. Yield how many were answered with which status."""
    theirs: Counter[int] = Counter()
    sending = asyncio.create_task(send_bursts(environment, theirs)) if on else None
    try:
        yield theirs
    finally:
        if sending is not None:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending


async def send_bursts(environment: Mapping[str, str], theirs: Counter[int]) -> None:
    """Send bursts of requests as the identity of the environment, until this is cancelled."""
    tenant = environment["AZURE_TENANT_ID"]
    trust = ssl.create_default_context(cafile=environment["SSL_CERT_FILE"])
    async with httpx.AsyncClient(proxy=environment["HTTPS_PROXY"], verify=trust, timeout=60) as http:
        form = {
            "grant_type": "client_credentials",
            "client_id": environment["AZURE_CLIENT_ID"],
            "client_secret": environment["AZURE_CLIENT_SECRET"],
            "scope": "https://management.azure.com/.default",
        }
        answer = await http.post(f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token", data=form)
        headers = {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}
        while True:
            burst = asyncio.gather(*(http.get(POOLS, headers=headers) for _ in range(BURST)))
            theirs.update(one.status_code for one in await asyncio.shield(burst))
            await asyncio.sleep(EVERY)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", type=int, default=50)
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--operation", type=float, default=30.0, help="seconds that each operation of Azure lasts")
    parser.add_argument("--foreign", action="store_true", help="another client sends bursts of requests meanwhile")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(not asyncio.run(main(arguments())))
    except Failed as error:
        sys.exit(f"Error: {error}")
