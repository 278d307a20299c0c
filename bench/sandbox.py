"""Measure a sandbox with a thousand clusters: start, memory, and requests per second.

The result is judged in CPU seconds, which do not depend on the load of the machine; wall-clock times are printed too.
The comparison is moto's server (S3 ListBuckets of an empty account), if it is installed:
`python -m venv /tmp/moto && /tmp/moto/bin/pip install 'moto[server]'`, then `--moto /tmp/moto/bin/moto_server`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

CLUSTERS = 1000
CONNECTIONS = 16
START_LIMIT, MEMORY_LIMIT, RATE_LIMIT = 5.0, 200.0, 1000.0
ARM = "https://management.azure.com"
SUBSCRIPTION = "0b7d5c1e-3f2a-4e89-9c64-d8a1b5e7f302"
CHILD = """
import asyncio, sys
from pathlib import Path
from azure_sandbox.server import Sandbox
async def main():
    async with Sandbox(Path(sys.argv[1])) as sandbox:
        principal = sandbox.operator.principal
        arm = sandbox.tokens.issue(principal, audience="https://management.azure.com")
        print(sandbox.proxy.port, sandbox.folder / "ca.pem", arm, flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


def world(file: Path) -> None:
    clusters = [
        {"name": f"c-{number:04}", "identity": ("none", "managed", "legacy")[number % 3], "nodes": 3}
        for number in range(CLUSTERS)
    ]
    groups = [{"name": f"g-{number}", "clusters": clusters[number::10]} for number in range(10)]
    document = {"version": 1, "subscriptions": [{"name": "bench", "id": SUBSCRIPTION, "resourceGroups": groups}]}
    file.write_text(json.dumps(document), encoding="utf-8")  # JSON is YAML


def resident(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def used(pid: int) -> float:
    """Return the CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def rate(
    url: str, seconds: float, *, pid: int, proxy: str | None, tls: ssl.SSLContext | None, token: str = ""
) -> tuple[float, float]:
    """Return requests per second over keep-alive connections, and per CPU second of the server."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    done, until = 0, time.perf_counter() + seconds
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)

    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def one() -> None:
            nonlocal done
            while time.perf_counter() < until:
                async with session.get(url, proxy=proxy, ssl=tls or True) as answer:
                    await answer.read()
                    answer.raise_for_status()
                done += 1

        start, before = time.perf_counter(), used(pid)
        await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
        return done / (time.perf_counter() - start), done / max(0.001, used(pid) - before)


async def sandbox(folder: Path, seconds: float) -> bool:
    file = folder / "world.yaml"
    world(file)
    start = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(it for it in sys.path if it)}
    child = subprocess.Popen(  # noqa: ASYNC220  # the event loop has no other task yet
        [sys.executable, "-c", CHILD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip
    if child.stdout is None or child.stdin is None:
        raise RuntimeError("no pipes")
    try:
        port, bundle, token = child.stdout.readline().split()
        started, start_cpu, memory = time.perf_counter() - start, used(child.pid), resident(child.pid)
        proxy, tls = f"http://127.0.0.1:{port}", ssl.create_default_context(cafile=bundle)
        scope = f"{ARM}/subscriptions/{SUBSCRIPTION}/resourceGroups/g-1/providers/Microsoft.ContainerService"
        url = f"{scope}/managedClusters/c-0001?api-version=2026-08-01"
        wall, per_second = await rate(url, seconds, pid=child.pid, proxy=proxy, tls=tls, token=token)
        after = resident(child.pid)
    finally:
        child.stdin.close()
        child.wait()
    wall_clock = f"{wall:.0f} per second of wall-clock time"
    rows = (
        ("start", start_cpu, "CPU s", START_LIMIT, start_cpu <= START_LIMIT, f"{started:.1f} s of wall-clock time"),
        ("idle", memory, "MB", MEMORY_LIMIT, memory <= MEMORY_LIMIT, f"{after:.0f} MB after the load"),
        ("GET of a cluster", per_second, "per CPU s", RATE_LIMIT, per_second >= RATE_LIMIT, wall_clock),
    )  # fmt: skip
    print(
        f"sandbox with {CLUSTERS} clusters, TLS, keep-alive, {CONNECTIONS} connections (load {os.getloadavg()[0]:.1f}):"
    )
    for name, value, unit, limit, met, more in rows:
        print(f"  {name:17} {value:8.1f} {unit:10} goal {limit:g}: {'ok' if met else 'MISSED'} ({more})")
    return all(row[4] for row in rows)


async def moto(server: Path, seconds: float) -> None:
    port = 5123
    child = subprocess.Popen(  # noqa: ASYNC220  # as above
        [str(server), "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        start = time.perf_counter()
        while True:
            try:
                await rate(f"http://127.0.0.1:{port}/moto-api/", 0.01, pid=child.pid, proxy=None, tls=None)
                break
            except (aiohttp.ClientError, OSError):
                if time.perf_counter() - start > 60:  # noqa: PLR2004  # it has not started
                    raise
                await asyncio.sleep(0.1)
        started = time.perf_counter() - start
        start_cpu, memory = used(child.pid), resident(child.pid)
        url = f"http://127.0.0.1:{port}/?Action=ListBuckets"
        wall, per_second = await rate(url, seconds, pid=child.pid, proxy=None, tls=None)
        print("moto server, empty account, plain HTTP without TLS and tokens:")
        print(f"  start {start_cpu:.1f} CPU s ({started:.1f} s of wall-clock time), {memory:.0f} MB, ", end="")
        print(f"{per_second:.0f} requests per CPU s ({wall:.0f} per second of wall-clock time)")
    finally:
        child.terminate()
        child.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--moto", type=Path, help="path of moto_server, to compare with")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        met = asyncio.run(sandbox(Path(folder), arguments.seconds))
    if arguments.moto:
        asyncio.run(moto(arguments.moto, arguments.seconds))
    else:
        print("moto is not measured; pass its server with --moto")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
