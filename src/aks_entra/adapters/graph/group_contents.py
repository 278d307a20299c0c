"""Reads a group in Microsoft Graph with its direct owners and members, each with its names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from aks_entra.adapters.graph.client import Document, GraphClient
from aks_entra.adapters.http.readable import FORBIDDEN, readable
from aks_entra.core.durations import moment
from aks_entra.core.group_drift import GroupContents, Holder

UNREADABLE: Final = frozenset({FORBIDDEN, 501})
"""The statuses with which Graph refuses a read: a permission is missing (403), or Graph does not offer it (501)."""

_NAMES: Final = {
    "#microsoft.graph.user": "userPrincipalName",
    "#microsoft.graph.servicePrincipal": "appId",
    "#microsoft.graph.group": "displayName",
}
"""The property that names an object in a fleet file, by the object's type."""


async def contents(client: GraphClient, group_id: str) -> GroupContents:
    """Read a group with its direct owners and members.

    Source: Graph's pages "Get group", "List group owners" and "List group members".

    Returns:
        The group. `exists` is False when it was deleted or never existed; owners or members are None when the caller
        may not read them.
    """
    path = f"/groups/{group_id}"
    query = {"$select": "id,displayName,description,securityEnabled"}
    found = await client.find(path, doing=f"read group {group_id}", query=query)
    if found is None:
        gone = await deleted_group(client, group_id)
        when = deletion_date(gone) if gone else None
        return GroupContents(id=group_id, exists=False, deleted_on=when.isoformat() if when else "")
    owners, members = await asyncio.gather(_holders(client, group_id, "owners"), _holders(client, group_id, "members"))
    return GroupContents(
        id=group_id,
        display_name=str(found.get("displayName") or ""),
        description=str(found.get("description") or ""),
        security_enabled=bool(found.get("securityEnabled")),
        owners=owners,
        members=members,
    )


async def deleted_group(client: GraphClient, group_id: str) -> Document | None:
    """Return a deleted group, or None if no deleted group has this id or it may not be read."""
    reading = client.find(
        f"/directory/deletedItems/{group_id}", doing=f"look for group {group_id} among the deleted ones"
    )
    return await readable(reading, UNREADABLE)


def deletion_date(deleted: Mapping[str, object]) -> datetime | None:
    """Return when an object was deleted, in UTC. None if Graph does not say."""
    try:
        return moment(str(deleted.get("deletedDateTime") or ""))
    except ValueError:
        return None


async def _holders(client: GraphClient, group_id: str, relation: str) -> tuple[Holder, ...] | None:
    listing = client.list(f"/groups/{group_id}/{relation}", doing=f"read the {relation} of a group")
    found = await readable(listing)
    return None if found is None else tuple(_holder(one) for one in found)


def _holder(one: Document) -> Holder:
    """Return an owner or member. Without the right to read users or applications, Graph shows only their ids."""
    naming = _NAMES.get(str(one.get("@odata.type")))
    name = str(one.get(naming) or "") if naming else ""
    return Holder(id=str(one.get("id")), names=(name,) if name else (), named=bool(name) or naming is None)
