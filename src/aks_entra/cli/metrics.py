"""`aks-entra metrics`: serve what operators watch to Prometheus, or print it once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final, NoReturn

import typer
from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.registry import Collector

from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client
from aks_entra.errors import Refused
from aks_entra.report import metrics as metrics_view

LISTEN: Final = "127.0.0.1:9464"
TIMEOUT: Final = 8.0
"""Seconds. Prometheus ends a scrape after ten."""
_HIGHEST: Final = 65535


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(metrics)


def metrics(
    *,
    listen: Annotated[
        str,
        typer.Option(
            "--listen",
            metavar="HOST:PORT",
            help="Serve `/metrics` at this address. It asks nobody for authentication.",
        ),
    ] = LISTEN,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", min=0.1, metavar="SECONDS", help="Wait this long for Prefect's server at each scrape."
        ),
    ] = TIMEOUT,
    once: Annotated[
        bool, typer.Option("--once", help="Print the metrics once, for a file of a textfile collector, and exit.")
    ] = False,
) -> None:
    """Serve waiting gates, verdicts, owed rotations, open break-glass and overdue schedules to Prometheus.

    Each scrape reads Prefect's server. What cannot be read is left out, and `aks_entra_up` of its collector is 0.
    """
    with output.guarded():
        address = address_of(listen)
    output.run(_print(timeout) if once else _serve(address, timeout))


def address_of(listen: str) -> tuple[str, int]:
    """Return the host and the port of `--listen`. Raises Refused for any other text."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal() and int(port) <= _HIGHEST):
        raise Refused(f"--listen {listen!r} is no address", remedy=f"write HOST:PORT, for example {LISTEN}")
    return host, int(port)


async def _print(seconds: float) -> None:
    await prefect_client.require_server()
    output.emit_text(metrics_view.text(await prefect_client.measure(seconds)))


async def _serve(address: tuple[str, int], seconds: float) -> NoReturn:
    api = await prefect_client.require_server()
    with serving(address, _Scrape(asyncio.get_running_loop(), seconds)) as url:
        output.say(f"metrics of {api}: {url}", "  Ctrl-C ends it", style="good")
        await asyncio.Event().wait()
    raise AssertionError  # pragma: no cover - nothing sets the event


@contextmanager
def serving(address: tuple[str, int], collector: Collector) -> Iterator[str]:
    """Serve a collector over HTTP in the block. Yields its URL. Raises Refused if the address cannot be used."""
    registry = CollectorRegistry()
    registry.register(collector)
    host, port = address
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise Refused(
            f"--listen {host}:{port} cannot be used: {error.strerror or error}", remedy="choose another address or port"
        ) from error
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Scrape(Collector):
    """Reads Prefect's server at each scrape. A scrape has a thread, and the reading is done by the command's loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds

    def collect(self) -> Iterable[Metric]:
        found = asyncio.run_coroutine_threadsafe(prefect_client.measure(self._seconds), self._loop).result()
        return metrics_view.families(found)
