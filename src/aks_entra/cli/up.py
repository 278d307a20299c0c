"""`aks-entra up`: Prefect's server, the runbooks and one worker on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from aks_entra.cli import output

DEFAULT_PORT = 4200


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(up)


def up(
    *,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of Prefect's server.")] = DEFAULT_PORT,
    pool: Annotated[str, typer.Option("--pool", help="Work pool that the worker serves.")] = "aks-entra",
) -> None:
    """Start a Prefect server with the runbooks and one worker here; Ctrl-C stops them and what they run."""
    with output.guarded():
        if not pool.strip():
            output.usage("--pool names no work pool", remedy="leave it out, or name one")
    output.run(_serve(port, pool))


async def _serve(port: int, pool: str) -> None:
    from aks_entra.cli.local import prefect_here  # noqa: PLC0415 - `--help` starts without it

    async with prefect_here(port=port, pool=pool, tell=output.say) as place:
        output.say(f"Prefect is ready: {place.page}", style="good")
        output.say(f"  in another terminal: export PREFECT_API_URL={place.api}")
        output.say(f"  state and logs are under {place.home}; Ctrl-C stops everything")
        await asyncio.Event().wait()
