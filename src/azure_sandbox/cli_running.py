"""Commands about a sandbox that runs: its clock, its faults, its report."""

from __future__ import annotations

import json
from typing import Annotated, Any, NoReturn

import typer

from azure_sandbox.running import Refused, ask
from azure_sandbox.sign_in import NoSandbox, port_around

DEFAULT_PORT = 18460
MISUSED = 2

PortOption = Annotated[int | None, typer.Option(help="Port of the sandbox. Default: the one around us.")]

clock = typer.Typer(help="The time of a running sandbox.", no_args_is_help=True, add_completion=False)
fault = typer.Typer(help="What goes wrong in a running sandbox.", no_args_is_help=True, add_completion=False)


def wanted_port(port: int | None) -> int:
    """The port that was named, or of the sandbox around us, or the usual one."""
    return port or port_around() or DEFAULT_PORT


def fail(words: str, code: int) -> NoReturn:
    """End with a message of ours on stderr."""
    typer.echo(f"aks-entra-sandbox: {words}", err=True)
    raise typer.Exit(code)


def asked(port: int | None, method: str, path: str, body: object = None) -> Any:
    """Ask the running sandbox, or end with what it says."""
    at = wanted_port(port)
    try:
        return ask(at, method, path, body)
    except NoSandbox as error:
        fail(f"no sandbox is up on port {at} ({error}); start one with: aks-entra-sandbox up", 1)
    except Refused as error:
        fail(str(error), MISUSED)


def _print(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2))


@clock.command("advance")
def advance(
    by: Annotated[str, typer.Argument(help="How far: 90s, 10m, 2h, 1d.")],
    port: PortOption = None,
) -> None:
    """Let so much of Azure's time pass at once (with --pace by-hand, the only way that it passes)."""
    _print(asked(port, "POST", "/clock/advance", {"by": by}))


@clock.command("show")
def show(port: PortOption = None) -> None:
    """What time it is in the sandbox."""
    _print(asked(port, "GET", "/clock"))


@fault.command("add")
def add(  # noqa: PLR0913, PLR0917  # one argument per option
    kind: Annotated[str, typer.Argument(help="status, reset, lost, hang, slow, truncated, throttle, … (see the docs)")],
    method: Annotated[str | None, typer.Option(help="HTTP method of the requests that meet it.")] = None,
    path: Annotated[str | None, typer.Option(help="Regular expression that their path contains.")] = None,
    host: Annotated[str | None, typer.Option(help="Glob of their host. Default: management.azure.com.")] = None,
    status: Annotated[int | None, typer.Option(help="Status of the answer (kind status).")] = None,
    code: Annotated[str | None, typer.Option(help="Error code of the answer (kind status).")] = None,
    seconds: Annotated[float | None, typer.Option(help="How long (hang, slow), or Retry-After (throttle).")] = None,
    change: Annotated[str | None, typer.Option(help="JSON that the other writer merges into the cluster.")] = None,
    operation: Annotated[str | None, typer.Option(help="Kind of operation: rotate, update, create, …")] = None,
    cluster: Annotated[str | None, typer.Option(help="Glob of cluster names (faults of operations).")] = None,
    at: Annotated[float | None, typer.Option(help="Share of the operation's length at which it happens.")] = None,
    factor: Annotated[float | None, typer.Option(help="How many times as long (kind slow of operations).")] = None,
    times: Annotated[int, typer.Option(help="How many requests or operations meet it.", min=1)] = 1,
    port: PortOption = None,
) -> None:
    """Queue a fault for the next request or operation that fits."""
    given = {
        "kind": "slow-operation" if kind == "slow" and (operation or factor) else kind,
        "method": method,
        "path": path,
        "host": host,
        "status": status,
        "code": code,
        "seconds": seconds,
        "operation": operation,
        "cluster": cluster,
        "at": at,
        "factor": factor,
    }
    body: dict[str, Any] = {name: value for name, value in given.items() if value is not None} | {"times": times}
    if change is not None:
        try:
            body["change"] = json.loads(change)
        except ValueError as error:
            fail(f"--change is no JSON: {error}", MISUSED)
    _print(asked(port, "POST", "/faults", body))


@fault.command("list")
def list_(port: PortOption = None) -> None:
    """The faults that are waiting, and the account: injected, consumed, left over."""
    _print(asked(port, "GET", "/faults"))


@fault.command("clear")
def clear(port: PortOption = None) -> None:
    """Forget the faults that are waiting."""
    _print(asked(port, "DELETE", "/faults"))


def report(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    port: PortOption = None,
) -> None:
    """What the running sandbox has seen: requests, what it does not model, hosts that it refused, faults."""
    found = asked(port, "GET", "/report")
    if as_json:
        _print(found)
        return
    for host, statuses in found["requests"].items():
        counted = ", ".join(f"{number} x {status}" for status, number in statuses.items())
        typer.echo(f"{host}: {counted}")
    for title, key in (("not modelled", "unmodelled"), ("refused hosts", "refusedHosts")):
        typer.echo(f"{title}: {sum(found[key].values())}")
        for line, number in found[key].items():
            typer.echo(f"  {number} x {line}")
    faults = found["faults"]
    typer.echo(f"faults: {faults['injected']} injected, {faults['consumed']} consumed, {faults['left']} left over")


def register(app: typer.Typer) -> None:
    """Put the commands into the application."""
    app.add_typer(clock, name="clock")
    app.add_typer(fault, name="fault")
    app.command("report")(report)
