"""Warns a person who is about to rely on a sweep that the sweep does not run."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client

_PATIENCE: Final = 15.0
"""Seconds to wait for Prefect's server. It may be down, and the command must not wait for it."""


async def warn(deployment: str, consequence: str) -> None:
    """Warn if a scheduled deployment (`flow/deployment`) does not run. `consequence` says what that means now.

    Without a Prefect server nothing is printed. If it does not answer, the warning says that this is unknown.
    """
    if not os.environ.get("PREFECT_API_URL"):
        return
    try:
        async with asyncio.timeout(_PATIENCE):
            found = await prefect_client.overdue_schedules((deployment,))
    except Exception as error:  # noqa: BLE001 - the command goes on, whatever is wrong with the server
        name = deployment.rpartition("/")[2]
        output.say(
            f"Prefect's server does not answer ({type(error).__name__}): "
            f"it is unknown whether {name} runs. {consequence}",
            style="warning",
        )
        return
    for one in found:
        output.say(f"{one}. {consequence}", f"  → {one.remedy}", style="warning")
