"""The `Directory` port on Microsoft Graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aks_entra.adapters.graph import group_contents, group_facts, names, principals
from aks_entra.adapters.graph.client import GraphClient
from aks_entra.adapters.graph.group_contents import UNREADABLE
from aks_entra.adapters.graph.group_creation import GroupCreation
from aks_entra.adapters.http.readable import readable
from aks_entra.ports.migration import Clock

if TYPE_CHECKING:
    from aks_entra.core.access.principals import Principal
    from aks_entra.core.group_drift import GroupContents
    from aks_entra.core.preflight import GroupFacts, Memberships
    from aks_entra.core.target import GroupTarget


class MicrosoftGraph:
    """The directory of the signed-in identity's tenant."""

    def __init__(self, client: GraphClient, clock: Clock, *, reads: int, gap: float) -> None:
        """`reads` confirm a new group, `gap` seconds apart."""
        self._client = client
        self._creation = GroupCreation(client, clock, reads=reads, gap=gap)

    async def group(self, group_id: str, *, prover: str) -> GroupFacts:
        """Read what preflight needs to know of a group, deleted or not."""
        return await group_facts.group(self._client, group_id, prover=prover)

    async def is_member(self, group_id: str, principal_id: str) -> bool | None:
        """Whether a principal is a member of a group now, transitively. Returns None when that may not be read."""
        return await group_facts.is_member(self._client, group_id, principal_id)

    async def contents(self, group_id: str) -> GroupContents:
        """Read a group with its direct owners and members; each list is None when it may not be read."""
        return await group_contents.contents(self._client, group_id)

    async def memberships(self, principal_id: str) -> Memberships | None:
        """Count a principal's security groups, transitively, and say whether it is a person.

        Returns None when that may not be read.
        """
        return await readable(principals.memberships(self._client, principal_id), UNREADABLE)

    async def groups_named(self, display_name: str) -> tuple[str, ...]:
        """Return the object ids of the groups with exactly this display name (names are not unique)."""
        doing = f"look for groups named {display_name!r}"
        found = await names.groups_named(self._client, display_name, doing=doing)
        return tuple(str(group["id"]) for group in found)

    async def group_with_unique_name(self, unique_name: str) -> str | None:
        """Return the object id of the group with this `uniqueName`; None when no group has it."""
        return await self._creation.find(unique_name)

    async def user_id(self, name: str) -> str:
        """Return the object id of a user, of an application's service principal, or of any object of the directory."""
        return await principals.id_of(self._client, name)

    async def ensure_group(self, target: GroupTarget, first_member: str) -> tuple[str, bool, str]:
        """Create the group under its uniqueName unless it exists.

        Returns:
            Object id, whether this process created it, and Graph's request id of the creation. A new group is returned
            once several reads in a row show it with its first member.

        Raises:
            TryLater: the new group cannot be read everywhere yet.
        """
        return await self._creation.ensure(target, first_member)

    async def principal(self, name: str) -> Principal:
        """Return a user (by UPN), a group (by name), a service principal (by appId), or any of them by object id."""
        return await principals.principal(self._client, name)

    async def principals(self, ids: tuple[str, ...]) -> Mapping[str, Principal]:
        """Return the objects that exist, by id in lower case."""
        return await principals.principals(self._client, ids)

    async def users_named(self, names: tuple[str, ...]) -> Mapping[str, Principal]:
        """Return the users with these user principal names, by name in lower case."""
        return await principals.users_named(self._client, names)

    async def groups_of(self, principal_id: str) -> frozenset[str]:
        """Return the security groups that contain the principal, also indirectly, as a token carries them."""
        return await principals.groups_of(self._client, principal_id)

    async def direct_groups_of(self, principal_id: str) -> frozenset[str]:
        """Return the groups that contain the principal directly."""
        return await principals.direct_groups_of(self._client, principal_id)

    async def members_of(self, group_id: str) -> tuple[Principal, ...]:
        """Return all users and service principals in a group, also indirectly."""
        return await principals.members_of(self._client, group_id)
