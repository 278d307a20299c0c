"""A person's workplace inside the sandbox: Prefect by `aks-entra up`, a terminal, and a record of requests."""

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
from uuid import uuid4

import httpx

from aks_entra.host import server_auth
from azure_sandbox.front.proxy import Exchange
from azure_sandbox.server import Sandbox
from tests.support import prepared_database
from tests.support.patience import SOON
from tests.support.terminal import PASSED_ON, Terminal

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]
ROTATION = "/rotateclustercertificates"
STARTS = "from aks_entra.cli import main; main()"


@dataclass(slots=True)
class RecordedRequests:
    """Every request that the sandbox answered, in order. A test can wait for a request."""

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
        """Return the successful requests to ARM for a cluster (by name)."""
        wanted = f"/managedclusters/{cluster}{tail}".lower()
        return [
            one
            for one in self.exchanges
            if one.method == method and one.path.lower().endswith(wanted) and one.status < 300
        ]

    def writes(self) -> list[Exchange]:
        """Return the requests that changed Azure or the directory, without reads that are sent as a POST."""
        questions = r"checkpolicyrestrictions$|(check|get)member|getbyids|selfsubject|/\$batch$"
        reads = re.compile(rf"/token$|credential|{questions}", re.IGNORECASE)
        return [
            one
            for one in self.exchanges
            if one.method not in {"GET", "HEAD", "CONNECT"} and one.status < 300 and not reads.search(one.path)
        ]


class RepeatsOn503(httpx.AsyncHTTPTransport):
    """Repeats a request while Prefect's server answers 503, as Prefect's own client does. SQLite has one writer.

    Each request uses a new connection, because the server closes a connection that is idle for some seconds, even if
    the next request was just sent.
    """

    def __init__(self) -> None:
        super().__init__(limits=httpx.Limits(max_keepalive_connections=0))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(10):
            response = await super().handle_async_request(request)
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            await response.aread()
        return response


@dataclass(slots=True, kw_only=True)
class LocalInstallation:
    """A person's workplace: a sandbox, a terminal and Prefect."""

    sandbox: Sandbox
    requests: RecordedRequests
    terminal: Terminal
    home: Path
    api: str
    up: asyncio.subprocess.Process

    @asynccontextmanager
    async def prefect(self) -> AsyncIterator[httpx.AsyncClient]:
        """Return a client of Prefect's API that has the authentication string."""
        headers = server_auth.header(self.auth)
        transport = RepeatsOn503()
        async with httpx.AsyncClient(base_url=self.api, transport=transport, headers=headers, timeout=SOON) as http:
            client = str(uuid4())
            token = (await http.get("/csrf-token", params={"client": client})).raise_for_status().json()["token"]
            http.headers.update({"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client})
            yield http

    @property
    def auth(self) -> str:
        """Return the authentication string of the server."""
        return server_auth.file_of(self.api, self.home).read_text()

    async def flow_runs(self, tag: str) -> list[Mapping[str, Any]]:
        """Return the flow runs with a tag from Prefect's server."""
        async with self.prefect() as http:
            answer = await http.post(
                "/flow_runs/filter", json={"flow_runs": {"tags": {"all_": [tag]}}, "sort": "START_TIME_DESC"}
            )
        found: list[Mapping[str, Any]] = answer.raise_for_status().json()
        return found

    def kill_worker(self) -> None:
        """Kill the worker with SIGKILL. The processes that it started go on."""
        self._kill("worker")

    def kill_server(self) -> None:
        """Kill Prefect's server with SIGKILL. Flow runs get no answer for a while."""
        self._kill("server")

    def _kill(self, what: str) -> None:
        found = [pid for pid in _processes(what, "start") if _parent_of(pid) == self.up.pid]
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
"""The beginning of a world with one resource group. The clusters are appended."""
FLEET_OF_ONE = """\
version: 1
name: {name}
clusters:
  - {{subscription: prod-eu, resource_group: shop-weu, name: {name}}}
target:
  admin_groups: [{{name: aks-admins}}]
rollout:
  stages:
    - {{name: all, groups: [{{name: all, rest: true}}], gate_before: false}}
"""
"""A fleet file with one cluster of that resource group. `name` is the cluster's."""


@asynccontextmanager
async def local_installation(
    world: Path,
    folder: Path,
    *,
    pace: float,
    settings: Mapping[str, str],
    database: Path | None = None,
    python: Path | None = None,
) -> AsyncIterator[LocalInstallation]:
    """Start the workplace, and stop everything at the end.

    Without a `database`, `up` makes its own. Without a `python`, the present interpreter starts all processes, and the
    commands of the terminal.
    """
    requests = RecordedRequests()
    async with Sandbox(world, pace=pace, observe=requests) as sandbox:
        home = folder / "state"
        if database is not None:
            prepared_database.put(database, home)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        api = f"http://127.0.0.1:{port}/api"
        environment = {**sandbox.environment, **settings, "AKS_ENTRA_HOME": str(home), "TMPDIR": str(folder / "tmp")}
        environment["PREFECT_API_SSL_CERT_FILE"] = environment["SSL_CERT_FILE"]  # a warm interpreter needs it by name
        environment.setdefault("PREFECT_WORKER_QUERY_SECONDS", "1")
        (folder / "tmp").mkdir()
        terminal = Terminal(
            {**environment, "PREFECT_API_URL": api, "PREFECT_HOME": str(home / "prefect")}, folder / "home"
        )
        terminal.environment["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        if python is not None:
            terminal.environment["PATH"] = (
                f"{_command(folder / 'bin', python)}{os.pathsep}{terminal.environment['PATH']}"
            )
        log = folder / "up.log"
        with log.open("wb") as out:
            up = await asyncio.create_subprocess_exec(
                *((str(python), "-c", STARTS) if python else (str(BIN / "aks-entra"),)),
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
            async with asyncio.timeout(4 * SOON):  # `up` itself stops earlier with an error
                while "Prefect is ready" not in log.read_text():
                    assert up.returncode is None, log.read_text()
                    await asyncio.wait([asyncio.ensure_future(up.wait())], timeout=0.2)
            yield LocalInstallation(sandbox=sandbox, requests=requests, terminal=terminal, home=home, api=api, up=up)
        finally:
            if up.returncode is None:
                up.send_signal(signal.SIGINT)
                async with asyncio.timeout(SOON):
                    await up.wait()


def _command(folder: Path, python: Path) -> Path:
    """Put `aks-entra` in a folder, as another interpreter runs it. Returns the folder."""
    folder.mkdir()
    command = folder / "aks-entra"
    command.write_text(f"#!/bin/sh\nexec {python} -c '{STARTS}' \"$@\"\n")
    command.chmod(0o755)
    return folder


def rotation_runs(requests: RecordedRequests, cluster: str) -> bool:
    return bool(requests.matching("POST", cluster, ROTATION))


async def coordinator_and_batch(
    installation: LocalInstallation, tag: str
) -> tuple[Mapping[str, object], Mapping[str, object]]:
    runs = await installation.flow_runs(tag)
    batches = [run for run in runs if any(str(it).startswith("stage:") for it in run["tags"])]
    others = [run for run in runs if run not in batches]
    assert len(batches) == 1
    assert len(others) == 1
    return others[0], batches[0]


def kill_run(run: Mapping[str, Any]) -> None:
    """Kill the process of a flow run with SIGKILL."""
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


def _parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
