"""Finds objects of Microsoft Graph by the names that people use for them."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from aks_entra.adapters.graph.client import Document, GraphClient, literal

_GUID: Final = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)


def is_object_id(text: str) -> bool:
    """Whether a text has the form of an object id (or of an application's client id): a GUID."""
    return _GUID.match(text) is not None


def user(name: str) -> str:
    """Return the path of a user, by user principal name or object id."""
    return f"/users/{quote(name, safe='')}"


async def groups_named(client: GraphClient, name: str, *, doing: str, needs: str = "") -> list[Document]:
    """Return the groups with exactly this display name, each with `id`. Display names are not unique."""
    query = {"$filter": f"displayName eq {literal(name)}", "$select": "id,displayName"}
    found = await client.list("/groups", doing=doing, needs=needs, query=query)
    return [one for one in found if one.get("displayName") == name]
