"""Reads who can get into a cluster, and how. Reads only; what may not be read is a row that says so."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from aks_entra.access_ports import AccessPorts
from aks_entra.core.access import Group
from aks_entra.core.cluster import Identity, Posture
from aks_entra.core.review import Seen, Way, ways
from aks_entra.errors import Refused, TryLater
from aks_entra.ports import Ports

_T = TypeVar("_T")


async def review(ports: Ports, access: AccessPorts, posture: Posture) -> tuple[Way, ...]:
    """Every way into one cluster."""
    groups = []
    for one in posture.admin_group_ids:
        facts = await ports.directory.group(one, prover="")
        exists = facts.exists and facts.deleted_on is None
        groups.append(Group(id=one, name=facts.display_name, exists=exists, security_enabled=facts.security_enabled))
    there = [one.id for one in groups if one.exists]
    memberships = {one.casefold(): await _readable(access.pim.memberships(group_id=one)) for one in there}
    roles = await _readable(access.roles.held(posture.cluster, None))
    inside = posture.identity is Identity.MANAGED and not posture.stopped
    bindings = await _readable(access.bindings.bindings(posture)) if inside else None
    ids = [one.principal_id for one in roles or ()]
    ids += [subject.name for one in bindings or () for subject in one.subjects]
    ids += [one.principal_id for found in memberships.values() for one in found or ()]
    return ways(
        Seen(
            posture=posture,
            groups=tuple(groups),
            members={one.casefold(): await _readable(access.people.members_of(one)) for one in there},
            memberships=memberships,
            roles=roles,
            bindings=bindings,
            grants=() if bindings is None else await _readable(access.bindings.grants(posture)) or (),
            names=await _readable(access.people.principals(tuple(dict.fromkeys(ids)))),
        )
    )


async def _readable(reading: Awaitable[_T]) -> _T | None:
    try:
        return await reading
    except (Refused, TryLater):
        return None
