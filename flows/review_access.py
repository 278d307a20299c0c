"""Review who can access which cluster, and how: a table for people, every week. It only reads."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.access.review import Way
from aks_entra.core.cluster import Posture
from aks_entra.prefect_client import access_pages, grant_records, stored_evidence
from aks_entra.prefect_client.liveness import register
from aks_entra.settings import Settings
from aks_entra.text.safe import for_log
from tasks.access import find_clusters, review_cluster
from tasks.session import open_session

AT_A_TIME = 10


@flow(name="review-access", persist_result=False)
async def review_access(subscriptions: list[str] | None = None, resource_group: str | None = None) -> State[Any]:
    """Review every cluster of the named subscriptions, or of all that a run knows.

    Args:
        subscriptions: names or ids.
        resource_group: review only clusters of this resource group.
    """
    await register()
    found: list[Way] = []
    clusters: list[Posture] = []

    async def one(posture: Posture) -> tuple[Way, ...]:
        try:
            return await review_cluster(posture, records)
        except Exception as error:  # noqa: BLE001 - the other clusters are still reviewed
            return (unread(str(posture.cluster), error),)

    records = await stored_evidence.records()
    async with open_session(Settings()):
        known, damaged = await grant_records.known_subscriptions() if not subscriptions else (tuple(subscriptions), ())
        found += [unread(f"record {one}", ValueError("it is damaged")) for one in damaged]
        for subscription in known:
            try:
                clusters += await find_clusters((subscription,), resource_group)
            except Exception as error:  # noqa: BLE001 - the other subscriptions are still reviewed
                found.append(unread(f"subscription {subscription}", error))
        found += [way for ways in await bounded_gather(one, clusters, at_once=AT_A_TIME) for way in ways]
    await access_pages.show_review(found)
    unknown = [way for way in found if way.unread]
    message = f"{len(found)} ways into {len(clusters)} clusters"
    if unknown:
        names = ", ".join(map(for_log, dict.fromkeys(way.cluster for way in unknown)))
        return Failed(message=f"{message}; {len(unknown)} could not be read: {names}")
    return Completed(message=message)


def unread(what: str, error: Exception) -> Way:
    """Return the row of a cluster or a subscription that could not be read."""
    how = f"could not be read: {str(error) or type(error).__name__}"
    return Way(cluster=what, who="unknown", how=how, scope="unknown", unread=True)
