"""The environment of a measurement: a sandbox in this process, `aks-entra up`, and a shell."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from aks_entra.host import server_auth
from azure_sandbox.front.proxy import Exchange
from azure_sandbox.server import Sandbox
from bench import meter

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
AZURE = 160.0 + 113.0 + 1500.0  # seconds of Azure's three operations on a cluster
OPERATIONS = 3  # enable Microsoft Entra ID, disable local accounts, rotate
SOON = 180.0  # timeout in seconds for Prefect's start
GONE = 60.0  # timeout in seconds for its end
ADMINS = "2d1f6b0e-7c55-4d0a-9a4e-1c3b5d7f9e21"
GROUPS = ("fleet", "by-hand")
PROBLEM_LINES = 15
WORLD = """\
version: 1
tenant: {{id: 6f0c2a51-9b1e-4c7d-8a33-2f5e9d4b7c10, name: contoso.onmicrosoft.com}}
servicePrincipals:
  - {{name: operator, graphPermissions: [Group.ReadWrite.All, User.Read.All, Application.Read.All]}}
operator: operator
groups:
  - {{name: aks-admins, id: {admins}, members: [operator]}}
throttling: true
durations: {{update: {long}, enable-entra: {long}, rotate: {long}}}
subscriptions:
  - name: bench
    id: 0b7d5c1e-3f2a-4e89-9c64-d8a1b5e7f302
    roleAssignments:
      - {{principal: operator, role: Owner}}
    resourceGroups:
"""
FLEET = """\
version: 1
name: bench
clusters:
  - {{subscription: bench, resource_group: fleet}}
target:
  admin_groups: [{{name: aks-admins}}]
rollout:
  stages:
    - {{name: all, groups: [{{name: all, rest: true}}], max_concurrency: {concurrency}{more}}}
"""
CLUSTER = (
    "          - {{name: {name}, nodes: 3, workloads: [{{name: shop, replicas: 2}}, {{name: pay, replicas: 2}}]}}\n"
)


def write_world(file: Path, *, clusters: int, by_hand: int) -> None:
    """Write a world of clusters without Microsoft Entra ID: `fleet-…` for us, `by-hand-…` for az.

    All three operations have the same length.
    """
    text = WORLD.format(admins=ADMINS, long=AZURE / OPERATIONS)
    for group, number in zip(GROUPS, (clusters, by_hand), strict=True):
        text += f"      - name: {group}\n        clusters:{'' if number else ' []'}\n"
        text += "".join(CLUSTER.format(name=f"{group}-{one:03}") for one in range(1, number + 1))
    file.write_text(text, encoding="utf-8")


class Failed(Exception):
    """A command failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The sandbox's exchanges, Prefect's API, the environment of a shell, and the process ID of `aks-entra up`.

    `pauses`: the folder with the pauses of the flow runs' event loops.
    """

    folder: Path
    pauses: Path
    exchanges: list[Exchange]
    environment: Mapping[str, str]
    api: str
    up: int

    async def type(self, line: str) -> str:
        """Run a line in a shell and return its output. Raises Failed with the end of its stderr."""
        return await typed(line, self.folder, self.environment)


async def typed(line: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Run a line in a shell in a folder and return its output. Raises Failed with the end of its stderr."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-ec",
        line,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        said = "\n".join(err.decode(errors="replace").splitlines()[-PROBLEM_LINES:])
        raise Failed(f"`{line.strip()}` ended with exit code {process.returncode}:\n{said}")
    return out.decode()


def say(text: str) -> None:
    """Print progress on stderr."""
    print(f"# {text}", file=sys.stderr, flush=True)


def run(measuring: Coroutine[None, None, None]) -> None:
    """Run a measurement. It ends what it started when it is interrupted or its terminal goes away."""

    async def stoppable() -> None:
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, lambda: me and me.cancel())
        await measuring

    # After a shell's `&`, SIGINT is ignored, also by our children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        asyncio.run(stoppable())
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("stopped; nothing is left running")
        sys.exit(130)
    except Failed as error:
        say(str(error))
        sys.exit(1)


def azure_environment(folder: Path, sandbox: Sandbox, pace: float) -> dict[str, str]:
    """Return the environment of a client of a sandbox, with a home and our poll intervals in `folder`.

    The documented intervals are shortened by the sandbox's pace. The sandbox shortens Retry-After for az likewise.
    """
    return {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        **sandbox.environment,
        "AKS_ENTRA_HOME": str(folder / "state"),
        "AKS_ENTRA_POLL_INTERVAL": str(30 / pace),
        "AKS_ENTRA_REQUEST_RATE": str(pace),
        "AKS_ENTRA_LOOK_INTERVAL": str(10 / pace),
    }


@asynccontextmanager
async def place(folder: Path, world: Path, *, operation: float) -> AsyncIterator[Place]:
    """Start the sandbox and Prefect, and end both and their children afterwards.

    An operation lasts `operation` seconds. All poll intervals are shortened by the same factor.
    """
    exchanges: list[Exchange] = []
    pace = AZURE / OPERATIONS / operation
    async with Sandbox(world, pace=pace, observe=exchanges.append) as sandbox:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        for name in ("home", "tmp", "pauses"):
            (folder / name).mkdir()
        environment = azure_environment(folder, sandbox, pace)
        api = f"http://127.0.0.1:{port}/api"
        recorded = {"PYTHONPATH": str(meter.PAUSES), "BENCH_PAUSES": str(folder / "pauses")}
        async with _up(folder / "up.log", port, {**environment, **recorded}) as pid:
            shell = {**environment, "PREFECT_API_URL": api, "PREFECT_HOME": str(folder / "state" / "prefect")}
            yield Place(
                folder=folder,
                pauses=folder / "pauses",
                exchanges=exchanges,
                environment=shell,
                api=api,
                up=pid,
            )


@asynccontextmanager
async def prefect(here: Place) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of Prefect's API with the authentication string that `aks-entra up` has generated."""
    headers = server_auth.header(server_auth.file_of(here.api, here.folder / "state").read_text(encoding="utf-8"))
    async with httpx.AsyncClient(base_url=here.api, trust_env=False, timeout=30.0, headers=headers) as http:
        answer = (await http.get("/csrf-token", params={"client": "bench"})).raise_for_status()
        http.headers.update({"Prefect-Csrf-Token": answer.json()["token"], "Prefect-Csrf-Client": "bench"})
        yield http


@asynccontextmanager
async def _up(log: Path, port: int, environment: Mapping[str, str]) -> AsyncIterator[int]:
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(BIN / "aks-entra", "up", "--port", str(port)),
            cwd=ROOT,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(SOON):
            while "Prefect is ready" not in (said := _read(log)):
                if process.returncode is not None:
                    raise Failed(f"`aks-entra up` ended:\n{said}")
                await asyncio.sleep(0.2)
        yield process.pid
    finally:
        await asyncio.shield(_stop(process))


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End the process, which ends its own children; kill it and its descendants if it does not end."""
    descendants = tuple(meter.descendants(process.pid))
    if process.returncode is None:
        process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(GONE):
            await process.wait()
    except TimeoutError:
        for pid in (process.pid, *descendants):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await process.wait()
