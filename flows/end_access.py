"""End every expired grant, because the run that gave it may be dead.

The command or run that gives access schedules a run of this flow for the end. The slow schedule ends what was lost. If
a grant cannot be read or ended, the run names it and fails, and another run follows in five minutes. It ends all
others.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from aks_entra.core.sweeps import ends_ahead, looks_again
from aks_entra.prefect_client import access_pages, events, grant_records, scheduled_sweeps
from aks_entra.prefect_client.liveness import register
from aks_entra.prefect_client.names import END_ACCESS
from aks_entra.settings import Settings
from aks_entra.text.safe import for_log
from tasks.access import sweep
from tasks.session import open_session

LOST = "it is unknown where it gave access; see `aks-entra access list`, then delete this artifact"


@flow(name="end-access", persist_result=False)
async def end_access(subscriptions: list[str] | None = None) -> State[Any]:
    """End every expired grant in the named subscriptions, or in all in which a run ever granted access.

    Args:
        subscriptions: names or ids.
    """
    await register()
    known = await grant_records.announced()
    ends = tuple(known.ends.values())
    missed = await schedule_the_next(ends_ahead(ends, datetime.now(UTC)))
    async with open_session(Settings()):
        swept = await sweep(tuple(subscriptions or ()) or known.subscriptions, known.ends)
    now = datetime.now(UTC)
    if swept.failed or (swept.unseen and looks_again(ends, now)):
        missed = await schedule_the_next((now,))
    troubles = (*swept.troubles, *(f"record {one} is damaged: {LOST}" for one in known.damaged), *missed)
    await events.emit(*events.access_ended(swept.ended))
    if swept.ended or troubles:
        await access_pages.show_ended(swept.ended, [*troubles, *(f"not ours: {one.id}" for one in swept.foreign)])
    ended = len(swept.ended) - len(swept.failed)
    message = f"{ended} grants ended in {len(swept.subscriptions)} subscriptions"
    if troubles:
        return Failed(message=f"{message}; {len(troubles)} need attention: {'; '.join(map(for_log, troubles))}")
    return Completed(message=message if swept.ended else f"nothing to end: {message}")


async def schedule_the_next(ends: tuple[datetime, ...]) -> tuple[str, ...]:
    """Schedule the sweeps that are missing after these ends. Returns what went wrong, in words."""
    if not ends:
        return ()
    try:
        await scheduled_sweeps.schedule_missing_sweeps(END_ACCESS, ends)
    except Exception as error:  # noqa: BLE001 - what is over is ended all the same
        return (f"the next sweep could not be scheduled: {error}",)
    return ()
