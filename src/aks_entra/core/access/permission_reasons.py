"""What a person may do in a cluster once signed in: admin groups, Azure RBAC and Kubernetes RBAC."""

from __future__ import annotations

from collections.abc import Iterator

from aks_entra.core.access.access_facts import AccessFacts, Eligible
from aks_entra.core.access.explanation import ACCESS_ADMIN, CONTRIBUTOR, DIRECTORY_ADMIN, Effect, Reason, reason
from aks_entra.core.access.principals import Principal
from aks_entra.core.access.rbac import Binding, RoleAssignment
from aks_entra.core.access.resource_access import EVERYTHING, ResourceAttributes, data_action, scope_of
from aks_entra.core.cluster import Identity, same_id


def permission_reasons(facts: AccessFacts, wanted: ResourceAttributes) -> Iterator[Reason]:
    """Yield what allows the request inside the cluster, and what does not."""
    yield from _admin_groups(facts)
    yield from _azure(facts, wanted)
    yield from _kubernetes(facts, wanted)


def _admin_groups(facts: AccessFacts) -> Iterator[Reason]:
    eligible = {one.group_id.casefold(): one for one in facts.eligible or ()}
    held = {one.casefold() for one in facts.groups or ()}
    direct = {one.casefold() for one in facts.direct or ()}
    active = {one.group_id.casefold(): one for one in facts.active or ()}
    if facts.posture.identity is not Identity.MANAGED:
        return
    if not facts.admin_groups:
        message = "the cluster has no admin group"
        remedy = "az aks update --aad-admin-group-object-ids <id>"
        yield reason("A132", Effect.WARNS, message, remedy, CONTRIBUTOR)
    for group in facts.admin_groups:
        key = group.id.casefold()
        if not group.exists or not group.security_enabled:
            what = "does not exist" if not group.exists else "is not security-enabled, so tokens do not contain it"
            message = f"admin group {group.called} {what}"
            remedy = "restore the group, or set another one: az aks update --aad-admin-group-object-ids <id>"
            yield reason("A133", Effect.WARNS, message, remedy, CONTRIBUTOR)
        elif key in held:
            way = "" if key in direct or not facts.direct else " through another group"
            until = active[key].until if key in active else ""
            how = f" {'activated' if active[key].activated else 'assigned'} until {until}" if until else ""
            message = f"a member of the cluster's admin group {group.called}{way}{how}: everything is allowed"
            yield reason("A130", Effect.GRANTS, message)
        elif key in eligible:
            yield _inactive(group.called, group.id, eligible[key])
        elif facts.groups is not None:
            if facts.eligible is None:
                message = (
                    f"not an active member of admin group {group.called}; whether the person is eligible is not known: "
                    f"{facts.why_unread('eligible')}"
                )
                remedy = "ask the administrator of the group for an *Active* assignment"
                yield reason("A135", Effect.TELLS, message, remedy, DIRECTORY_ADMIN)
            else:
                message = f"not a member of admin group {group.called}"
                yield reason(
                    "A135",
                    Effect.TELLS,
                    message,
                    "to allow everything, add the person to the group",
                    DIRECTORY_ADMIN,
                )


def _inactive(called: str, group_id: str, eligible: Eligible) -> Reason:
    until = f" (until {eligible.until})" if eligible.until else ""
    message = f"eligible{until} but not active in group {called}: a token contains only active memberships"
    remedy = (
        f"activate it: aks-entra access activate {group_id} --duration 1h --reason …; or ask the "
        "administrator of the group for an *Active* assignment. Then run kubelogin remove-tokens and sign in again"
    )
    return reason("A134", Effect.BLOCKS, message, remedy, "the person; for an Active assignment " + DIRECTORY_ADMIN)


def _azure(facts: AccessFacts, wanted: ResourceAttributes) -> Iterator[Reason]:
    if facts.posture.identity is not Identity.MANAGED:
        return
    if facts.roles is None:
        if facts.posture.azure_rbac:
            message = f"the role assignments are not known: {facts.why_unread('roles')}"
            remedy = "grant Microsoft.Authorization/roleAssignments/read"
            yield reason("A150", Effect.UNKNOWN, message, remedy, ACCESS_ADMIN)
        return
    action, scope = data_action(wanted), scope_of(facts.posture.cluster.resource_id, wanted.namespace)
    inside = tuple(one for one in facts.roles if one.role.data_actions)
    if not facts.posture.azure_rbac:
        for one in inside:
            message = f"role {one.role.name!r} has no effect inside the cluster: Azure RBAC is off"
            remedy = "turn Azure RBAC on (target.azure_rbac: on), or use a binding: access grant --via kubernetes-rbac"
            yield reason("A153", Effect.WARNS, message, remedy, CONTRIBUTOR)
        return
    for one in inside:
        path = through_group(facts, one)
        if one.reaches(scope) and one.role.allows_data(action):
            yield _given(one, f"Azure RBAC: role {one.role.name!r} at {scope_in_words(one, facts)}{path}")
        else:
            why = "does not allow this" if one.reaches(scope) else "does not reach this scope"
            short = action.rpartition("/managedClusters/")[2]
            message = f"role {one.role.name!r} at {scope_in_words(one, facts)}{path} {why} ({short})"
            yield reason("A152", Effect.TELLS, message)
    for one in facts.eligible_roles:
        if one.reaches(scope) and one.role.allows_data(action):
            eligible = next(it for it in facts.eligible or () if same_id(it.group_id, one.principal_id))
            called = f"{facts.name_of(one.principal_id)}, which holds {one.role.name!r}"
            yield _inactive(called, one.principal_id, eligible)


def _given(one: RoleAssignment, message: str) -> Reason:
    if not one.condition:
        return reason("A151", Effect.GRANTS, message)
    remedy = "read the condition: az role assignment list --include-inherited"
    message += " holds under a condition, which is not evaluated here"
    return reason("A154", Effect.UNKNOWN, message, remedy, ACCESS_ADMIN)


def _kubernetes(facts: AccessFacts, wanted: ResourceAttributes) -> Iterator[Reason]:
    if facts.bindings is None:
        message = f"the Kubernetes role bindings are not known: {facts.why_unread('bindings')}"
        yield reason(
            "A160",
            Effect.UNKNOWN,
            message,
            "run this as a member of an admin group",
            "an administrator",
        )
        return
    user, held = facts.person.kubernetes_name, frozenset(facts.groups or ()) | {"system:authenticated"}
    names = {name for known, name in facts.names if name and known in held}
    admins = {group.id.casefold() for group in facts.admin_groups}
    for binding in facts.bindings:
        subject = binding.names(user, held)
        if subject is not None and subject.name.casefold() in admins and binding.allows(EVERYTHING):
            continue  # AKS' own binding of the admin groups: _admin_groups reports it
        if subject is not None and binding.allows(wanted):
            whom = f"group {facts.name_of(subject.name)}" if subject.kind == "Group" else subject.name
            message = f"Kubernetes RBAC: {binding.title} gives {binding.role} to {whom}"
            yield reason("A161", Effect.GRANTS, message)
            if facts.posture.azure_rbac:
                message = f"both apply: Azure RBAC is on, and {binding.title} also allows this"
                remedy = "to end the access, delete the binding as well as the role assignment"
                yield reason("A162", Effect.WARNS, message, remedy, "a cluster administrator")
        elif subject is None and binding.allows(wanted):
            yield from _misnamed(binding, facts.person, names)


def _misnamed(binding: Binding, person: Principal, names: set[str]) -> Iterator[Reason]:
    """Yield the bindings that mean the person, but use a name that no token contains."""
    for subject in binding.subjects:
        by_name = subject.kind == "Group" and subject.name in names
        by_id = subject.kind == "User" and person.kind == "User" and same_id(subject.name, person.id)
        by_case = subject.kind == "User" and subject.name.casefold() == person.kubernetes_name.casefold()
        if by_name or by_id or by_case:
            right = "the group's object id" if by_name else repr(person.kubernetes_name)
            message = f"{binding.title} names {subject.kind.lower()} {subject.name!r}: tokens contain {right}"
            yield reason("A163", Effect.WARNS, message, f"in the binding, write {right}", "a cluster administrator")


def through_group(facts: AccessFacts, held: RoleAssignment) -> str:
    """Say through which group the role is held. Returns an empty text for a role that the person holds directly."""
    return "" if same_id(held.principal_id, facts.person.id) else f" through group {facts.name_of(held.principal_id)}"


def scope_in_words(held: RoleAssignment, facts: AccessFacts) -> str:
    """Say at which scope a role is held: the cluster, a namespace, or the scope above."""
    key, at = facts.posture.cluster.key, held.scope.casefold().rstrip("/")
    if at == key:
        return "the cluster"
    if at.startswith(f"{key}/namespaces/"):
        return f"namespace {held.scope.rstrip('/').rpartition('/')[2]}"
    return held.scope or "/"
