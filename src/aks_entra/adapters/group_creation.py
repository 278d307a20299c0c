"""How an admin group comes into being: once, under its `uniqueName`, for security, with the prover inside.

An existing group is left as it is: nobody is added to it and nobody removed. Graph is eventually consistent, so a new
group counts only when several reads in a row show it with its first member.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.default_query_parameters import QueryParameters
from kiota_http.middleware.options import HeadersInspectionHandlerOption
from msgraph.generated.groups.item.members.members_request_builder import MembersRequestBuilder
from msgraph.generated.models.group import Group
from msgraph.generated.models.reference_create import ReferenceCreate

from aks_entra.adapters.graph_client import ONCE, answers
from aks_entra.core.target import GroupTarget
from aks_entra.errors import Refused, Rejected, TryLater
from aks_entra.ports import Clock

if TYPE_CHECKING:
    from msgraph.graph_service_client import GraphServiceClient

CREATE: Final = (
    "Group.Create (or Group.ReadWrite.All), and for its members and owners User.ReadBasic.All and, for applications "
    "such as the prover, Application.Read.All"
)
RELATIONS: Final = 20
"""How many owners and members Graph binds in the request that creates a group."""

_OBJECTS: Final = "https://graph.microsoft.com/v1.0/directoryObjects/"
_PAGE: Final = 999
_NICKNAME: Final = 64
_NOT_FOUND: Final = 404


@dataclass(slots=True, kw_only=True)
class _Made:
    """A group that this process created, until it can be read everywhere."""

    id: str
    request_id: str = ""
    owners: list[str] = field(default_factory=list)  # still to be added
    members: list[str] = field(default_factory=list)
    seen: bool = False
    settled: bool = False


class GroupCreation:
    """Creates groups, each once however many clusters ask for it. `gap` in seconds between the confirming reads."""

    def __init__(self, client: GraphServiceClient, clock: Clock, *, reads: int, gap: float) -> None:
        self._client = client
        self._clock = clock
        self._reads = reads
        self._gap = gap
        self._made: dict[str, _Made] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def find(self, unique_name: str) -> str | None:
        """Object id of the group with this `uniqueName`."""
        with answers(f"look for the group with uniqueName {unique_name!r}") as attempt:
            group = await attempt.found(self._client.groups_with_unique_name(_literal(unique_name)).get())
        return group.id if group else None

    async def ensure(self, target: GroupTarget, first_member: str) -> tuple[str, bool, str]:
        """(object id, created, request id); TryLater while a new group is not seen everywhere."""
        if target.id is not None:
            return target.id, False, ""
        if not target.unique_name:
            raise Refused(f"the group {target.display_name!r} has neither an id nor a unique name", code="NoUniqueName")
        async with self._turns[target.unique_name]:
            made = self._made.get(target.unique_name)
            if made is None:
                existing = await self.find(target.unique_name)
                if existing is not None:
                    return existing, False, ""
                made = await self._create(target, target.unique_name, first_member)
                if made is None:
                    raise TryLater(
                        f"somebody else created the group {target.display_name!r} at the same moment",
                        after=5,
                        code="NotReplicated",
                    )
                self._made[target.unique_name] = made
            if not made.settled:
                await self._add_rest(made, target.display_name)
                await self._settle(made, target.display_name, first_member)
            return made.id, True, made.request_id

    async def _create(self, target: GroupTarget, unique_name: str, first_member: str) -> _Made | None:
        members = list(dict.fromkeys(one.lower() for one in (first_member, *target.members) if one))
        owners = list(dict.fromkeys(one.lower() for one in target.owners))
        bound_owners = owners[: RELATIONS - 1]
        bound_members = members[: RELATIONS - len(bound_owners)]
        group = Group(
            display_name=target.display_name,
            description=target.description or None,
            group_types=[],
            mail_enabled=False,
            mail_nickname=nickname(unique_name),
            security_enabled=True,
            additional_data={
                "members@odata.bind": [f"{_OBJECTS}{one}" for one in bound_members],
                **({"owners@odata.bind": [f"{_OBJECTS}{one}" for one in bound_owners]} if bound_owners else {}),
            },
        )
        heard = HeadersInspectionHandlerOption(inspect_request_headers=False)
        configuration = RequestConfiguration[QueryParameters](options=[ONCE, heard])
        configuration.headers.add("Prefer", "create-if-missing")
        with answers(f"create the group {target.display_name!r}", writing=True, needs=CREATE):
            created = await self._client.groups_with_unique_name(_literal(unique_name)).patch(group, configuration)
        if created is None or created.id is None:
            return None
        return _Made(
            id=created.id,
            request_id=next(iter(heard.response_headers.get("request-id")), ""),
            owners=owners[len(bound_owners) :],
            members=members[len(bound_members) :],
        )

    async def _add_rest(self, made: _Made, name: str) -> None:
        """What did not fit into the request that created the group; a member that is there already is no error."""
        item = self._client.groups.by_group_id(made.id)
        for kind, waiting in (("owner", made.owners), ("member", made.members)):
            add = item.owners.ref.post if kind == "owner" else item.members.ref.post
            while waiting:
                try:
                    with answers(f"add {waiting[0]} to the group {name!r}", writing=True):
                        await add(
                            ReferenceCreate(odata_id=f"{_OBJECTS}{waiting[0]}"),
                            RequestConfiguration[QueryParameters](options=[ONCE]),
                        )
                except Rejected as rejected:
                    if rejected.status == _NOT_FOUND and not made.seen:
                        raise _not_replicated(name) from rejected
                    if "already exist" not in rejected.message:
                        raise
                made.seen = True
                waiting.pop(0)

    async def _settle(self, made: _Made, name: str, first_member: str) -> None:
        for read in range(self._reads):
            if read:
                await self._clock.sleep(self._gap)
            if not await self._shows(made.id, name, first_member):
                raise _not_replicated(name)
            made.seen = True
        made.settled = True

    async def _shows(self, group_id: str, name: str, first_member: str) -> bool:
        query = MembersRequestBuilder.MembersRequestBuilderGetQueryParameters(select=["id"], top=_PAGE)
        item = self._client.groups.by_group_id(group_id)
        with answers(f"read the new group {name!r}") as attempt:
            if await attempt.found(item.get()) is None:
                return False
            if not first_member:
                return True
            page = await attempt.found(item.members.get(RequestConfiguration(query_parameters=query)))
            while page is not None:
                if any(str(one.id).lower() == first_member.lower() for one in page.value or ()):
                    return True
                link = page.odata_next_link
                page = await item.members.with_url(link).get() if link else None
        return False


def nickname(unique_name: str) -> str:
    """A `mailNickname` of letters, digits, `-` and `_`, the set that all of Graph's own texts agree on; at most 64."""
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", unique_name).strip("-")
    if safe == unique_name and len(safe) <= _NICKNAME:
        return safe
    return f"{safe[: _NICKNAME - 9]}-{sha256(unique_name.encode()).hexdigest()[:8]}".strip("-")


def _literal(text: str) -> str:
    """A text as it stands between single quotes in an OData key."""
    return text.replace("'", "''")


def _not_replicated(name: str) -> TryLater:
    return TryLater(
        f"the new group {name!r} cannot be read everywhere yet",
        after=5,
        remedy="Microsoft Entra ID takes seconds, sometimes minutes, to show a new group",
        code="NotReplicated",
    )
