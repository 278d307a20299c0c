"""End every grant that is over: whoever gave it may have died since. Scheduled every few minutes."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from aks_entra.prefect_client import access_pages
from aks_entra.prefect_client.life import sign_on
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tasks.access import sweep


@flow(name="end-access", persist_result=False)
async def end_access(subscriptions: list[str] | None = None) -> State[Any]:
    """Sweep the subscriptions in which access was ever granted by a run, or those that are named.

    Args:
        subscriptions: names or ids.
    """
    await sign_on()
    async with open_session(Settings()) as session:
        named = tuple([await session.ports.arm.subscription_id(one) for one in subscriptions or ()])
        where = named or await access_pages.announced()
        ended = await sweep(where) if where else ()
    if ended:
        await access_pages.show_ended(ended)
    failed = [one for one in ended if one.error]
    if failed:
        return Failed(message=f"{len(failed)} of {len(ended)} grants could not be ended: {failed[0].error}")
    return Completed(message=f"{len(ended)} grants ended in {len(where)} subscriptions")
