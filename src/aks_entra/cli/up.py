"""`aks-entra up`: run a Prefect server, the flows and one worker on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client
from aks_entra.cli.local.server import prefect_here
from aks_entra.errors import AksEntraError

if TYPE_CHECKING:
    from aks_entra.core.schedules import Overdue

DEFAULT_PORT = 4200
FIRST_LOOK: Final = 600.0  # seconds: runs whose time came while `up` did not run begin soon after its start
BETWEEN_LOOKS: Final = 300.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(up)


def up(
    *,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the Prefect server.")] = DEFAULT_PORT,
    pool: Annotated[str, typer.Option("--pool", help="Work pool of the worker.")] = "aks-entra",
    work_queue: Annotated[
        str,
        typer.Option(
            "--work-queue", help="Work queue whose runs the worker takes. Default: all queues.", show_default=False
        ),
    ] = "",
) -> None:
    """Run a Prefect server, the flows and one worker on this machine. Ctrl-C stops them and the runs."""
    with output.guarded():
        if not pool.strip():
            output.usage("--pool names no work pool", remedy="leave it out, or name one")
    output.run(_serve(port, pool, work_queue))


async def _serve(port: int, pool: str, work_queue: str) -> None:
    async with prefect_here(port=port, pool=pool, work_queue=work_queue, tell=output.say) as place:
        output.say(f"Prefect is ready: {place.page}", style="good")
        output.say(f"  in another terminal: export PREFECT_API_URL={place.api}")
        output.say(
            f"  the API asks for authentication with the string in {place.auth_file}, which aks-entra finds by itself",
            f"  for other programs: export PREFECT_API_AUTH_STRING=$(cat {place.auth_file})",
            "  in a browser: log in with this string before you follow a link to a run",
            '  (until then Prefect answers such a link with "Page not found")',
            f"  records are kept in {place.records or 'the database alone, because AKS_ENTRA_RECORDS is empty'}",
            f"  state and logs are under {place.home}; Ctrl-C stops everything",
        )
        await warn_of_records(prefect_client.has_records_only_at_prefect)
        await watch_schedules(prefect_client.overdue_schedules, asyncio.sleep)


async def warn_of_records(look: Callable[[], Awaitable[bool]]) -> None:
    """Warn if `look` finds records that the store lacks. That nobody could look is only a warning, too."""
    try:
        found = await look()
    except AksEntraError as error:
        output.say(f"warning: {error.message}", f"  → {error.remedy}", style="warning")
        return
    except Exception as error:  # noqa: BLE001 - a server that died is restarted, and the next `up` looks again
        output.say(f"the records could not be looked at: {type(error).__name__}", style="dim")
        return
    if found:
        output.say(
            "earlier records are only in Prefect's database",
            "  → let no run work, then copy them: aks-entra records import --from-prefect",
            style="warning",
        )


async def watch_schedules(
    look: Callable[[], Awaitable[tuple[Overdue, ...]]], pause: Callable[[float], Awaitable[None]]
) -> NoReturn:
    """Check the schedules without end. Warn about each that does not run, once until it has run again."""
    said: frozenset[str] = frozenset()
    await pause(FIRST_LOOK)
    while True:
        try:
            overdue = await look()
        except Exception as error:  # noqa: BLE001 - a server that died is restarted, and is asked again
            output.say(f"the schedules could not be checked: {type(error).__name__}", style="dim")
        else:
            for one in overdue:
                if one.deployment not in said:
                    output.say(f"warning: {one}", f"  → {one.remedy}", style="warning")
            said = frozenset(one.deployment for one in overdue)
        await pause(BETWEEN_LOOKS)
