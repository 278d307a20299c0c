"""Why a person can or cannot get into a cluster: from what was read, a verdict and findings, each with its remedy.

Sources: AKS' page on managed Microsoft Entra ID integration (sections Access, Troubleshooting, Conditional Access,
just-in-time), its authentication webhook (groups from the token, at most 200), its authorization webhook (data
actions at cluster and namespace scope). None means that something could not be read, and is never taken for "none".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aks_entra.core.cluster import Identity, Posture, same_id
from aks_entra.core.grants import Principal
from aks_entra.core.rules import Binding, HeldRole
from aks_entra.core.wishes import EVERYTHING, Wish, data_action, role_for, scope_of

OVERAGE: Final = 200
"""More groups than this do not fit into a token."""
CREDENTIAL_ACTION: Final = "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"
ADMIN_ACTION: Final = "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action"
_DEVICES: Final = frozenset({"compliantDevice", "domainJoinedDevice"})


class Effect(StrEnum):
    """What a finding does to the answer."""

    GRANTS = "grants"
    BLOCKS = "blocks"
    WARNS = "warns"
    TELLS = "tells"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing about the answer: what was seen, what to do about it, and who can."""

    rule: str
    effect: Effect
    message: str
    remedy: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """An admin group of the cluster. `exists` False: deleted, or never there."""

    id: str
    name: str = ""
    exists: bool = True
    security_enabled: bool = True

    @property
    def called(self) -> str:
        """Its name and id."""
        return f"{self.name} ({self.id})" if self.name else self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Eligible:
    """A membership that PIM for Groups lets the person activate; `until` as Graph wrote it, empty for good."""

    group_id: str
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """A membership that PIM for Groups made; `activated`: by the person, else assigned."""

    group_id: str
    activated: bool
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyResult:
    """What a Conditional Access policy says to a sign-in at the AKS server application. `state` is Graph's word."""

    id: str
    name: str
    state: str
    applies: bool
    controls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that was read about a person and a cluster. None: could not be read (`unread` says why)."""

    posture: Posture
    tenant_id: str  # where the person was found
    person: Principal
    groups: frozenset[str] | None  # security groups, transitive: what a new token carries
    direct: frozenset[str] | None
    admin_groups: tuple[Group, ...]
    eligible: tuple[Eligible, ...] | None
    active: tuple[Active, ...] | None
    roles: tuple[HeldRole, ...] | None  # of the person and their groups, at, above and below the cluster
    eligible_roles: tuple[HeldRole, ...] = ()  # of groups that the person may activate
    bindings: tuple[Binding, ...] | None = None
    policies: tuple[PolicyResult, ...] | None = None
    names: tuple[tuple[str, str], ...] = ()  # of groups, by id
    unread: tuple[tuple[str, str], ...] = ()  # what could not be read -> why

    def name_of(self, group_id: str) -> str:
        """A group for people."""
        found = next((name for known, name in self.names if same_id(known, group_id)), "")
        return f"{found} ({group_id})" if found else group_id

    def why_unread(self, what: str) -> str:
        """Why something could not be read."""
        return next((why for known, why in self.unread if known == what), "it could not be read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a token made out now would carry."""

    username: str
    object_id: str
    tenant_id: str
    groups: tuple[str, ...] | None
    overage: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer: may they (None: not known), with what token, and why."""

    wish: Wish
    allowed: bool | None
    kubeconfig: bool | None  # whether they may fetch it themselves
    token: Token
    reasons: tuple[Reason, ...]

    @property
    def because(self) -> str:
        """The answer in one line."""
        wanted = {True: Effect.GRANTS, False: Effect.BLOCKS, None: Effect.UNKNOWN}[self.allowed]
        return next((one.message for one in self.reasons if one.effect is wanted), "nothing allows it")


def explain(facts: Facts, wish: Wish = EVERYTHING) -> Explanation:
    """Decide, and say why. A sign-in that fails outweighs every grant."""
    entering = (*_cluster(facts), *_account(facts), *_token(facts), *_conditional_access(facts))
    inside = (*_admin_groups(facts), *_azure(facts, wish), *_kubernetes(facts, wish))
    fetching = tuple(_kubeconfig(facts))
    kept_out = any(one.effect is Effect.BLOCKS for one in entering)
    granted = any(one.effect is Effect.GRANTS for one in inside)
    unsure = any(one.effect is Effect.UNKNOWN and one.rule in _DECISIVE for one in (*entering, *inside))
    allowed = False if kept_out else True if granted else None if unsure else False
    reasons = (*entering, *inside, *fetching, *_freshness(facts, inside), *_local_accounts(facts))
    if allowed is False and not kept_out and not any(one.effect is Effect.BLOCKS for one in inside):
        reasons = (*reasons, _nothing(facts, wish))
    return Explanation(
        wish=wish,
        allowed=allowed,
        kubeconfig={"A110": True, "A111": False}.get(fetching[0].rule),
        token=_token_of(facts),
        reasons=tuple(sorted(reasons, key=lambda one: _ORDER.index(one.effect))),
    )


_ORDER: Final = (Effect.BLOCKS, Effect.GRANTS, Effect.UNKNOWN, Effect.WARNS, Effect.TELLS)
_DECISIVE: Final = frozenset({"A103", "A131", "A150", "A160"})
_ACCESS_ADMIN: Final = "an Owner, User Access Administrator or Role Based Access Control Administrator of the cluster"
_DIRECTORY: Final = (
    "an owner of the group, or a Groups Administrator (Privileged Role Administrator if role-assignable)"
)


def _reason(rule: str, effect: Effect, message: str, remedy: str = "", by: str = "") -> Reason:
    return Reason(rule=rule, effect=effect, message=message, remedy=remedy, by=by)


def _cluster(facts: Facts) -> Iterator[Reason]:
    posture = facts.posture
    owner = "whoever holds Azure Kubernetes Service Contributor on the cluster"
    if posture.identity is Identity.NONE:
        message = "the cluster does not know Microsoft Entra ID: only static credentials get in"
        yield _reason("A100", Effect.BLOCKS, message, "aks-entra plan, then migrate", owner)
    elif posture.identity is Identity.LEGACY:
        message = "the cluster has the legacy integration: kubelogin's non-interactive modes do not work with it"
        yield _reason("A101", Effect.WARNS, message, "upgrade it: aks-entra plan, then migrate", owner)
    if posture.tenant_id and not same_id(posture.tenant_id, facts.tenant_id):
        message = f"the cluster trusts tenant {posture.tenant_id}; this account is of tenant {facts.tenant_id}"
        yield _reason("A102", Effect.BLOCKS, message, f"az login --tenant {posture.tenant_id}", "the person")
    if posture.stopped:
        yield _reason("A104", Effect.BLOCKS, "the cluster is stopped", "az aks start", owner)
    if posture.private:
        message = "the API server is private: it is reached from its network only"
        yield _reason("A105", Effect.TELLS, message, "VPN, a jump host, or az aks command invoke", "the person")
    elif posture.authorized_ip_ranges:
        message = f"the API server answers only {', '.join(posture.authorized_ip_ranges)}"
        yield _reason("A106", Effect.TELLS, message, "work from there, or have the address added", owner)


def _account(facts: Facts) -> Iterator[Reason]:
    if facts.person.kind == "Group":
        message = "this is a group: what is said holds for each of its members"
        yield _reason("A107", Effect.TELLS, message)
    if not facts.person.enabled:
        message = f"the account {facts.person.called} is disabled: no token is given to it"
        yield _reason("A108", Effect.BLOCKS, message, "have it enabled", "a User Administrator")


def _token(facts: Facts) -> Iterator[Reason]:
    if facts.groups is None:
        message = f"group memberships are not known: {facts.why_unread('groups')}"
        yield _reason(
            "A103", Effect.UNKNOWN, message, "grant GroupMember.Read.All and User.Read.All", "an administrator"
        )
    elif len(facts.groups) > OVERAGE:
        count = len(facts.groups)
        if facts.person.kind == "ServicePrincipal":
            message = f"{count} groups do not fit into a token, and AKS refuses a service principal with more than 200"
            remedy = "take it out of groups, or give it roles directly instead of through groups"
            yield _reason("A109", Effect.BLOCKS, message, remedy, _DIRECTORY)
        else:
            message = f"{count} groups do not fit into a token: AKS asks Microsoft Graph for them at each sign-in"
            yield _reason("A109", Effect.TELLS, message)


def _conditional_access(facts: Facts) -> Iterator[Reason]:
    administrator = "a Conditional Access Administrator"
    if facts.policies is None:
        if facts.person.kind == "User":
            message = f"what Conditional Access says is not known: {facts.why_unread('policies')}"
            yield _reason("A120", Effect.UNKNOWN, message, "grant Policy.Read.All", "an administrator")
        return
    for policy in facts.policies:
        if not policy.applies:
            continue
        asks = " and ".join(policy.controls) or "nothing"
        if policy.state == "enabledForReportingButNotEnforced":
            message = f"Conditional Access policy {policy.name!r} would ask for {asks}; it only reports so far"
            yield _reason("A121", Effect.TELLS, message)
        elif policy.state == "enabled" and "block" in policy.controls:
            message = f"Conditional Access policy {policy.name!r} blocks this sign-in (AADSTS53003)"
            yield _reason(
                "A122", Effect.BLOCKS, message, "have an exception made, or meet its conditions", administrator
            )
        elif policy.state == "enabled" and _DEVICES & set(policy.controls):
            message = f"Conditional Access policy {policy.name!r} asks for {asks}: a device code carries no device"
            remedy = "from such a device: aks-entra kubeconfig --mode interactive (or azurecli), not devicecode"
            yield _reason("A123", Effect.WARNS, message, remedy, "the person")
        elif policy.state == "enabled":
            message = f"Conditional Access policy {policy.name!r} asks for {asks} at sign-in"
            yield _reason("A124", Effect.TELLS, message, "meet it when asked: az login, kubelogin", "the person")


def _admin_groups(facts: Facts) -> Iterator[Reason]:
    eligible = {one.group_id.casefold(): one for one in facts.eligible or ()}
    held = {one.casefold() for one in facts.groups or ()}
    direct = {one.casefold() for one in facts.direct or ()}
    active = {one.group_id.casefold(): one for one in facts.active or ()}
    if facts.posture.identity is not Identity.MANAGED:
        return
    if not facts.admin_groups:
        message = "the cluster has no admin group"
        remedy = "az aks update --aad-admin-group-object-ids <id>"
        yield _reason("A132", Effect.WARNS, message, remedy, "whoever holds Azure Kubernetes Service Contributor")
    for group in facts.admin_groups:
        key = group.id.casefold()
        if not group.exists or not group.security_enabled:
            what = "does not exist (any more)" if not group.exists else "is not security-enabled: no token carries it"
            message = f"admin group {group.called} {what}"
            remedy = "restore it, or name another: az aks update --aad-admin-group-object-ids <id>"
            yield _reason("A133", Effect.WARNS, message, remedy, "whoever holds Azure Kubernetes Service Contributor")
        elif key in held:
            way = "" if key in direct or not facts.direct else ", through another group"
            until = active[key].until if key in active else ""
            how = f" {'activated' if active[key].activated else 'assigned'} until {until}" if until else ""
            message = f"member of the cluster's admin group {group.called}{way}{how}: everything is allowed"
            yield _reason("A130", Effect.GRANTS, message)
        elif key in eligible:
            yield _inactive(group.called, group.id, eligible[key])
        elif facts.groups is not None:
            if facts.eligible is None:
                message = (
                    f"not an active member of admin group {group.called}; whether an eligible one is not known: "
                    f"{facts.why_unread('eligible')}"
                )
                remedy = "make sure that the admin of the group has given an *Active* assignment"
                yield _reason("A135", Effect.TELLS, message, remedy, _DIRECTORY)
            else:
                message = f"not a member of admin group {group.called}"
                yield _reason(
                    "A135", Effect.TELLS, message, "have the person added, if all is to be allowed", _DIRECTORY
                )


def _inactive(called: str, group_id: str, eligible: Eligible) -> Reason:
    until = f" (until {eligible.until})" if eligible.until else ""
    message = f"eligible{until} but not active in group {called}: a token carries active memberships only"
    remedy = (
        f"activate it: aks-entra access activate {group_id} --for 1h --reason …; or have the admin of the group "
        "give an *Active* assignment. Then kubelogin remove-tokens, and sign in again"
    )
    return _reason("A134", Effect.BLOCKS, message, remedy, "the person; for an Active assignment " + _DIRECTORY)


def _azure(facts: Facts, wish: Wish) -> Iterator[Reason]:
    if facts.posture.identity is not Identity.MANAGED:
        return
    if facts.roles is None:
        if facts.posture.azure_rbac:
            message = f"role assignments are not known: {facts.why_unread('roles')}"
            remedy = "grant Microsoft.Authorization/roleAssignments/read"
            yield _reason("A150", Effect.UNKNOWN, message, remedy, _ACCESS_ADMIN)
        return
    action, scope = data_action(wish), scope_of(facts.posture.cluster.resource_id, wish.namespace)
    inside = tuple(one for one in facts.roles if one.role.data_actions)
    if not facts.posture.azure_rbac:
        for one in inside:
            message = f"role {one.role.name!r} has no effect inside the cluster: Azure RBAC is off on it"
            remedy = "switch it on (target.azure_rbac: on), or bind instead: access grant --via kubernetes-rbac"
            yield _reason("A153", Effect.WARNS, message, remedy, "whoever holds Azure Kubernetes Service Contributor")
        return
    for one in inside:
        through = _through(facts, one)
        if one.reaches(scope) and one.role.allows_data(action):
            message = f"Azure RBAC: role {one.role.name!r} at {_place(one, facts)}{through}"
            yield _reason("A151", Effect.GRANTS, message)
        else:
            why = "does not allow this" if one.reaches(scope) else "does not reach this scope"
            short = action.rpartition("/managedClusters/")[2]
            message = f"role {one.role.name!r} at {_place(one, facts)}{through} {why} ({short})"
            yield _reason("A152", Effect.TELLS, message)
    for one in facts.eligible_roles:
        if one.reaches(scope) and one.role.allows_data(action):
            eligible = next(it for it in facts.eligible or () if same_id(it.group_id, one.principal_id))
            called = f"{facts.name_of(one.principal_id)}, which holds {one.role.name!r}"
            yield _inactive(called, one.principal_id, eligible)


def _kubernetes(facts: Facts, wish: Wish) -> Iterator[Reason]:
    if facts.bindings is None:
        message = f"Kubernetes' bindings are not known: {facts.why_unread('bindings')}"
        yield _reason(
            "A160", Effect.UNKNOWN, message, "ask as somebody who may read them (an admin group)", "an administrator"
        )
        return
    user, held = facts.person.kubernetes_name, frozenset(facts.groups or ()) | {"system:authenticated"}
    names = {name for known, name in facts.names if name and known in held}
    admins = {group.id.casefold() for group in facts.admin_groups}
    for binding in facts.bindings:
        subject = binding.names(user, held)
        if subject is not None and subject.name.casefold() in admins and binding.allows(EVERYTHING):
            continue  # AKS' own binding of the admin groups: said already
        if subject is not None and binding.allows(wish):
            whom = f"group {facts.name_of(subject.name)}" if subject.kind == "Group" else subject.name
            message = f"Kubernetes RBAC: {binding.title} gives {binding.role} to {whom}"
            yield _reason("A161", Effect.GRANTS, message)
            if facts.posture.azure_rbac:
                message = f"both apply: Azure RBAC is on, and {binding.title} allows beside it"
                remedy = "whoever takes the role assignment away has to delete the binding as well"
                yield _reason("A162", Effect.WARNS, message, remedy, "a cluster administrator")
        elif subject is None and binding.allows(wish):
            yield from _misnamed(binding, facts.person, names)


def _misnamed(binding: Binding, person: Principal, names: set[str]) -> Iterator[Reason]:
    """A binding that means the person, by a name which no token carries."""
    for subject in binding.subjects:
        by_name = subject.kind == "Group" and subject.name in names
        by_id = subject.kind == "User" and person.kind == "User" and same_id(subject.name, person.id)
        by_case = subject.kind == "User" and subject.name.casefold() == person.kubernetes_name.casefold()
        if by_name or by_id or by_case:
            right = "the group's object id" if by_name else f"{person.kubernetes_name!r}, as the token spells it"
            message = f"{binding.title} names {subject.kind.lower()} {subject.name!r}: tokens carry {right}"
            yield _reason("A163", Effect.WARNS, message, f"name {right} there", "a cluster administrator")


def _kubeconfig(facts: Facts) -> Iterator[Reason]:
    scope = facts.posture.cluster.resource_id
    role = "Azure Kubernetes Service Cluster User Role"
    if facts.roles is None:
        message = f"whether they may fetch the kubeconfig is not known: {facts.why_unread('roles')}"
        yield _reason(
            "A112", Effect.UNKNOWN, message, "grant Microsoft.Authorization/roleAssignments/read", _ACCESS_ADMIN
        )
        return
    for one in facts.roles:
        if one.reaches(scope) and one.role.allows(CREDENTIAL_ACTION):
            message = f"may fetch the kubeconfig: role {one.role.name!r} at {_place(one, facts)}{_through(facts, one)}"
            yield _reason("A110", Effect.TELLS, message)
            return
    message = f"may not fetch the kubeconfig (az aks get-credentials): {role} is missing"
    remedy = f"aks-entra access grant {facts.posture.cluster} --to {facts.person.called} --role cluster-user"
    yield _reason("A111", Effect.WARNS, message, f"{remedy}; or be handed one: it holds no secret", _ACCESS_ADMIN)


def _freshness(facts: Facts, inside: tuple[Reason, ...]) -> Iterator[Reason]:
    if facts.person.kind != "Group" and any(one.effect is Effect.GRANTS for one in inside):
        message = "groups travel in the token: who was added or activated just now needs a new one"
        remedy = (
            "kubelogin remove-tokens (a service principal: remove ~/.cache/.IdentityService too), and sign in again"
        )
        yield _reason("A140", Effect.TELLS, message, remedy, "the person")


def _local_accounts(facts: Facts) -> Iterator[Reason]:
    admin_role = "Azure Kubernetes Service Cluster Admin Role"
    if facts.posture.local_accounts:
        holds = any(
            one.role.allows(ADMIN_ACTION) and one.reaches(facts.posture.cluster.resource_id)
            for one in facts.roles or ()
        )
        yields = "; this person may fetch it" if holds else f"; who holds {admin_role} may fetch it"
        message = f"local accounts are on: a static admin kubeconfig passes by all of this{yields}"
        remedy = "in an emergency only: az aks get-credentials --admin; close it: aks-entra plan, then migrate"
        yield _reason("A170", Effect.WARNS, message, remedy, f"whoever holds {admin_role}")
    else:
        message = "local accounts are off: az aks get-credentials --admin is refused"
        remedy = (
            "permanently locked out? az aks update --enable-local-accounts, --admin, and close and rotate afterwards"
        )
        yield _reason("A171", Effect.TELLS, message, remedy, "whoever holds Azure Kubernetes Service Contributor")


def _nothing(facts: Facts, wish: Wish) -> Reason:
    via, role = "azure-rbac" if facts.posture.azure_rbac else "kubernetes-rbac", role_for(wish)
    where = f" -n {wish.namespace}" if wish.namespace else ""
    message = f"nothing allows {wish}: no admin group, no role assignment, no binding"
    remedy = (
        f"aks-entra access request {facts.posture.cluster} --for-whom {facts.person.called} --role {role}{where} "
        f"--via {via} --for 2h --reason …"
    )
    if role == "cluster-admin" and wish != EVERYTHING:
        own = f"a custom role with {data_action(wish)}" if via == "azure-rbac" else "a ClusterRole of your own"
        remedy += f"; narrower: {own}"
    return _reason(
        "A180", Effect.BLOCKS, message, remedy, _ACCESS_ADMIN if via == "azure-rbac" else "a cluster administrator"
    )


def _token_of(facts: Facts) -> Token:
    overage = facts.groups is not None and len(facts.groups) > OVERAGE
    return Token(
        username=facts.person.kubernetes_name,
        object_id=facts.person.id,
        tenant_id=facts.tenant_id,
        groups=None if facts.groups is None or overage else tuple(sorted(facts.groups)),
        overage=overage,
    )


def _through(facts: Facts, held: HeldRole) -> str:
    return "" if same_id(held.principal_id, facts.person.id) else f" through group {facts.name_of(held.principal_id)}"


def _place(held: HeldRole, facts: Facts) -> str:
    key, at = facts.posture.cluster.key, held.scope.casefold().rstrip("/")
    if at == key:
        return "the cluster"
    if at.startswith(f"{key}/namespaces/"):
        return f"namespace {held.scope.rstrip('/').rpartition('/')[2]}"
    return held.scope or "/"
