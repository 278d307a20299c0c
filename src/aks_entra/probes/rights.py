"""Look at who holds the rights on one cluster that are ways in. A read that fails makes only its own doors unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from aks_entra.core.access import holders
from aks_entra.core.access.holders import Rights
from aks_entra.core.cluster import Identity, Posture
from aks_entra.core.doors.facts import DoorFacts, Unread
from aks_entra.errors import Refused
from aks_entra.ports.migration import Caller, Ports
from aks_entra.probes.unread import read

if TYPE_CHECKING:
    from aks_entra.core.access.principals import Principal
    from aks_entra.core.access.rbac import Binding, RoleAssignment

_T = TypeVar("_T")

MOST_NAMES: Final = 300
"""The number of user principal names that are looked up for one cluster."""

_ROLES: Final = "Microsoft.Authorization/roleAssignments/read and Microsoft.Authorization/roleDefinitions/read"
_FLEETS: Final = "Microsoft.ContainerService/fleets/read and Microsoft.ContainerService/fleets/members/read"
_NO_TOKEN: Final = Unread(
    why="the API server accepts no token of Microsoft Entra ID, so nobody looked inside the cluster",
    remedy="migrate the cluster: aks-entra plan, then migrate",
)
_STOPPED: Final = Unread(why="the cluster is stopped", remedy="start it: `az aks start`")


async def add_rights(facts: DoorFacts, ports: Ports, posture: Posture, *, unreachable: str = "") -> DoorFacts:
    """Return the facts with who holds rights on a cluster. Without a port for it, return them unchanged.

    `unreachable`: why the API server does not answer; what only it knows is not read.
    """
    if (reads := ports.rights) is None:
        return facts
    clock, cluster = ports.clock, posture.cluster
    closed = _STOPPED if posture.stopped else None if posture.identity is Identity.MANAGED else _NO_TOKEN
    if unreachable and closed is None:
        closed = Unread(why=unreachable, remedy="look from a network that reaches the API server")

    async def inside(call: Callable[[Posture], Awaitable[_T]]) -> _T | Unread:
        return await read(clock, "", lambda: call(posture)) if closed is None else closed

    bindings, requests, secrets, roles, fleets, caller = await asyncio.gather(
        inside(reads.bindings),
        inside(reads.certificate_requests),
        inside(reads.service_account_secrets),
        read(clock, _ROLES, lambda: reads.role_assignments(cluster)),
        read(clock, _FLEETS, lambda: reads.fleet_role_assignments(cluster)),
        read(clock, "", ports.callers.runner),
    )
    rights = Rights(
        posture=posture,
        bindings=bindings,
        roles=roles,
        names=await read(clock, "", lambda: _names(ports, bindings, roles, fleets)),
        runner=caller.object_id if isinstance(caller, Caller) else "",
    )
    return replace(
        facts,
        certificate_requests=requests,
        certificate_approvers=holders.certificate_approvers(rights),
        service_account_secrets=secrets,
        token_makers=holders.token_makers(rights),
        impersonators=holders.impersonators(rights),
        certificate_names=holders.certificate_names(rights),
        unknown_principals=holders.unknown_principals(rights),
        run_command=holders.run_command_holders(rights),
        credential_readers=holders.credential_readers(rights),
        conditional_roles=holders.conditional_roles(rights),
        fleet_roles=fleets if isinstance(fleets, Unread) else holders.fleet_holders(rights, fleets),
    )


async def _names(
    ports: Ports, bindings: tuple[Binding, ...] | Unread, *roles: tuple[RoleAssignment, ...] | Unread
) -> Mapping[str, Principal]:
    """Return what the directory knows of the principals, by object id and by user principal name."""
    wanted = holders.names_to_look_up(
        () if isinstance(bindings, Unread) else bindings,
        [one for found in roles if not isinstance(found, Unread) for one in found],
    )
    users = tuple(one for one in wanted if "@" in one)
    if len(users) > MOST_NAMES:
        raise Refused(
            f"bindings name {len(users)} users, and at most {MOST_NAMES} are looked up",
            remedy="bind groups instead of users",
        )
    found = dict(await ports.directory.principals(tuple(one for one in wanted if "@" not in one)))
    return found | dict(await ports.directory.users_named(users)) if users else found
