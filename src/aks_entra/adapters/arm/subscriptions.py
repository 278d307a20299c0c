"""Subscriptions that the caller can see, and their tenants. Reads only."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.documents import ARM, Document, get, pages
from aks_entra.errors import Refused

_VERSION: Final = "2022-12-01"
_ID: Final = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)
_LIST: Final = "list the subscriptions"
_GROUPS: Final = f"{ARM}/providers/Microsoft.Management/managementGroups"
_GROUPS_VERSION: Final = "2020-05-01"


async def tenant_of(clients: Clients, subscription_id: str) -> str:
    """Return the id of a subscription's tenant. Raises Refused when the subscription cannot be seen."""
    document = await get(clients, _url(subscription_id), f"read subscription {subscription_id}")
    return str(document.get("tenantId") or "")


async def find(clients: Clients, name_or_id: str) -> str:
    """Return the id of a subscription by its id or display name.

    Raises:
        Refused: the caller sees no subscription with this id or name, or several with this name.
    """
    if _ID.match(name_or_id):
        document = await get(clients, _url(name_or_id), f"find subscription {name_or_id}")
        return str(document.get("subscriptionId") or name_or_id)
    seen = await visible(clients)
    same = [key for key, name in seen if name.casefold() == name_or_id.casefold()]
    if len(same) == 1:
        return same[0]
    names = ", ".join(sorted(name for _, name in seen)) or "none"
    raise Refused(
        f"{'no subscription is' if not same else f'{len(same)} subscriptions are'} named {name_or_id!r}",
        remedy=f"name it by its id; visible to this identity: {names}",
        code="SubscriptionNotFound",
    )


async def visible(clients: Clients) -> list[tuple[str, str]]:
    """Return the id and the display name of each subscription that the caller can see."""
    listed = [one async for page in pages(clients, _url(), _LIST) for one in page.get("value") or ()]
    return [(_text(one, "subscriptionId"), _text(one, "displayName")) for one in listed if isinstance(one, dict)]


async def below(clients: Clients, management_group: str) -> tuple[str, ...]:
    """Return the ids of the subscriptions below a management group, named by its id (not its display name).

    Needs Microsoft.Management/managementGroups/descendants/read. Source: "Management Groups - Get Descendants".
    """
    url = f"{_GROUPS}/{quote(management_group)}/descendants?api-version={_GROUPS_VERSION}"
    doing = f"list the subscriptions below management group {management_group}"
    found = [one async for page in pages(clients, url, doing) for one in page.get("value") or ()]
    return tuple(_text(one, "name") for one in found if _text(one, "id").lower().startswith("/subscriptions/"))


def _text(document: Document, name: str) -> str:
    return str(document.get(name) or "")


def _url(subscription_id: str = "") -> str:
    return f"{ARM}/subscriptions{f'/{quote(subscription_id)}' if subscription_id else ''}?api-version={_VERSION}"
