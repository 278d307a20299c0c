"""The calls to the directory: Microsoft Graph, as far as principals and groups are concerned.

Every call raises only the four errors of `aks_entra.errors`. Reads that return None were not permitted. Reads that have
no None raise Refused with status 403.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aks_entra.core.access.principals import Principal
    from aks_entra.core.group_drift import GroupContents
    from aks_entra.core.preflight import GroupFacts, Memberships
    from aks_entra.core.target import GroupTarget


class Directory(Protocol):
    """Users, service principals and groups of Microsoft Entra ID."""

    async def group(self, group_id: str, *, prover: str) -> GroupFacts:
        """Return what the directory says of a group by id, deleted or not. `exists` is False for an unknown id."""

    async def is_member(self, group_id: str, principal_id: str) -> bool | None:
        """Whether a principal is a direct or indirect member of a group now. None if unreadable."""

    async def contents(self, group_id: str) -> GroupContents:
        """Return a group by id with its direct owners and members. A list that may not be read is None."""

    async def memberships(self, principal_id: str) -> Memberships | None:
        """Return the number of a principal's security groups, also indirect ones, and whether it is a person.

        None if unreadable.
        """

    async def groups_named(self, display_name: str) -> tuple[str, ...]:
        """Return the object ids of the groups with exactly this display name (names are not unique)."""

    async def group_with_unique_name(self, unique_name: str) -> str | None:
        """Return the object id of the group with this `uniqueName`. None if no group has it."""

    async def user_id(self, name: str) -> str:
        """Return the object id of a user (by UPN) or a service principal (by appId). Refused if unknown."""

    async def ensure_group(self, target: GroupTarget, first_member: str) -> tuple[str, bool, str]:
        """Create the group under its uniqueName unless it exists: (object id, created, request id).

        Returns when it can be read with its members from several reads in a row; TryLater before that.
        """

    async def principal(self, name: str) -> Principal:
        """Return a user (by UPN or id), group or service principal (by appId or id). Refused if it does not exist."""

    async def principals(self, ids: tuple[str, ...]) -> Mapping[str, Principal]:
        """Return the objects that exist, by id in lower case."""

    async def users_named(self, names: tuple[str, ...]) -> Mapping[str, Principal]:
        """Return the users with these user principal names, by name in lower case."""

    async def groups_of(self, principal_id: str) -> frozenset[str]:
        """Return the security groups that contain the principal, also indirectly, as a token carries them."""

    async def direct_groups_of(self, principal_id: str) -> frozenset[str]:
        """Return the groups that contain the principal directly."""

    async def members_of(self, group_id: str) -> tuple[Principal, ...]:
        """Return all users and service principals in a group, also indirectly."""
