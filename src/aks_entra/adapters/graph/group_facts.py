"""Reads what preflight needs to know of a group in Microsoft Graph.

Where the caller lacks a right, an answer is None. It is shown as "unknown", and never taken for "none".
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from aks_entra.adapters.graph import group_contents
from aks_entra.adapters.graph.client import GraphClient
from aks_entra.adapters.graph.group_contents import UNREADABLE
from aks_entra.adapters.http.readable import readable
from aks_entra.core.durations import stamp
from aks_entra.core.preflight import GroupFacts
from aks_entra.errors import Refused

RESTORABLE: Final = timedelta(days=30)
"""How long Microsoft Entra ID keeps a deleted group."""

_ENABLED: Final = "accountEnabled eq true"
_NOT_FOUND: Final = 404


async def group(client: GraphClient, group_id: str, *, prover: str) -> GroupFacts:
    """Read what preflight needs to know of a group, deleted or not.

    Source: Graph's pages "Get group", "List group transitive members" and "List eligibilityScheduleInstances".

    Returns:
        The facts. `exists` is False when the directory never had the group; counts are None when they may not be
        read.
    """
    query = {"$select": "id,displayName,securityEnabled,mailEnabled"}
    found = await client.find(f"/groups/{group_id}", doing=f"read group {group_id}", query=query)
    if found is None:
        return await _deleted(client, group_id)
    members, people, guests, eligible, prover_is_member = await asyncio.gather(
        readable(_members(client, group_id), UNREADABLE),
        readable(_people(client, group_id, _ENABLED), UNREADABLE),
        readable(_people(client, group_id, f"{_ENABLED} and userType eq 'Guest'"), UNREADABLE),
        readable(_eligible(client, group_id), UNREADABLE),
        is_member(client, group_id, prover),
    )
    return GroupFacts(
        id=group_id,
        display_name=str(found.get("displayName") or ""),
        security_enabled=bool(found.get("securityEnabled")),
        mail_enabled=bool(found.get("mailEnabled")),
        members=members,
        people=people,
        guests=guests,
        eligible=eligible,
        prover_is_member=prover_is_member,
    )


async def is_member(client: GraphClient, group_id: str, principal_id: str) -> bool | None:
    """Whether a principal is a member of a group now, transitively. Returns None when that may not be read."""
    return await readable(_is_member(client, group_id, principal_id), UNREADABLE)


async def _deleted(client: GraphClient, group_id: str) -> GroupFacts:
    deleted = await group_contents.deleted_group(client, group_id)
    if deleted is None:
        return GroupFacts(id=group_id, exists=False)
    when = group_contents.deletion_date(deleted)
    return GroupFacts(
        id=group_id,
        display_name=str(deleted.get("displayName") or ""),
        deleted_on=stamp(when) if when else "unknown",
        restorable_until=stamp(when + RESTORABLE) if when else None,
        security_enabled=bool(deleted.get("securityEnabled", True)),
    )


async def _members(client: GraphClient, group_id: str) -> int | None:
    return await _count(client, f"/groups/{group_id}/transitiveMembers", f"count the members of group {group_id}")


async def _people(client: GraphClient, group_id: str, which: str) -> int | None:
    path = f"/groups/{group_id}/transitiveMembers/graph.user"
    return await _count(client, path, f"count users in group {group_id}", {"$filter": which})


async def _count(client: GraphClient, path: str, doing: str, query: dict[str, str] | None = None) -> int | None:
    page = await client.get(
        path,
        doing=doing,
        query={**(query or {}), "$count": "true", "$select": "id", "$top": "1"},
        headers={"ConsistencyLevel": "eventual"},  # without it Graph does not count
    )
    count = page.get("@odata.count")
    return count if isinstance(count, int) else None


async def _eligible(client: GraphClient, group_id: str) -> int:
    """Count the principals that may activate a membership. 0 without a PIM licence (entra-wire-facts 2.5, 2.8)."""
    try:
        found = await client.list(
            "/identityGovernance/privilegedAccess/group/eligibilityScheduleInstances",
            doing=f"count who is eligible for group {group_id}",
            query={"$filter": f"groupId eq '{group_id}'"},
        )
    except Refused as refused:
        if refused.code != "AadPremiumLicenseRequired":
            raise
        return 0
    return len({str(one.get("principalId")) for one in found if one.get("accessId") == "member"})


async def _is_member(client: GraphClient, group_id: str, principal_id: str) -> bool | None:
    if not principal_id:
        return None
    asking = client.ask(
        f"/directoryObjects/{principal_id}/checkMemberGroups",
        {"groupIds": [group_id]},
        doing=f"check whether {principal_id} is in group {group_id}",
    )
    answer = await readable(asking, (_NOT_FOUND,))
    return None if answer is None else group_id.lower() in {str(one).lower() for one in answer.get("value") or ()}
