"""Microsoft Graph as far as admin groups are concerned, through Microsoft's own SDK: the `Directory` port.

Reads here; how a group comes into being is in `group_creation`. A right that is missing makes an answer None, which is
shown as "unknown"; it is never taken for "none".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.directory_objects.item.check_member_groups.check_member_groups_post_request_body import (
    CheckMemberGroupsPostRequestBody,
)
from msgraph.generated.directory_objects.item.get_member_groups.get_member_groups_post_request_body import (
    GetMemberGroupsPostRequestBody,
)
from msgraph.generated.groups.groups_request_builder import GroupsRequestBuilder
from msgraph.generated.groups.item.group_item_request_builder import GroupItemRequestBuilder
from msgraph.generated.groups.item.transitive_members.graph_user.graph_user_request_builder import (
    GraphUserRequestBuilder,
)
from msgraph.generated.groups.item.transitive_members.transitive_members_request_builder import (
    TransitiveMembersRequestBuilder,
)
from msgraph.generated.identity_governance.privileged_access.group.eligibility_schedule_instances.eligibility_schedule_instances_request_builder import (  # noqa: E501 - the SDK's own name
    EligibilityScheduleInstancesRequestBuilder,
)
from msgraph.generated.models.privileged_access_group_relationships import PrivilegedAccessGroupRelationships
from msgraph.generated.users.item.user_item_request_builder import UserItemRequestBuilder

from aks_entra.adapters import group_contents
from aks_entra.adapters.graph_client import answers
from aks_entra.adapters.group_creation import GroupCreation
from aks_entra.core.groups import GroupContents
from aks_entra.core.preflight import GroupFacts, Memberships
from aks_entra.core.target import GroupTarget
from aks_entra.errors import Refused
from aks_entra.ports import Clock

if TYPE_CHECKING:
    from datetime import datetime

    from msgraph.graph_service_client import GraphServiceClient

RESTORABLE: Final = timedelta(days=30)
"""How long Microsoft Entra ID keeps a deleted group."""

_GUID: Final = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)
_UNREADABLE: Final = frozenset({403, 501})
_NOT_FOUND: Final = 404
_T = TypeVar("_T")


class MicrosoftGraph:
    """The directory of the signed-in identity's tenant."""

    def __init__(self, client: GraphServiceClient, clock: Clock, *, reads: int, gap: float) -> None:
        self._client = client
        self._creation = GroupCreation(client, clock, reads=reads, gap=gap)

    async def group(self, group_id: str, *, prover: str) -> GroupFacts:
        """What the directory says of a group by id; also of a deleted one; `exists=False` when it has none."""
        query = GroupItemRequestBuilder.GroupItemRequestBuilderGetQueryParameters(
            select=["id", "displayName", "securityEnabled", "mailEnabled"]
        )
        with answers(f"read group {group_id}") as attempt:
            found = await attempt.found(
                self._client.groups.by_group_id(group_id).get(RequestConfiguration(query_parameters=query))
            )
        if found is None:
            return await self._deleted(group_id)
        members, people, guests, eligible, prover_is_member = await asyncio.gather(
            _readable(self._members(group_id)),
            _readable(self._people(group_id, "accountEnabled eq true")),
            _readable(self._people(group_id, "accountEnabled eq true and userType eq 'Guest'")),
            _readable(self._eligible(group_id)),
            _readable(self._is_member(group_id, prover)),
        )
        return GroupFacts(
            id=group_id,
            display_name=found.display_name or "",
            security_enabled=bool(found.security_enabled),
            mail_enabled=bool(found.mail_enabled),
            members=members,
            people=people,
            guests=guests,
            eligible=eligible,
            prover_is_member=prover_is_member,
        )

    async def contents(self, group_id: str) -> GroupContents:
        """A group by id with its direct owners and members; None of those whose reading is refused."""
        return await group_contents.contents(self._client, group_id)

    async def memberships(self, principal_id: str) -> Memberships | None:
        """In how many security groups a principal is, transitively, and whether it is a person; None: unreadable."""
        return await _readable(self._memberships(principal_id))

    async def groups_named(self, display_name: str) -> tuple[str, ...]:
        """Object ids of the groups with exactly this display name (names are not unique)."""
        literal = display_name.replace("'", "''")
        query = GroupsRequestBuilder.GroupsRequestBuilderGetQueryParameters(
            filter=f"displayName eq '{literal}'", select=["id", "displayName"]
        )
        found = []
        with answers(f"look for groups named {display_name!r}"):
            page = await self._client.groups.get(RequestConfiguration(query_parameters=query))
            while page is not None:
                found += [group for group in page.value or () if group.display_name == display_name]
                link = page.odata_next_link
                page = await self._client.groups.with_url(link).get() if link else None
        return tuple(str(group.id) for group in found)

    async def group_with_unique_name(self, unique_name: str) -> str | None:
        """Object id of the group with this `uniqueName`."""
        return await self._creation.find(unique_name)

    async def user_id(self, name: str) -> str:
        """Object id of a user principal name or an application's service principal (by appId). Refused when unknown."""
        needs = "User.ReadBasic.All for people, Application.Read.All for applications; or give object ids"
        with answers(f"look for {name!r} in the directory", needs=needs) as attempt:
            if not _GUID.match(name):
                query = UserItemRequestBuilder.UserItemRequestBuilderGetQueryParameters(select=["id"])
                user = await attempt.found(
                    self._client.users.by_user_id(name).get(RequestConfiguration(query_parameters=query))
                )
                object_id = user.id if user else None
            else:
                principal = await attempt.found(self._client.service_principals_with_app_id(name).get())
                object_id = principal.id if principal else None
                if object_id is None:
                    thing = await attempt.found(self._client.directory_objects.by_directory_object_id(name).get())
                    object_id = thing.id if thing else None
        if object_id is None:
            raise Refused(
                f"the directory knows no user, application or object {name!r}",
                remedy="write a user principal name, an application (client) id, or an object id",
                code="Request_ResourceNotFound",
                status=_NOT_FOUND,
            )
        return object_id

    async def ensure_group(self, target: GroupTarget, first_member: str) -> tuple[str, bool, str]:
        """Create the group under its uniqueName unless it exists: (object id, created, request id).

        Returns when it can be read with its first member from several reads in a row; TryLater before that.
        """
        return await self._creation.ensure(target, first_member)

    async def _deleted(self, group_id: str) -> GroupFacts:
        with answers(f"look for group {group_id} among the deleted ones") as attempt:
            deleted = await _readable(
                attempt.found(self._client.directory.deleted_items.by_directory_object_id(group_id).get())
            )
        if deleted is None:
            return GroupFacts(id=group_id, exists=False)
        when: datetime | None = deleted.deleted_date_time
        return GroupFacts(
            id=group_id,
            display_name=str(getattr(deleted, "display_name", None) or ""),
            deleted_on=_iso(when) if when else "unknown",
            restorable_until=_iso(when + RESTORABLE) if when else None,
            security_enabled=bool(getattr(deleted, "security_enabled", True)),
        )

    async def _members(self, group_id: str) -> int | None:
        query = TransitiveMembersRequestBuilder.TransitiveMembersRequestBuilderGetQueryParameters(
            count=True, select=["id"], top=1
        )
        configuration = RequestConfiguration(query_parameters=query)
        configuration.headers.add("ConsistencyLevel", "eventual")  # without it Graph does not count
        with answers(f"count the members of group {group_id}"):
            page = await self._client.groups.by_group_id(group_id).transitive_members.get(configuration)
        return page.odata_count if page else None

    async def _people(self, group_id: str, which: str) -> int | None:
        query = GraphUserRequestBuilder.GraphUserRequestBuilderGetQueryParameters(
            filter=which, count=True, select=["id"], top=1
        )
        configuration = RequestConfiguration(query_parameters=query)
        configuration.headers.add("ConsistencyLevel", "eventual")
        with answers(f"count users in group {group_id}"):
            page = await self._client.groups.by_group_id(group_id).transitive_members.graph_user.get(configuration)
        return page.odata_count if page else None

    async def _eligible(self, group_id: str) -> int | None:
        """How many may activate a membership; nobody may without the licence for it (entra-wire-facts 2.5, 2.8)."""
        query = EligibilityScheduleInstancesRequestBuilder.EligibilityScheduleInstancesRequestBuilderGetQueryParameters(
            filter=f"groupId eq '{group_id}'"
        )
        instances = self._client.identity_governance.privileged_access.group.eligibility_schedule_instances
        found: set[str] = set()
        try:
            with answers(f"count who is eligible for group {group_id}"):
                page = await instances.get(RequestConfiguration(query_parameters=query))
                while page is not None:
                    found |= {
                        str(one.principal_id)
                        for one in page.value or ()
                        if one.access_id == PrivilegedAccessGroupRelationships.Member
                    }
                    link = page.odata_next_link
                    page = await instances.with_url(link).get() if link else None
        except Refused as refused:
            if refused.code != "AadPremiumLicenseRequired":
                raise
            return 0
        return len(found)

    async def _memberships(self, principal_id: str) -> Memberships | None:
        thing = self._client.directory_objects.by_directory_object_id(principal_id)
        with answers(f"count the groups of {principal_id}"):
            groups = await thing.get_member_groups.post(GetMemberGroupsPostRequestBody(security_enabled_only=True))
            found = await thing.get()
        if groups is None or found is None:
            return None
        return Memberships(groups=len(groups.value or ()), person=found.odata_type == "#microsoft.graph.user")

    async def _is_member(self, group_id: str, principal_id: str) -> bool | None:
        if not principal_id:
            return None
        with answers(f"check whether {principal_id} is in group {group_id}") as attempt:
            answer = await attempt.found(
                self._client.directory_objects.by_directory_object_id(principal_id).check_member_groups.post(
                    CheckMemberGroupsPostRequestBody(group_ids=[group_id])
                )
            )
        return None if answer is None else group_id.lower() in {one.lower() for one in answer.value or ()}


async def _readable(reading: Awaitable[_T]) -> _T | None:
    """What was read, or None where the right to read it is missing."""
    try:
        return await reading
    except Refused as refused:
        if refused.status not in _UNREADABLE:
            raise
        return None


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
