"""List who can get into a cluster and how, from groups, role assignments and bindings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aks_entra.core.access.access_facts import Group
from aks_entra.core.access.explanation import ADMIN_ACTION
from aks_entra.core.access.grants import Grant, grant_of
from aks_entra.core.access.holders import OF_AKS
from aks_entra.core.access.pim import Kind, Membership
from aks_entra.core.access.principals import Principal
from aks_entra.core.access.rbac import Binding, RoleAssignment
from aks_entra.core.cluster import Identity, Posture
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way in: who has it, how, and at which scope. `until` is empty if it has no end."""

    cluster: str
    who: str
    how: str
    scope: str
    until: str = ""
    ours: bool = False
    unread: bool = False  # who gets in this way could not be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was read about one cluster. What could not be read is None, and gets its own row."""

    posture: Posture
    groups: tuple[Group, ...]
    members: Mapping[str, tuple[Principal, ...] | None]  # of admin groups, by id in lower case
    memberships: Mapping[str, tuple[Membership, ...] | None]
    roles: tuple[RoleAssignment, ...] | None
    bindings: tuple[Binding, ...] | None
    grants: tuple[Grant, ...] = ()  # the bindings among them that are ours
    old_credentials: OldCredentials | None = None  # None: not weighed
    names: Mapping[str, Principal] | None = None


def ways(seen: Seen) -> tuple[Way, ...]:
    """Return every way into the cluster, in a stable order."""
    return tuple(
        sorted(
            (*_static(seen), *_admins(seen), *_roles(seen), *_bindings(seen)),
            key=lambda way: (way.how, way.scope, way.who),
        )
    )


def _static(seen: Seen) -> Iterator[Way]:
    posture = seen.posture
    if posture.local_accounts or posture.identity is Identity.NONE:
        yield _way(seen, "anybody who holds it", "static admin credential (local accounts are on)", "everything")
        for one in seen.roles or ():
            if one.reaches(posture.cluster.resource_id) and one.role.allows(ADMIN_ACTION):
                how = f"may fetch the static admin credential: {one.called}"
                yield _way(seen, _name(seen, one.principal_id), how, one.scope)
    elif seen.old_credentials is None or seen.old_credentials.debt is not Debt.NONE:
        old = seen.old_credentials
        why = f"{old.debt}: {old.because}" if old else "unknown: not looked at"
        how = f"static admin credential from before local accounts were off ({why})"
        yield _way(seen, "anybody who holds one", how, "everything")


def _admins(seen: Seen) -> Iterator[Way]:
    for group in seen.groups:
        key = group.id.casefold()
        members, memberships = seen.members.get(key), seen.memberships.get(key)
        if not group.exists:
            yield _way(seen, group.called, "admin group that does not exist", "nothing")
            continue
        ends = {one.principal_id: one.ends for one in memberships or () if one.kind is Kind.ACTIVE and one.end}
        if members is None:
            yield _way(seen, f"members of {group.called}: unknown", "admin group", "everything", unread=True)
        for person in members or ():
            how = f"active in admin group {group.called}"
            yield _way(seen, person.called, how, "everything", ends.get(person.id, ""))
        for one in memberships or ():
            if one.kind is Kind.ELIGIBLE:
                how = f"eligible in admin group {group.called}: after activation"
                yield _way(seen, _name(seen, one.principal_id), how, "everything", one.ends if one.end else "")


def _roles(seen: Seen) -> Iterator[Way]:
    if seen.roles is None:
        yield _way(seen, "unknown", "Azure RBAC: role assignments may not be read", "unknown", unread=True)
    if not seen.posture.azure_rbac:
        return
    for one in seen.roles or ():
        if one.role.data_actions:
            grant = grant_of(one, seen.posture.cluster.key)
            until = "" if grant is None or grant.until is None else grant.ends
            yield _way(
                seen,
                _name(seen, one.principal_id),
                f"Azure RBAC: {one.called}",
                one.scope,
                until,
                ours=grant is not None,
            )


def _bindings(seen: Seen) -> Iterator[Way]:
    if seen.bindings is None:
        yield _way(seen, "unknown", "Kubernetes RBAC: bindings may not be read", "unknown", unread=True)
    admins = {group.id.casefold() for group in seen.groups}
    ours = {one.id.rpartition("/")[2]: one for one in seen.grants}
    for binding in seen.bindings or ():
        grant = ours.get(binding.name)
        for subject in binding.subjects:
            system = subject.name.startswith("system:") or subject.name in OF_AKS
            if subject.kind == "ServiceAccount" or system or subject.name.casefold() in admins:
                continue
            until = "" if grant is None or grant.until is None else grant.ends
            yield _way(
                seen,
                _name(seen, subject.name),
                f"Kubernetes RBAC: {binding.role} by {binding.title}",
                binding.namespace or "all namespaces",
                until,
                ours=grant is not None,
            )


def _way(
    seen: Seen, who: str, how: str, scope: str, until: str = "", *, ours: bool = False, unread: bool = False
) -> Way:
    cluster = str(seen.posture.cluster)
    return Way(cluster=cluster, who=who, how=how, scope=scope, until=until, ours=ours, unread=unread)


def _name(seen: Seen, principal_id: str) -> str:
    found = (seen.names or {}).get(principal_id.casefold())
    return found.called if found else principal_id
