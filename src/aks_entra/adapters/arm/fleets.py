"""Finds the fleets of Azure Kubernetes Fleet Manager that have a cluster as a member.

A cluster does not show its fleets, and a fleet may be in another subscription. So the fleets of every subscription that
this identity can see are read, once for each session. A refusal is not asked for again either.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from aks_entra.adapters.arm import documents, subscriptions
from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.documents import ARM
from aks_entra.core.cluster import ClusterId
from aks_entra.errors import Refused, Rejected

MOST: Final = 50
"""The number of subscriptions, and of fleets, that are read."""

_VERSION: Final = "2025-03-01"


class Fleets:
    """The fleets that this identity can see."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._reading = asyncio.Lock()
        self._visible: list[str] = []
        self._members: Mapping[str, list[str]] | None = None
        self._refused: Refused | None = None

    async def of(self, cluster: ClusterId) -> tuple[str, ...]:
        """Return the resource ids of the fleets with this cluster as a member.

        Raises:
            Refused: a right is missing, Azure does not list the cluster's subscription, or there is too much to read.
            Rejected: an answer is not whole.
        """
        async with self._reading:
            if self._refused is not None:
                raise self._refused
            if self._members is None:
                try:
                    self._members = await self._read()
                except Refused as refused:
                    self._refused = refused
                    raise
            if cluster.subscription_id.lower() not in self._visible:
                raise Refused(
                    f"Azure does not list subscription {cluster.subscription_id}, so fleets in it are not known",
                    remedy="grant Microsoft.Resources/subscriptions/read",
                    code="SubscriptionNotListed",
                )
            return tuple(self._members.get(cluster.key, ()))

    async def _read(self) -> Mapping[str, list[str]]:
        self._visible = [subscription.lower() for subscription, _ in await subscriptions.visible(self._clients)]
        _bound(len(self._visible), "subscriptions")
        fleets = [
            fleet
            for one in self._visible
            async for fleet in self._ids(
                f"/subscriptions/{one}/providers/Microsoft.ContainerService/fleets", f"read the fleets of {one}"
            )
        ]
        _bound(len(fleets), "fleets")
        found = defaultdict(list)
        for fleet in fleets:
            doing = f"read the members of fleet {fleet.rpartition('/')[2]}"
            async for member in self._items(f"{fleet}/members", doing):
                cluster = (member.get("properties") or {}).get("clusterResourceId")
                if not isinstance(cluster, str):
                    raise _malformed(doing)
                found[cluster.rstrip("/").lower()].append(fleet)
        return found

    async def _ids(self, path: str, doing: str) -> AsyncIterator[str]:
        async for one in self._items(path, doing):
            if not isinstance(one.get("id"), str):
                raise _malformed(doing)
            yield str(one["id"]).rstrip("/")

    async def _items(self, path: str, doing: str) -> AsyncIterator[Mapping[str, Any]]:
        async for page in documents.pages(self._clients, f"{ARM}{path}?api-version={_VERSION}", doing):
            items = page.get("value")
            if not isinstance(items, list) or not all(isinstance(one, Mapping) for one in items):
                raise _malformed(doing)
            for one in items:
                yield one


def _bound(number: int, what: str) -> None:
    if number > MOST:
        raise Refused(
            f"this identity sees {number} {what}, and the members of fleets are looked for in at most {MOST}",
            remedy="look with an identity that sees fewer, or with `az fleet member list`",
            code="TooManyToRead",
        )


def _malformed(doing: str) -> Rejected:
    return Rejected(
        f"could not {doing}: ARM's answer is not a list of whole resources",
        remedy="look again; if it comes back, install a newer aks-entra",
        code="Malformed",
    )
