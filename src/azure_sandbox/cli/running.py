"""The commands that control a running sandbox: `clock`, `fault` and `report`."""

from __future__ import annotations

import json
from typing import Annotated, Any, NoReturn

import typer

from azure_sandbox.cli.control_client import NoSandbox, Refused, ask, port_around

DEFAULT_PORT = 18460
MISUSED = 2

PortOption = Annotated[
    int | None, typer.Option(help="Port of the sandbox. Default: the sandbox that this shell is in, then 18460.")
]
ProxyPortOption = Annotated[int, typer.Option(help="Port of the proxy on 127.0.0.1.", min=0, max=65535)]
PersonOption = Annotated[
    bool,
    typer.Option("--person", help="Leave the operator's credentials out of the environment, for a person's terminal."),
]

NetworkOption = Annotated[
    str, typer.Option("--network", envvar="AZURE_SANDBOX_NETWORK", help="Network of the world in which the client is.")
]

clock = typer.Typer(help="Show or advance the clock of a running sandbox.", no_args_is_help=True, add_completion=False)
fault = typer.Typer(help="Inject faults into a running sandbox.", no_args_is_help=True, add_completion=False)


def wanted_port(port: int | None) -> int:
    """Return the given port, or the port of the sandbox that this process is in, or the default port."""
    return port or port_around() or DEFAULT_PORT


def fail(words: str, code: int) -> NoReturn:
    """Print a message on stderr, and exit with the code."""
    typer.echo(f"aks-entra-sandbox: {words}", err=True)
    raise typer.Exit(code)


def asked(port: int | None, method: str, path: str, body: object = None) -> Any:
    """Send a request to the running sandbox and return its answer. On an error, print it and exit."""
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
    """Advance the clock at once. With `--pace by-hand`, time passes in no other way."""
    _print(asked(port, "POST", "/clock/advance", {"by": by}))


@clock.command("show")
def show(port: PortOption = None) -> None:
    """Show the time in the sandbox."""
    _print(asked(port, "GET", "/clock"))


@fault.command("add")
def add(  # noqa: PLR0913, PLR0917  # one argument per option
    kind: Annotated[
        str,
        typer.Argument(
            help="status, reset, lost, hang, slow, truncated, throttle, … (docs/reference/sandbox.md lists all)"
        ),
    ],
    method: Annotated[
        str | None, typer.Option(help="HTTP method of the requests that the fault hits. Default: any.")
    ] = None,
    path: Annotated[str | None, typer.Option(help="Regular expression that matches part of the path.")] = None,
    host: Annotated[str | None, typer.Option(help="Glob of the host. Default: management.azure.com.")] = None,
    status: Annotated[int | None, typer.Option(help="Status of the answer (kind status).")] = None,
    code: Annotated[str | None, typer.Option(help="Error code of the answer (kind status).")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Length of the delay (kinds hang and slow), or Retry-After (kind throttle).")
    ] = None,
    change: Annotated[str | None, typer.Option(help="JSON that another writer merges into the cluster.")] = None,
    operation: Annotated[
        str | None, typer.Option(help="Kind of operation that the fault hits: rotate, update, create, …")
    ] = None,
    cluster: Annotated[str | None, typer.Option(help="Glob of cluster names (faults of operations).")] = None,
    at: Annotated[
        float | None, typer.Option(help="Point in the operation at which the fault happens, from 0 (start) to 1 (end).")
    ] = None,
    factor: Annotated[
        float | None, typer.Option(help="Factor by which the operation takes longer (kind slow).")
    ] = None,
    times: Annotated[int, typer.Option(help="How many requests or operations the fault hits.", min=1)] = 1,
    port: PortOption = None,
) -> None:
    """Queue a fault for the next request or operation that matches."""
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
            fail(f"--change is not valid JSON: {error}", MISUSED)
    _print(asked(port, "POST", "/faults", body))


@fault.command("list")
def list_(port: PortOption = None) -> None:
    """List the queued faults, and count how many were injected, consumed and left over."""
    _print(asked(port, "GET", "/faults"))


@fault.command("clear")
def clear(port: PortOption = None) -> None:
    """Remove the queued faults."""
    _print(asked(port, "DELETE", "/faults"))


def report(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    port: PortOption = None,
) -> None:
    """Show what a running sandbox was asked: requests, routes it does not model, hosts it refused, faults."""
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
    """Add the commands to the application."""
    app.add_typer(clock, name="clock")
    app.add_typer(fault, name="fault")
    app.command("report")(report)
