"""The commands that start a sandbox: `exec` runs a command inside one, `up` keeps one running."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TextIO

import typer

from azure_sandbox.cli.child import Child, end_with_parent
from azure_sandbox.cli.control_client import CREDENTIALS
from azure_sandbox.cli.running import DEFAULT_PORT, MISUSED, NetworkOption, PersonOption, ProxyPortOption, fail
from azure_sandbox.cluster.real.instance import DidNotStart
from azure_sandbox.front.traffic_report import Exchange
from azure_sandbox.server import Sandbox, known_networks
from azure_sandbox.world.importing.files import import_files
from azure_sandbox.world.model import World, WorldError

DEFAULT_PACE_NAME = "fast"
WorldOption = Annotated[
    Path | None,
    typer.Option(
        help="World file (YAML), or a built-in world: `demo`. Default: an operator and an empty subscription."
    ),
]
PaceOption = Annotated[
    str,
    typer.Option(help="Speed of time: real, fast (1000), instant, by-hand, or seconds of Azure time per real second."),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        help="Seed for drawing durations of operations from recorded ones. The same seed gives the same durations."
    ),
]
ThrottleOption = Annotated[
    bool, typer.Option("--throttle", help="Throttle as Azure does: answer 429 when a token bucket is empty.")
]
ImportOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--import",
        help="File with the output of `az aks list -o json` or a similar command, instead of a world. Repeatable.",
    ),
]
StateOption = Annotated[Path | None, typer.Option(help="Folder that keeps the state of the sandbox across restarts.")]
ReplicationOption = Annotated[float, typer.Option(help="Seconds until a directory write is visible to reads.", min=0.0)]
LogOption = Annotated[
    Path | None,
    typer.Option(help="Append one JSON line per request: host, method, path, query, status, caller, milliseconds."),
]


def exec(  # noqa: A001, PLR0913  # the command's name; one argument per option
    command: Annotated[list[str], typer.Argument(help="The command and its arguments, after `--`.")],
    world: WorldOption = None,
    pace: PaceOption = DEFAULT_PACE_NAME,
    replication: ReplicationOption = 0.0,
    log: LogOption = None,
    imported: ImportOption = None,
    seed: SeedOption = None,
    state: StateOption = None,
    *,
    network: NetworkOption = "",
    throttle: ThrottleOption = False,
    person: PersonOption = False,
) -> None:
    """Run COMMAND inside a new sandbox, exit with its exit code, and leave nothing behind."""
    end_with_parent()
    with ExitStack() as stack:
        wanted = Wanted(world, imported, pace, replication, log, seed, state, throttle=throttle)
        sandbox = _sandbox(stack, wanted)
        if network not in sandbox.networks:
            fail(f"--network {network}: {known_networks(sandbox.networks)}", MISUSED)
        try:
            raise typer.Exit(asyncio.run(_exec(sandbox, command, network, person=person)))
        except DidNotStart as error:
            fail(str(error), 1)


def up(  # noqa: PLR0913  # one argument per option
    world: WorldOption = None,
    pace: PaceOption = DEFAULT_PACE_NAME,
    replication: ReplicationOption = 0.0,
    log: LogOption = None,
    port: ProxyPortOption = DEFAULT_PORT,
    imported: ImportOption = None,
    seed: SeedOption = None,
    state: StateOption = None,
    *,
    throttle: ThrottleOption = False,
) -> None:
    """Run a sandbox until Ctrl-C. `aks-entra-sandbox env` prints the environment of a client."""
    with ExitStack() as stack:
        wanted = Wanted(world, imported, pace, replication, log, seed, state, throttle=throttle)
        sandbox = _sandbox(stack, wanted, port=port)
        asyncio.run(_up(sandbox))


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of a sandbox, as they were typed."""

    world: Path | None
    imported: list[Path] | None
    pace: str
    replication: float
    log: Path | None
    seed: int | None
    state: Path | None
    throttle: bool = field(kw_only=True, default=False)


def _sandbox(stack: ExitStack, wanted: Wanted, *, port: int = 0) -> Sandbox:
    observe = None
    if wanted.log is not None:
        try:
            file = stack.enter_context(wanted.log.open("a", encoding="utf-8"))
        except OSError as error:
            fail(f"--log {wanted.log}: {error.strerror}", MISUSED)
        observe = _Log(file)
    if wanted.world is not None and wanted.imported:
        fail(
            "--world and --import exclude each other. Use `world import` to write a world file, and edit it",
            MISUSED,
        )
    try:
        return Sandbox(
            _imported(wanted.imported) if wanted.imported else wanted.world,
            pace=wanted.pace,
            seed=wanted.seed,
            throttle=wanted.throttle,
            state=wanted.state,
            replication=wanted.replication,
            port=port,
            observe=observe,
        )
    except (WorldError, ValueError) as error:
        fail(str(error), MISUSED)


def _imported(files: list[Path]) -> World:
    return World.model_validate(import_files(files, tell=lambda note: typer.echo(note, err=True)))


class _Log:
    """Writes exchanges as JSON lines."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __call__(self, exchange: Exchange) -> None:
        line = {
            "at": exchange.at.isoformat(),
            "host": exchange.host,
            "method": exchange.method,
            "path": exchange.path,
            "query": exchange.query,
            "status": exchange.status,
            "caller": exchange.caller,
            "milliseconds": exchange.milliseconds,
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


async def _exec(sandbox: Sandbox, command: list[str], network: str, *, person: bool) -> int:
    async with sandbox:
        try:
            environment = sandbox.environment_in(network)
            if person:
                environment = {name: value for name, value in environment.items() if name not in CREDENTIALS}
            return await Child(command, environment, spare=sandbox.spare).run()
        except FileNotFoundError:
            typer.echo(f"aks-entra-sandbox: {command[0]}: command not found", err=True)
            return 127
        except OSError as error:
            typer.echo(f"aks-entra-sandbox: {command[0]}: {error.strerror}", err=True)
            return 126


async def _up(sandbox: Sandbox) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, over.set)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(sandbox)
        except OSError as error:
            fail(f"port {sandbox.proxy.port}: {error.strerror}; choose another port with --port", 1)
        except DidNotStart as error:
            fail(str(error), 1)
        port = sandbox.proxy.port
        option = "" if port == DEFAULT_PORT else f" --port {port}"
        typer.echo(f"The sandbox is up: proxy {sandbox.proxy.url}, pace {sandbox.pace}. Ctrl-C ends it.", err=True)
        typer.echo(f'In another terminal: eval "$(aks-entra-sandbox env{option})"', err=True)
        await over.wait()


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(exec)
    app.command("up")(up)
