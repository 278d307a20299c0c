"""`aks-entra-sandbox`: run a command inside a local Azure, or keep one up for a terminal."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NoReturn, TextIO

import typer

from azure_sandbox import cli_running, cli_world
from azure_sandbox.child import Child, end_with_parent
from azure_sandbox.cluster.real.instance import DidNotStart
from azure_sandbox.report import Exchange
from azure_sandbox.server import Sandbox
from azure_sandbox.sign_in import NoSandbox, NotSignedIn, environment_of, port_around, sign_in
from azure_sandbox.world import World, WorldError
from azure_sandbox.world_import import import_files

DEFAULT_PORT = cli_running.DEFAULT_PORT
DEFAULT_PACE_NAME = "fast"
MISUSED = 2
CREDENTIALS = ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")  # kubelogin would prefer them to its own client

app = typer.Typer(
    help="A local Azure for AKS, Microsoft Entra ID and Microsoft Graph, on loopback.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

WorldOption = Annotated[
    Path | None, typer.Option(help="World file (YAML), or `demo`. Default: an operator, an empty subscription.")
]
PaceOption = Annotated[
    str, typer.Option(help="real, fast (1000), instant, by-hand, or a number: seconds of Azure per real second.")
]
SeedOption = Annotated[int | None, typer.Option(help="Draw durations from recorded ones, the same in every run.")]
ThrottleOption = Annotated[bool, typer.Option("--throttle", help="Refuse with 429 what Azure's token buckets refuse.")]
ImportOption = Annotated[
    list[Path] | None,
    typer.Option("--import", help="What `az aks list -o json` and others printed, instead of a world."),
]
StateOption = Annotated[Path | None, typer.Option(help="Folder in which everything survives a restart.")]
ReplicationOption = Annotated[float, typer.Option(help="Seconds until reads see a directory write.", min=0.0)]
LogOption = Annotated[Path | None, typer.Option(help="Append one JSON line per request: host, method, path, status.")]
PersonOption = Annotated[
    bool, typer.Option("--person", help="A person's terminal: without the operator's credentials in the environment.")
]
PortOption = Annotated[int, typer.Option(help="Port of the proxy on 127.0.0.1.", min=0, max=65535)]


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
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
    throttle: ThrottleOption = False,
    person: PersonOption = False,
) -> None:
    """Run COMMAND inside a sandbox of its own; exits with the command's exit code and leaves nothing behind."""
    end_with_parent()
    with ExitStack() as stack:
        wanted = Wanted(world, imported, pace, replication, log, seed, state, throttle=throttle)
        sandbox = _sandbox(stack, wanted)
        try:
            raise typer.Exit(asyncio.run(_exec(sandbox, command, person=person)))
        except DidNotStart as error:
            _fail(str(error), 1)


@app.command()
def up(  # noqa: PLR0913  # one argument per option
    world: WorldOption = None,
    pace: PaceOption = DEFAULT_PACE_NAME,
    replication: ReplicationOption = 0.0,
    log: LogOption = None,
    port: PortOption = DEFAULT_PORT,
    imported: ImportOption = None,
    seed: SeedOption = None,
    state: StateOption = None,
    *,
    throttle: ThrottleOption = False,
) -> None:
    """Keep a sandbox up until Ctrl-C; `aks-entra-sandbox env` prints how to get in."""
    with ExitStack() as stack:
        wanted = Wanted(world, imported, pace, replication, log, seed, state, throttle=throttle)
        sandbox = _sandbox(stack, wanted, port=port)
        asyncio.run(_up(sandbox))


@app.command()
def env(port: PortOption = DEFAULT_PORT, *, person: PersonOption = False) -> None:
    """Print export lines for the sandbox that is up: eval "$(aks-entra-sandbox env)"."""
    try:
        lines = environment_of(port).splitlines(keepends=True)
        hidden = tuple(f"export {name}=" for name in CREDENTIALS) if person else ()
        typer.echo("".join(line for line in lines if not line.startswith(hidden)), nl=False)
    except NoSandbox as error:
        _fail(f"no sandbox is up on port {port} ({error}); start one with: aks-entra-sandbox up --port {port}", 1)


@app.command("sign-in")
def sign_in_command(
    code: Annotated[str, typer.Argument(help="The code that the terminal shows.")],
    name: Annotated[str, typer.Option("--as", help="Who signs in: a user's name, upn or id.")],
    port: Annotated[int | None, typer.Option(help="Port of the sandbox. Default: the one around us.")] = None,
) -> None:
    """Enter the CODE of a device-code sign-in as a user of the world, as one would at microsoft.com/devicelogin."""
    wanted = port or port_around() or DEFAULT_PORT
    try:
        typer.echo(f"{sign_in(code, name, wanted)} has signed in")
    except NoSandbox as error:
        _fail(f"no sandbox is up on port {wanted} ({error}); start one with: aks-entra-sandbox up", 1)
    except NotSignedIn as error:
        _fail(str(error), 1)


cli_running.register(app)
cli_world.register(app)


def main() -> None:
    """The entry point."""
    app(prog_name="aks-entra-sandbox")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The sandbox that a command line asks for."""

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
            _fail(f"--log {wanted.log}: {error.strerror}", MISUSED)
        observe = _Log(file)
    if wanted.world is not None and wanted.imported:
        _fail("--world and --import exclude each other: import first (world import), then edit the world", MISUSED)
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
        _fail(str(error), MISUSED)


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
            "status": exchange.status,
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


async def _exec(sandbox: Sandbox, command: list[str], *, person: bool) -> int:
    async with sandbox:
        try:
            environment = sandbox.environment
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
            _fail(f"port {sandbox.proxy.port}: {error.strerror}; choose another with --port", 1)
        except DidNotStart as error:
            _fail(str(error), 1)
        port = sandbox.proxy.port
        option = "" if port == DEFAULT_PORT else f" --port {port}"
        typer.echo(f"The sandbox is up: proxy {sandbox.proxy.url}, pace {sandbox.pace}. Ctrl-C ends it.", err=True)
        typer.echo(f'In another terminal: eval "$(aks-entra-sandbox env{option})"', err=True)
        await over.wait()


def _fail(words: str, code: int) -> NoReturn:
    typer.echo(f"aks-entra-sandbox: {words}", err=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    main()
