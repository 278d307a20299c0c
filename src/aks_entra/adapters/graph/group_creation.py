"""Creates an admin group once: a security group under its `uniqueName`, with the prover as a member.

A group that exists is left as it is: nobody is added to it and nobody is removed. Graph is eventually consistent, so a
new group counts only when several reads in a row show it with its first member.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from aks_entra.adapters.graph.client import OBJECTS, GraphClient, key
from aks_entra.adapters.http.readable import readable
from aks_entra.core.target import GroupTarget
from aks_entra.errors import Refused, Rejected, TryLater
from aks_entra.ports.migration import Clock

CREATE: Final = (
    "Group.Create (or Group.ReadWrite.All), and for its members and owners User.ReadBasic.All and, for applications "
    "such as the prover, Application.Read.All"
)
RELATIONS: Final = 20
"""How many owners and members Graph binds in the request that creates a group."""

_PAGE: Final = 999
_NICKNAME: Final = 64
_NOT_FOUND: Final = 404


@dataclass(slots=True, kw_only=True)
class _Made:
    """A group that this process created, until it can be read everywhere."""

    id: str
    request_id: str = ""
    owners: list[str] = field(default_factory=list)  # not added yet
    members: list[str] = field(default_factory=list)
    seen: bool = False
    settled: bool = False


class GroupCreation:
    """Creates groups, each once however many clusters ask for it."""

    def __init__(self, client: GraphClient, clock: Clock, *, reads: int, gap: float) -> None:
        """`reads` confirm a new group, `gap` seconds apart."""
        self._client = client
        self._clock = clock
        self._reads = reads
        self._gap = gap
        self._made: dict[str, _Made] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def find(self, unique_name: str) -> str | None:
        """Return the object id of the group with this `uniqueName`; None when no group has it."""
        group = await self._client.find(
            f"/groups{key('uniqueName', unique_name)}", doing=f"look for the group with uniqueName {unique_name!r}"
        )
        return str(group["id"]) if group else None

    async def ensure(self, target: GroupTarget, first_member: str) -> tuple[str, bool, str]:
        """Create the group unless it exists; see `MicrosoftGraph.ensure_group`.

        Raises:
            TryLater: the new group cannot be read everywhere yet, or somebody else created it at the same moment.
            Refused: the target has neither an id nor a unique name.
        """
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
        group = {
            "displayName": target.display_name,
            **({"description": target.description} if target.description else {}),
            "groupTypes": [],
            "mailEnabled": False,
            "mailNickname": nickname(unique_name),
            "securityEnabled": True,
            "members@odata.bind": [f"{OBJECTS}{one}" for one in bound_members],
            **({"owners@odata.bind": [f"{OBJECTS}{one}" for one in bound_owners]} if bound_owners else {}),
        }
        created, request_id = await self._client.create_if_missing(
            f"/groups{key('uniqueName', unique_name)}",
            group,
            doing=f"create the group {target.display_name!r}",
            needs=CREATE,
        )
        if created is None:
            return None
        return _Made(
            id=str(created["id"]),
            request_id=request_id,
            owners=owners[len(bound_owners) :],
            members=members[len(bound_members) :],
        )

    async def _add_rest(self, made: _Made, name: str) -> None:
        """Add the owners and members that did not fit into the creating request. An existing one is not an error."""
        for relation, waiting in (("owners", made.owners), ("members", made.members)):
            while waiting:
                try:
                    await self._client.post(
                        f"/groups/{made.id}/{relation}/$ref",
                        {"@odata.id": f"{OBJECTS}{waiting[0]}"},
                        doing=f"add {waiting[0]} to the group {name!r}",
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
        path, doing = f"/groups/{group_id}", f"read the new group {name!r}"
        if await self._client.find(path, doing=doing) is None:
            return False
        if not first_member:
            return True
        query = {"$select": "id", "$top": str(_PAGE)}
        members = await readable(self._client.list(f"{path}/members", doing=doing, query=query), (_NOT_FOUND,))
        return any(str(one.get("id")).lower() == first_member.lower() for one in members or ())


def nickname(unique_name: str) -> str:
    """Make a `mailNickname` of a unique name: at most 64 letters, digits, `-` and `_`.

    All of Graph's own pages agree on these characters. A name that had to be changed gets a hash, so that it is unique.
    """
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", unique_name).strip("-")
    if safe == unique_name and len(safe) <= _NICKNAME:
        return safe
    return f"{safe[: _NICKNAME - 9]}-{sha256(unique_name.encode()).hexdigest()[:8]}".strip("-")


def _not_replicated(name: str) -> TryLater:
    return TryLater(
        f"the new group {name!r} cannot be read everywhere yet",
        after=5,
        remedy="Microsoft Entra ID takes seconds, sometimes minutes, to show a new group",
        code="NotReplicated",
    )
