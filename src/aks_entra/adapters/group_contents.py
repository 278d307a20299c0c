"""What a group is in Microsoft Graph: itself, its direct owners and members, each with the names it goes by."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.groups.item.group_item_request_builder import GroupItemRequestBuilder
from msgraph.generated.models.group import Group
from msgraph.generated.models.service_principal import ServicePrincipal
from msgraph.generated.models.user import User

from aks_entra.adapters.graph_client import answers
from aks_entra.core.groups import GroupContents, Holder
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from msgraph.generated.groups.item.members.members_request_builder import MembersRequestBuilder
    from msgraph.generated.groups.item.owners.owners_request_builder import OwnersRequestBuilder
    from msgraph.generated.models.directory_object import DirectoryObject
    from msgraph.graph_service_client import GraphServiceClient

_FORBIDDEN = 403


async def contents(client: GraphServiceClient, group_id: str) -> GroupContents:
    """The group by id. `exists=False` when it is not there, deleted or not; None of what may not be read."""
    query = GroupItemRequestBuilder.GroupItemRequestBuilderGetQueryParameters(
        select=["id", "displayName", "description", "securityEnabled"]
    )
    item = client.groups.by_group_id(group_id)
    with answers(f"read group {group_id}") as attempt:
        found = await attempt.found(item.get(RequestConfiguration(query_parameters=query)))
    if found is None:
        return await _deleted(client, group_id)
    owners, members = await asyncio.gather(_holders(item.owners, "owners"), _holders(item.members, "members"))
    return GroupContents(
        id=group_id,
        display_name=found.display_name or "",
        description=found.description or "",
        security_enabled=bool(found.security_enabled),
        owners=owners,
        members=members,
    )


async def _deleted(client: GraphServiceClient, group_id: str) -> GroupContents:
    gone = None
    try:
        with answers(f"look for group {group_id} among the deleted ones") as attempt:
            gone = await attempt.found(client.directory.deleted_items.by_directory_object_id(group_id).get())
    except Refused as refused:
        if refused.status != _FORBIDDEN:
            raise
    when = gone.deleted_date_time if gone else None
    return GroupContents(id=group_id, exists=False, deleted_on=when.isoformat() if when else "")


async def _holders(relation: OwnersRequestBuilder | MembersRequestBuilder, what: str) -> tuple[Holder, ...] | None:
    found: list[Holder] = []
    try:
        with answers(f"read the {what} of a group"):
            page = await relation.get()
            while page is not None:
                found += [_holder(one) for one in page.value or ()]
                link = page.odata_next_link
                page = await relation.with_url(link).get() if link else None
    except Refused as refused:
        if refused.status != _FORBIDDEN:
            raise
        return None
    return tuple(found)


def _holder(one: DirectoryObject) -> Holder:
    """Without the right to read users or applications Graph shows their ids alone."""
    names: tuple[str | None, ...] = ()
    if isinstance(one, User):
        names = (one.user_principal_name,)
    elif isinstance(one, ServicePrincipal):
        names = (one.app_id,)
    elif isinstance(one, Group):
        names = (one.display_name,)
    known = tuple(name for name in names if name)
    return Holder(id=str(one.id), names=known, named=bool(known) or not names)
