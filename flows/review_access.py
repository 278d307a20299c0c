"""Who can get into which cluster, and how: a table for people, every week. Reads only."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from aks_entra.core.cluster import Posture
from aks_entra.core.review import Way
from aks_entra.prefect_client import access_pages
from aks_entra.prefect_client.life import sign_on
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tasks.access import find_clusters, review_cluster

AT_A_TIME = 10


@flow(name="review-access", persist_result=False)
async def review_access(subscriptions: list[str] | None = None, resource_group: str | None = None) -> State[Any]:
    """Review every cluster of the subscriptions; without any, of those that a run knows.

    Args:
        subscriptions: names or ids.
        resource_group: only clusters of this one.
    """
    await sign_on()
    async with open_session(Settings()):
        where = tuple(subscriptions or ()) or await access_pages.known_subscriptions()
        clusters = await find_clusters(where, resource_group) if where else ()
        places = asyncio.Semaphore(AT_A_TIME)

        async def one(posture: Posture) -> tuple[Way, ...]:
            async with places:
                return await review_cluster(posture)

        found = [way for ways in await asyncio.gather(*map(one, clusters)) for way in ways]
    await access_pages.show_review(found)
    unknown = sum("unknown" in way.who for way in found)
    message = f"{len(found)} ways into {len(clusters)} clusters"
    return Failed(message=f"{message}; {unknown} could not be read") if unknown else Completed(message=message)
