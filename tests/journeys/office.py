"""An office inside the sandbox: Prefect is up (`aks-entra up`), a terminal is open, and the wire is listened to."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from azure_sandbox.proxy import Exchange
from azure_sandbox.server import Sandbox
from tests.journeys.terminal import PASSED_ON, Terminal

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
SOON = 120  # seconds; what is waited for comes in a few
ROTATION = "/rotateclustercertificates"


@dataclass(slots=True)
class Wire:
    """Every request that the sandbox answered, in order; somebody may wait until the one that he is after was there."""

    exchanges: list[Exchange] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self._changed.set()

    async def until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(SOON):
            while not happened():
                self._changed.clear()
                await self._changed.wait()

    def matching(self, method: str, cluster: str, tail: str = "") -> list[Exchange]:
        """What was asked of ARM about a cluster (by name) and not refused."""
        wanted = f"/managedclusters/{cluster}{tail}".lower()
        return [
            one
            for one in self.exchanges
            if one.method == method and one.path.lower().endswith(wanted) and one.status < 300
        ]

    def writes(self) -> list[Exchange]:
        """What changed something in Azure or the directory: no read, and no read that is spelled as a POST."""
        reads = re.compile(r"/token$|credential|(check|get)member|getbyids|selfsubject|/\$batch$", re.IGNORECASE)
        return [
            one
            for one in self.exchanges
            if one.method not in {"GET", "HEAD", "CONNECT"} and one.status < 300 and not reads.search(one.path)
        ]


@dataclass(slots=True, kw_only=True)
class Office:
    """Where a person works."""

    sandbox: Sandbox
    wire: Wire
    terminal: Terminal
    home: Path
    api: str
    up: asyncio.subprocess.Process

    async def flow_runs(self, tag: str) -> list[Mapping[str, Any]]:
        """The flow runs with a tag, as Prefect's server has them."""
        async with httpx.AsyncClient(base_url=self.api, trust_env=False) as http:
            answer = await http.post(
                "/flow_runs/filter", json={"flow_runs": {"tags": {"all_": [tag]}}, "sort": "START_TIME_DESC"}
            )
        found: list[Mapping[str, Any]] = answer.raise_for_status().json()
        return found

    def kill_worker(self) -> None:
        """kill -9 of the worker alone: what it started lives on."""
        self._kill("worker")

    def kill_server(self) -> None:
        """kill -9 of Prefect's server: what runs does not hear from it for a while."""
        self._kill("server")

    def _kill(self, what: str) -> None:
        found = [pid for pid in _processes(what, "start") if str(self.home) in _environment_of(pid)]
        assert found, what
        for pid in found:
            os.kill(pid, signal.SIGKILL)


SHOP = """\
version: 1
tenant: {id: 7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32, name: contoso.onmicrosoft.com}
servicePrincipals:
  - {name: operator, graphPermissions: [GroupMember.Read.All, User.Read.All]}
users:
  - {name: Dana Diaz, upn: dana@contoso.onmicrosoft.com}
groups:
  - {name: aks-admins, members: [operator, Dana Diaz]}
operator: operator
subscriptions:
  - name: prod-eu
    id: 3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163
    roleAssignments:
      - {principal: operator, role: Owner}
    resourceGroups:
      - name: shop-weu
        location: westeurope
        clusters:
"""
"""A world of one resource group; its clusters follow."""


@asynccontextmanager
async def office(world: Path, folder: Path, *, pace: float, settings: Mapping[str, str]) -> AsyncIterator[Office]:
    """Open the office; at the end everything that was started is gone."""
    wire = Wire()
    async with Sandbox(world, pace=pace, observe=wire) as sandbox:
        home = folder / "state"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        api = f"http://127.0.0.1:{port}/api"
        environment = {**sandbox.environment, **settings, "AKS_ENTRA_HOME": str(home), "TMPDIR": str(folder / "tmp")}
        (folder / "tmp").mkdir()
        terminal = Terminal(
            {**environment, "PREFECT_API_URL": api, "PREFECT_HOME": str(home / "prefect")}, folder / "home"
        )
        terminal.environment["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        log = folder / "up.log"
        with log.open("wb") as out:
            up = await asyncio.create_subprocess_exec(
                str(BIN / "aks-entra"),
                "up",
                "--port",
                str(port),
                cwd=ROOT,
                env={
                    "PATH": terminal.environment["PATH"],
                    **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
                    "HOME": str(terminal.home),
                    "LC_ALL": "C.UTF-8",
                    **environment,
                },
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(4 * SOON):  # `up` itself gives up before, and says why
                while "Prefect is ready" not in log.read_text():
                    assert up.returncode is None, log.read_text()
                    await asyncio.wait([asyncio.ensure_future(up.wait())], timeout=0.2)
            yield Office(sandbox=sandbox, wire=wire, terminal=terminal, home=home, api=api, up=up)
        finally:
            if up.returncode is None:
                up.send_signal(signal.SIGINT)
                async with asyncio.timeout(SOON):
                    await up.wait()


def kill_run(run: Mapping[str, Any]) -> None:
    """kill -9 of the process that carries out a flow run."""
    os.kill(int(str(run["labels"]["aks-entra.process"]).split("/")[1]), signal.SIGKILL)


def _processes(*words: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if all(word.encode() in line for word in words):
            found.append(int(entry.parent.name))
    return found


def _environment_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""
