"""A real Prefect server, the deployments and one process worker on this machine, for as long as a command runs.

Must be entered before prefect is imported: its settings are read from the environment at import. The server keeps its
database under `.aks-entra/` (or AKS_ENTRA_HOME), so that plans, evidence and reports are there again the next time.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx

from aks_entra.cli.processes import LOOK, stop, stop_marked
from aks_entra.errors import Refused

POOL: Final = "aks-entra"
LOOPBACK: Final = "127.0.0.1"
MARK: Final = "AKS_ENTRA_STARTED_BY"
"""In the environment of all that is started here, so that it is found again when its parent is gone."""
PATIENCE: Final = 120.0  # seconds for a server or a worker to come up on a slow machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """Where things are."""

    api: str
    page: str
    home: Path
    checkout: Path
    pool: str


def home() -> Path:
    """Where state of this machine is kept."""
    return Path(os.environ.get("AKS_ENTRA_HOME") or ".aks-entra").absolute()


def find_checkout() -> Path:
    """The folder with prefect.yaml and flows/: above the present one, or beside an editable installation."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).parents[3]):
        if (folder / "prefect.yaml").is_file() and (folder / "flows").is_dir():
            return folder
    raise Refused(
        "the runbooks (prefect.yaml and flows/) were not found: they are not part of the installed package",
        remedy="run this inside a checkout of the repository",
    )


def environment(place: Local) -> dict[str, str]:
    """What server, worker and clients need to know, beside the present environment (see docs/reference)."""
    quiet = [*filter(None, os.environ.get("NO_PROXY", os.environ.get("no_proxy", "")).split(","))]
    no_proxy = ",".join(dict.fromkeys([*quiet, LOOPBACK, "localhost", "::1"]))
    return {
        "PREFECT_HOME": str(place.home / "prefect"),
        "PREFECT_API_URL": place.api,
        "PREFECT_UI_URL": place.page,
        "PREFECT_UI_API_URL": place.api,
        "PREFECT_SERVER_UI_API_URL": place.api,
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # it calls an analytics host from the browser
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_TRIGGERS_READ_BATCH_SIZE": "50",
        # Task runs and events are written together, a second late: SQLite has one writer, and batches wait for it.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
        "PREFECT_CLIENT_MAX_RETRIES": "10",  # an outage of the server of half a minute is harmless
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "AKS_ENTRA_CHECKOUT": str(place.checkout),
        MARK: uuid4().hex,
        "NO_PROXY": no_proxy,  # Prefect's websocket would go through the proxy, and be refused
        "no_proxy": no_proxy,
    }


@asynccontextmanager
async def prefect_here(
    *, port: int | None = None, pool: str = POOL, tell: Callable[[str], None] = lambda _text: None
) -> AsyncIterator[Local]:
    """Start server, deployments and worker; stop them, and every flow run that they started, at the end.

    `port` None: any free one. The environment of this process points to the server from then on.
    """
    chosen = port or _free_port()
    base = f"http://{LOOPBACK}:{chosen}"
    place = Local(api=f"{base}/api", page=base, home=home(), checkout=find_checkout(), pool=pool)
    _require_free(chosen)
    settings = environment(place)
    os.environ.update(settings)
    (place.home / "logs").mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(stop_marked, f"{MARK}={settings[MARK]}")
        tell(f"starting Prefect at {base}")
        serving = ("server", "start", "--host", LOOPBACK, "--port", str(chosen))
        server = await stack.enter_async_context(_kept(place, "server", serving, tell))
        async with httpx.AsyncClient(base_url=place.api, trust_env=False, timeout=10.0) as http:
            await _until(lambda: _answers(http, "/health"), server, place, "server")
            tell("starting a worker, deploying the runbooks")
            working = ("worker", "start", "--pool", pool, "--type", "process", "--name", "local")
            worker = await stack.enter_async_context(_kept(place, "worker", working, tell))
            await _until(lambda: _answers(http, f"/work_pools/{pool}"), worker, place, "worker")
            await _deploy(place)
            await _until(lambda: _online(http, pool), worker, place, "worker")
        yield place


async def _deploy(place: Local) -> None:
    log = place.home / "logs" / "deploy.log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *_prefect("--no-prompt", "deploy", "--all"),
            cwd=place.checkout,
            env=dict(os.environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            status = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
    if status:
        raise Refused(f"prefect deploy failed: {_tail(log)}", remedy=f"read {log}")


@asynccontextmanager
async def _process(place: Local, name: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run one of Prefect's own long-running commands; at the end it and all that it started are gone."""
    with (place.home / "logs" / f"{name}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *_prefect(*arguments),
            cwd=place.checkout,
            env=dict(os.environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C in the terminal reaches us alone: we stop them in order
        )
        try:
            yield process
        finally:
            await asyncio.shield(stop(process))


@asynccontextmanager
async def _kept(
    place: Local, name: str, command: tuple[str, ...], tell: Callable[[str], None]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Keep one of them running: when it dies another one takes its place. Yields the first."""
    first: asyncio.Future[asyncio.subprocess.Process] = asyncio.get_running_loop().create_future()

    async def keep() -> None:
        while True:
            async with _process(place, name, *command) as process:
                if not first.done():
                    first.set_result(process)
                status = await process.wait()
            tell(f"the {name} ended (exit code {status}): starting another")
            await asyncio.sleep(LOOK)

    keeping = asyncio.create_task(keep())
    try:
        yield await first
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


def _prefect(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "prefect", *arguments)


async def _until(
    ready: Callable[[], Awaitable[bool]], process: asyncio.subprocess.Process, place: Local, name: str
) -> None:
    """Wait until something is ready. Refused, with the end of its log, when its process ends or takes too long."""
    log = place.home / "logs" / f"{name}.log"
    try:
        async with asyncio.timeout(PATIENCE):
            while not await ready():
                if process.returncode is not None:
                    raise Refused(f"Prefect's {name} ended at once: {_tail(log)}", remedy=f"read {log}")
                await asyncio.sleep(LOOK)
    except TimeoutError:
        raise Refused(f"Prefect's {name} did not come up in {PATIENCE:.0f} s", remedy=f"read {log}") from None


async def _answers(http: httpx.AsyncClient, path: str) -> bool:
    try:
        return (await http.get(path)).is_success
    except httpx.HTTPError:
        return False


async def _online(http: httpx.AsyncClient, pool: str) -> bool:
    answer = await http.post(f"/work_pools/{pool}/workers/filter", json={})
    return answer.is_success and any(worker.get("status") == "ONLINE" for worker in answer.json())


def _tail(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-3:]) or "its log is empty"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a server that just ended linger
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            raise Refused(
                f"port {port} is in use", remedy="give another one with --port, or use the server that is there"
            ) from None
