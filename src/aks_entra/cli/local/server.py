"""A real Prefect server, the deployments and one process worker on this machine, for as long as a command runs.

Enter it before prefect is imported, because Prefect reads its settings from the environment at import. The server keeps
its database under `.aks-entra/` (or AKS_ENTRA_HOME), and records are kept beside it unless AKS_ENTRA_RECORDS names
another store, so plans, evidence and reports are still there the next time.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

import httpx

from aks_entra.cli.local.processes import LOOK, adopt_orphans, stop, stop_marked
from aks_entra.cli.local.runbooks import POOL_TEMPLATE, find_checkout, run_folder
from aks_entra.cli.local.server_api import LocalApi
from aks_entra.errors import Refused
from aks_entra.host import core_dumps, server_auth
from aks_entra.host.file_trust import open_private, private_folder, reason_to_distrust

POOL: Final = "aks-entra"
LOOPBACK: Final = "127.0.0.1"
RECORDS: Final = "AKS_ENTRA_RECORDS"
MARK: Final = "AKS_ENTRA_STARTED_BY"
"""Variable in the environment of every process that is started here, so that it is found even if its parent died."""
PATIENCE: Final = 120.0  # seconds for a server or a worker to start on a slow machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """The addresses and folders of the server and the worker."""

    api: str
    page: str
    home: Path
    checkout: Path
    pool: str
    folder: Path  # where Prefect's processes start: it has the runbooks, and no file with settings of Prefect
    auth_file: Path  # holds the API's authentication string; only this user can read it

    @property
    def records(self) -> str:
        """The store of records: what AKS_ENTRA_RECORDS says, or a folder. Empty: the database alone keeps records."""
        said = os.environ.get(RECORDS, str(self.home / "records"))
        return str(Path(said).absolute()) if said and "://" not in said else said


def environment(place: Local, auth: str) -> dict[str, str]:
    """Return what worker and clients need in addition to the present environment. `auth` is the API's string."""
    quiet = [*filter(None, os.environ.get("NO_PROXY", os.environ.get("no_proxy", "")).split(","))]
    no_proxy = ",".join(dict.fromkeys([*quiet, LOOPBACK, "localhost", "::1"]))
    return {
        "PREFECT_HOME": str(place.home / "prefect"),
        "PREFECT_API_URL": place.api,
        "PREFECT_API_AUTH_STRING": auth,
        "PREFECT_UI_URL": place.page,
        "DO_NOT_TRACK": "1",
        "PREFECT_CLIENT_MAX_RETRIES": "10",  # an outage of half a minute does no harm
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_WORKER_QUERY_SECONDS": os.environ.get("PREFECT_WORKER_QUERY_SECONDS", "2"),
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "AKS_ENTRA_CHECKOUT": str(place.folder),
        RECORDS: place.records,
        MARK: uuid4().hex,
        "NO_PROXY": no_proxy,  # or else Prefect's websocket goes through the proxy, which refuses it
        "no_proxy": no_proxy,
    }


def server_environment(place: Local, auth: str) -> dict[str, str]:
    """Return what only the server needs in addition to `environment`: whom it answers, and how it stores records."""
    address, _, port = place.page.removeprefix("http://").partition(":")
    return {
        server_auth.SET_BY_HAND: auth,
        "PREFECT_SERVER_API_HOST": address,
        "PREFECT_SERVER_API_PORT": port,
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": place.page,  # these names take precedence over Prefect's older ones
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_UI_API_URL": place.api,
        "PREFECT_SERVER_UI_API_URL": place.api,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_TRIGGERS_READ_BATCH_SIZE": "50",
        # Task runs and events are written in groups, a second later: SQLite has one writer, and batches wait for it.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    }


@asynccontextmanager
async def prefect_here(
    *,
    port: int | None = None,
    pool: str = POOL,
    work_queue: str = "",
    tell: Callable[[str], None] = lambda _text: None,
) -> AsyncIterator[Local]:
    """Start server, deployments and worker. At the end stop them, with every flow run that they started.

    With `port` None any free port is used. From then on, the environment of this process points to the server.
    `work_queue`: the worker takes only the runs of this queue. Empty: those of all queues.
    """
    core_dumps.forbid()  # the limit holds for everything that is started here
    adopt_orphans()
    chosen = port or _free_port()
    base = f"http://{LOOPBACK}:{chosen}"
    place = _place(base, pool)
    _require_free(chosen)
    if reason := reason_to_distrust(place.home):
        tell(f"warning: other users can replace {place.home}: {reason}")
    auth = server_auth.new_string()
    settings = environment(place, auth)
    os.environ.update(settings)
    serving = {**os.environ, **server_environment(place, auth)}
    os.environ.pop(server_auth.SET_BY_HAND, None)  # only the server gets it
    async with AsyncExitStack() as stack:
        stack.push_async_callback(stop_marked, f"{MARK}={settings[MARK]}")
        stack.enter_context(server_auth.stored(place.api, auth, place.home, records=place.records))
        tell(f"starting Prefect at {base}")
        server = await stack.enter_async_context(_kept(place, "server", ("server", "start"), tell, serving))
        async with httpx.AsyncClient(
            base_url=place.api,
            trust_env=False,
            timeout=10.0,
            headers=server_auth.header(auth),
            limits=httpx.Limits(max_keepalive_connections=0),  # the server closes a connection that is idle
        ) as http:
            api = LocalApi(http)
            await _until(api.healthy, server, place, "server")
            tell("starting a worker, deploying the runbooks")
            if await api.set_pool(pool, json.loads((place.checkout / POOL_TEMPLATE).read_text(encoding="utf-8"))):
                tell(f"work pool {pool}: its base job template was replaced by {POOL_TEMPLATE}")
            working: tuple[str, ...] = ("worker", "start", "--pool", pool, "--type", "process", "--name", "local")
            working = (*working, "--work-queue", work_queue) if work_queue else working
            worker = await stack.enter_async_context(_kept(place, "worker", working, tell, dict(os.environ)))
            await _deploy(place)
            await _until(lambda: api.online(pool), worker, place, "worker")
        yield place


def _place(base: str, pool: str) -> Local:
    """Create the folders, which no other user can enter."""
    checkout = find_checkout()
    home = private_folder(server_auth.home())
    for name in ("logs", "prefect"):
        private_folder(home / name)
    return Local(
        api=f"{base}/api",
        page=base,
        home=home,
        checkout=checkout,
        pool=pool,
        folder=run_folder(home, checkout),
        auth_file=server_auth.file_of(f"{base}/api", home),
    )


async def _deploy(place: Local) -> None:
    log = place.home / "logs" / "deploy.log"
    with os.fdopen(open_private(log), "wb") as out:
        process = await _start(place, _prefect("--no-prompt", "deploy", "--all"), out, dict(os.environ))
        try:
            status = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
    if status:
        raise Refused(f"prefect deploy failed: {_tail(log)}", remedy=f"read {log}")


async def _start(
    place: Local, command: tuple[str, ...], log: BinaryIO, environment: Mapping[str, str]
) -> asyncio.subprocess.Process:
    """Start one of Prefect's commands in the folder of the runbooks. Only this user can read what it writes."""
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=place.folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        umask=0o077,
        start_new_session=True,  # Ctrl-C in the terminal reaches only this process, which stops the others in order
    )


@asynccontextmanager
async def _process(
    place: Local, name: str, command: tuple[str, ...], environment: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run one of Prefect's long-running commands. At the end stop it, with every process that it started."""
    with os.fdopen(open_private(place.home / "logs" / f"{name}.log", append=True), "ab") as log:
        process = await _start(place, _prefect(*command), log, environment)
        try:
            yield process
        finally:
            await asyncio.shield(stop(process))


@asynccontextmanager
async def _kept(
    place: Local, name: str, command: tuple[str, ...], tell: Callable[[str], None], environment: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Keep one of these commands running: if it dies, start another one. Yields the first process."""
    first: asyncio.Future[asyncio.subprocess.Process] = asyncio.get_running_loop().create_future()

    async def keep() -> None:
        while True:
            async with _process(place, name, command, environment) as process:
                if not first.done():
                    first.set_result(process)
                status = await process.wait()
            tell(f"the {name} ended (exit code {status}): starting another one")
            await asyncio.sleep(LOOK)

    keeping = asyncio.create_task(keep())
    try:
        yield await first
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


def _prefect(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "aks_entra.prefect_client", *arguments)


async def _until(
    ready: Callable[[], Awaitable[bool]], process: asyncio.subprocess.Process, place: Local, name: str
) -> None:
    """Wait until something is ready. Raises Refused, with the end of the log, if its process ends or takes too long."""
    log = place.home / "logs" / f"{name}.log"
    try:
        async with asyncio.timeout(PATIENCE):
            while not await ready():
                if process.returncode is not None:
                    raise Refused(f"Prefect's {name} ended at once: {_tail(log)}", remedy=f"read {log}")
                await asyncio.sleep(LOOK)
    except TimeoutError:
        raise Refused(f"Prefect's {name} did not start within {PATIENCE:.0f} s", remedy=f"read {log}") from None


def _tail(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-3:]) or "its log is empty"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # connections of a server that has just ended linger
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            raise Refused(
                f"port {port} is in use", remedy="choose another one with --port, or use the server that runs there"
            ) from None
