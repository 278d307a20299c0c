"""Prefect as a team runs it: PostgreSQL, Redis, two API replicas behind a load balancer, workers on two hosts.

Everything runs on this machine. A "host" is a worker in a UTS and PID namespace of its own, so it has its own host name
and none of its process numbers mean anything to the other. Each part can be killed and started again.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from azure_sandbox.cluster.real.process import free_port
from tests.support.part import CHECKOUT, SOON, Part, clean_environment, run

HOSTS: Final = ("alpha", "beta")
_NOBODY: Final = "postgres"
"""PostgreSQL does not start as root."""
_AS_NOBODY: Final = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--init-groups")
"""It takes the place of the process that it starts, so a killed PostgreSQL is reaped and can start again."""


def missing() -> tuple[str, ...]:
    """Return what this machine lacks for the stack."""
    found = {name: shutil.which(name) for name in ("redis-server", "haproxy", "unshare", "setpriv")}
    found["postgres"] = str(next(iter(_postgres()), "")) or None
    lacks = [name for name, path in found.items() if not path]
    if os.geteuid() != 0:
        lacks.append("root, for hosts with names of their own")
    return tuple(lacks)


def _postgres() -> list[Path]:
    return sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


@dataclass(kw_only=True)
class Stack:
    """The running parts, and the environment of a client."""

    api: str
    folder: Path
    parts: dict[str, Part] = field(default_factory=dict)
    client: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def stack(
    folder: Path, environment: Mapping[str, str], *, lease_storage: str = "prefect_redis.lease_storage"
) -> AsyncIterator[Stack]:
    """Start everything; end everything. `environment`: how Azure is reached, and the limits of a test."""
    clean = clean_environment()
    ports = {name: free_port() for name in ("postgres", "redis", "api-1", "api-2", "haproxy")}
    api = f"http://127.0.0.1:{ports['haproxy']}/api"
    no_proxy = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    common = {
        **clean,
        "PREFECT_HOME": str(folder / "prefect"),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_API_URL": api,
        "PREFECT_CLIENT_MAX_RETRIES": "10",
        **no_proxy,
    }
    server = {
        **common,
        "PREFECT_API_DATABASE_CONNECTION_URL": (
            f"postgresql+asyncpg://{_NOBODY}@127.0.0.1:{ports['postgres']}/prefect"
        ),
        "PREFECT_API_DATABASE_MIGRATE_ON_START": "false",
        "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
        "PREFECT_MESSAGING_CACHE": "prefect_redis.messaging",
        "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": lease_storage,
        "PREFECT_REDIS_MESSAGING_HOST": "127.0.0.1",
        "PREFECT_REDIS_MESSAGING_PORT": str(ports["redis"]),
    }
    worker = {
        **common,
        **environment,
        "AKS_ENTRA_CHECKOUT": str(CHECKOUT),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "NO_PROXY": ",".join(filter(None, (environment.get("NO_PROXY"), no_proxy["NO_PROXY"]))),
    }
    running = Stack(api=api, folder=folder, client={**environment, "PREFECT_API_URL": api})

    def part(name: str, *command: str, environment: Mapping[str, str], port: int | None = None) -> Part:
        made = Part(name=name, command=command, environment=environment, log=folder / f"{name}.log", port=port)
        running.parts[name] = made
        return made

    python = (sys.executable, "-m", "prefect")
    database = await _new_database()
    try:
        bin_ = _postgres()[0]
        options = ("-D", str(database), "-p", str(ports["postgres"]), "-k", str(database), "-h", "127.0.0.1")
        await part(
            "postgres", *_AS_NOBODY, str(bin_ / "postgres"), *options, environment=clean, port=ports["postgres"]
        ).start()
        await run(*_AS_NOBODY, str(bin_ / "createdb"), "-h", "127.0.0.1", "-p", str(ports["postgres"]), "prefect")
        redis = ("redis-server", "--port", str(ports["redis"]), "--dir", str(folder), "--appendonly", "yes")
        await part("redis", *redis, environment=clean, port=ports["redis"]).start()
        await run(*python, "server", "database", "upgrade", "-y", environment=server)
        for name in ("api-1", "api-2"):
            serve = ("server", "start", "--no-services", "--port", str(ports[name]))
            await part(name, *python, *serve, environment=server, port=ports[name]).start()
        balancer = folder / "haproxy.cfg"
        balancer.write_text(_balancer(ports))
        await part("haproxy", "haproxy", "-db", "-f", str(balancer), environment=clean, port=ports["haproxy"]).start()
        await _until_healthy(api)
        await part("services", *python, "server", "services", "start", environment=server).start()
        await run(*python, "work-pool", "create", "aks-entra", "--type", "process", environment=worker)
        await run(*python, "--no-prompt", "deploy", "--all", environment=worker)
        for host in HOSTS:
            await part(host, *_on_host(host, python), environment=worker).start()
        yield running
    finally:
        for one in reversed(running.parts.values()):
            await one.kill()
        shutil.rmtree(database)


def _on_host(host: str, python: Iterable[str]) -> tuple[str, ...]:
    """Return the command of a worker on a host with this name and process numbers of its own."""
    worker = " ".join((*python, "worker", "start", "--pool", "aks-entra", "--type", "process", "--name", host))
    inside = f"hostname {host} && exec {worker}"
    return ("unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", inside)


async def _new_database() -> Path:
    """Make an empty PostgreSQL cluster of the user who runs it: pytest's own folders are root's alone."""
    data = Path(tempfile.mkdtemp(prefix="team-postgres-"))
    shutil.chown(data, _NOBODY, _NOBODY)
    await run(*_AS_NOBODY, str(_postgres()[0] / "initdb"), "-D", str(data), "--auth=trust", "--no-sync")
    return data


async def _until_healthy(api: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(SOON):
        good = 0
        while good < 4:  # both replicas, twice
            try:
                good = good + 1 if (await http.get(f"{api}/health")).is_success else 0
            except httpx.TransportError:
                good = 0
            await asyncio.sleep(0.2)


def _balancer(ports: Mapping[str, int]) -> str:
    return f"""\
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
  option redispatch
  retries 3
frontend prefect
  bind 127.0.0.1:{ports["haproxy"]}
  default_backend replicas
backend replicas
  balance roundrobin
  option httpchk GET /api/health
  default-server inter 1s fall 1 rise 1
  server one 127.0.0.1:{ports["api-1"]} check
  server two 127.0.0.1:{ports["api-2"]} check
"""
