"""Read what `core.access` decides on: a person, their groups and roles, and one cluster. Nothing is written.

What cannot be read for lack of a right becomes None, with the reason. Every other error is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from aks_entra.core.access.access_facts import AccessFacts, Active, Eligible, Group, PolicyResult
from aks_entra.core.access.pim import Kind, Membership
from aks_entra.core.access.principals import Principal
from aks_entra.core.access.rbac import Binding, RoleAssignment
from aks_entra.core.cluster import ClusterId, Identity, Posture
from aks_entra.errors import Refused, TryLater
from aks_entra.ports.access import AccessPorts
from aks_entra.ports.migration import Ports

_T = TypeVar("_T")


@dataclass(slots=True)
class _Reading:
    """Collects the reasons why something could not be read."""

    unread: list[tuple[str, str]] = field(default_factory=list)

    async def of(self, what: str, reading: Awaitable[_T]) -> _T | None:
        """Return what was read, or None (and note why) if a right, a licence or the connection is missing."""
        try:
            return await reading
        except (Refused, TryLater) as error:
            why = f"{error.message}{f' ({error.remedy})' if error.remedy else ''}"
            self.unread.append((what, why))
            return None


async def gather(ports: Ports, access: AccessPorts, cluster: ClusterId, who: str) -> AccessFacts:
    """Read everything about one person and one cluster. Raises Refused if one of them does not exist."""
    posture, person = await asyncio.gather(ports.arm.cluster(cluster), ports.directory.principal(who))
    return await of_person(ports, access, posture, person)


async def of_person(
    ports: Ports,
    access: AccessPorts,
    posture: Posture,
    person: Principal,
    *,
    bindings: tuple[Binding, ...] | None = None,
) -> AccessFacts:
    """Read everything about a known person and cluster. Pass `bindings` to read them only once for many persons."""
    reading = _Reading()
    cluster = posture.cluster
    groups, direct, memberships = await asyncio.gather(
        reading.of("groups", _groups(ports, person)),
        reading.of("direct", ports.directory.direct_groups_of(person.id)),
        reading.of("eligible", access.pim.memberships(principal_id=person.id)),
    )
    held, policies, named, caller = await asyncio.gather(
        reading.of("roles", access.roles.held(cluster, None)),
        reading.of("policies", _policies(access, person)),
        reading.of("admin groups", _admin_groups(ports, posture)),
        ports.callers.runner(),
    )
    if bindings is None and posture.identity is Identity.MANAGED:
        bindings = await reading.of("bindings", _bindings(access, posture))
    mine = {person.id.casefold(), *(one.casefold() for one in groups or ())}
    eligible = _eligible(memberships)
    may_be = {one.group_id.casefold() for one in eligible or ()}
    names = await reading.of("names", ports.directory.principals(_ids_to_name(held, groups, eligible)))
    return AccessFacts(
        posture=posture,
        tenant_id=caller.tenant_id,
        person=person,
        groups=groups,
        direct=direct,
        admin_groups=named or tuple(Group(id=one) for one in posture.admin_group_ids),
        eligible=eligible,
        active=_active(memberships),
        roles=_of(held, mine) if groups is not None else None,
        eligible_roles=_of(held, may_be) or (),
        bindings=bindings,
        policies=policies,
        names=tuple((known, principal.name) for known, principal in (names or {}).items()),
        unread=tuple(reading.unread),
    )


async def _groups(ports: Ports, person: Principal) -> frozenset[str]:
    found = await ports.directory.groups_of(person.id)
    return found | {person.id} if person.kind == "Group" else found


async def _policies(access: AccessPorts, person: Principal) -> tuple[PolicyResult, ...]:
    return await access.policies.evaluate(person.id) if person.kind == "User" else ()


async def _bindings(access: AccessPorts, posture: Posture) -> tuple[Binding, ...]:
    if posture.stopped:
        raise Refused("the cluster is stopped", remedy="start it, and try again")
    return await access.bindings.bindings(posture)


async def _admin_groups(ports: Ports, posture: Posture) -> tuple[Group, ...]:
    found = await asyncio.gather(*(ports.directory.group(one, prover="") for one in posture.admin_group_ids))
    return tuple(
        Group(
            id=one.id,
            name=one.display_name,
            exists=one.exists and one.deleted_on is None,
            security_enabled=one.security_enabled,
        )
        for one in found
    )


def _eligible(memberships: tuple[Membership, ...] | None) -> tuple[Eligible, ...] | None:
    if memberships is None:
        return None
    return tuple(
        Eligible(group_id=one.group_id, until=one.ends if one.end else "")
        for one in memberships
        if one.kind is Kind.ELIGIBLE
    )


def _active(memberships: tuple[Membership, ...] | None) -> tuple[Active, ...] | None:
    if memberships is None:
        return None
    return tuple(
        Active(group_id=one.group_id, activated=one.activated, until=one.ends if one.end else "")
        for one in memberships
        if one.kind is Kind.ACTIVE
    )


def _of(held: tuple[RoleAssignment, ...] | None, principals: set[str]) -> tuple[RoleAssignment, ...] | None:
    return None if held is None else tuple(one for one in held if one.principal_id.casefold() in principals)


def _ids_to_name(
    held: tuple[RoleAssignment, ...] | None, groups: frozenset[str] | None, eligible: tuple[Eligible, ...] | None
) -> tuple[str, ...]:
    roles = (one.principal_id for one in held or () if one.principal_id in (groups or ()))
    return tuple(dict.fromkeys([*roles, *(groups or ()), *(one.group_id for one in eligible or ())]))
