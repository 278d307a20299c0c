"""Who holds the rights that are ways into a cluster: by Kubernetes RBAC, and by role assignments of Azure.

Administrators and what Kubernetes and AKS bring themselves are told apart from everybody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from aks_entra.core.access.explanation import ADMIN_ACTION, CREDENTIAL_ACTION
from aks_entra.core.access.principals import Principal
from aks_entra.core.access.rbac import Binding, RoleAssignment, Subject, covers
from aks_entra.core.access.resource_access import (
    CLUSTER_TYPE,
    EVERYTHING,
    ResourceAttributes,
    attributes,
    data_action,
)
from aks_entra.core.cluster import Identity, Posture, same_id
from aks_entra.core.doors.facts import Holders, Unread

SIGNER: Final = "kubernetes.io/kube-apiserver-client"
"""The signer whose certificates the API server accepts as those of any user or group, except system:masters."""

RUN_COMMAND_ACTION: Final = f"{CLUSTER_TYPE}/runCommand/action"
PROFILE_ACTION: Final = f"{CLUSTER_TYPE}/accessProfiles/listCredential/action"
FLEET_MEMBERS: Final = "Microsoft.ContainerService/fleets/members/"
"""The beginning of the data actions of Fleet's roles for member clusters."""

SYSTEM_NAMESPACES: Final = frozenset(
    {"kube-system", "gatekeeper-system", "calico-system", "tigera-operator", "aks-command"}
)
"""The namespaces of AKS and its add-ons."""

OF_AKS: Final = frozenset({"clusterAdmin", "clusterUser", "aks-support"})
"""The users that AKS binds on every cluster."""

_OBJECT_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_EVERYBODY: Final = frozenset(
    {
        "system:masters",
        "system:authenticated",
        "system:unauthenticated",
        "system:anonymous",
        "system:serviceaccounts",
    }
)
_SIGNERS: Final = frozenset({SIGNER, "kubernetes.io/*"})
_CERTIFICATES: Final = "certificates.k8s.io"
_APPROVALS: Final = f"certificatesigningrequests.{_CERTIFICATES}/approval"
_APPROVE: Final = (attributes("update", _APPROVALS), attributes("patch", _APPROVALS))
_SIGN: Final = (attributes("approve", f"signers.{_CERTIFICATES}"),)
_TOKENS: Final = (attributes("create", "serviceaccounts/token"),)
_IMPERSONATE: Final = tuple(attributes("impersonate", what) for what in ("users", "groups", "serviceaccounts"))
_NAMESPACED: Final = frozenset({"serviceaccounts"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What was read about the rights on one cluster.

    `names` are the principals that the directory knows, by object id or user principal name in lower case. `runner` is
    the object id of the identity that runs this program.
    """

    posture: Posture
    bindings: tuple[Binding, ...] | Unread
    roles: tuple[RoleAssignment, ...] | Unread
    names: Mapping[str, Principal] | Unread
    runner: str = ""

    def called(self, name: str) -> str:
        """Return the name that people know of a principal, or its id."""
        found = None if isinstance(self.names, Unread) else self.names.get(name.casefold())
        return found.called if found else name


@dataclass(slots=True, kw_only=True)
class _Held:
    """The ways in which one subject holds a right, each with details such as what it may impersonate."""

    subject: str
    ways: dict[str, list[str]] = field(default_factory=dict)
    administrator: bool = False
    own: bool = False
    conditional: bool = True

    def __str__(self) -> str:
        shown = {way: ", ".join(dict.fromkeys(filter(None, details))) for way, details in self.ways.items()}
        return f"{self.subject}: {'; '.join(f'{way} ({what})' if what else way for way, what in shown.items())}"

    def add(self, way: str, detail: str = "", *, conditional: bool = False, own: bool = False) -> None:
        """Add a way. The subject is the cluster's own, or holds the right under a condition, if all ways are."""
        self.own = own and (self.own or not self.ways)
        self.conditional &= conditional
        self.ways.setdefault(way, []).append(detail)


_Found = dict[str, _Held]


def certificate_approvers(rights: Rights) -> Holders:
    """Return who may approve a CertificateSigningRequest for the signer of client certificates.

    Approving needs two rights. If no subject holds both, everyone with the first is returned, as long as somebody holds
    the second: a user may hold one by a group and the other by another group.
    """
    may, signs = _inside(rights, _APPROVE), _inside(rights, _SIGN, only=_SIGNERS)
    both = {key: one for key, one in may.items() if key in signs}
    if not any(_counts(one) for one in both.values()) and any(_counts(one) for one in signs.values()):
        both = may
    return _holders(rights, both)


def token_makers(rights: Rights) -> Holders:
    """Return who may make tokens for service accounts."""
    return _holders(rights, _inside(rights, _TOKENS))


def impersonators(rights: Rights) -> Holders:
    """Return who may impersonate users, groups or service accounts."""
    return _holders(rights, _inside(rights, _IMPERSONATE))


def certificate_names(rights: Rights) -> Holders | Unread:
    """Return the subjects that no token of Entra ID matches, except those of Kubernetes, AKS and service accounts."""
    return _subjects(rights, lambda subject: not _from_entra(subject))


def unknown_principals(rights: Rights) -> Holders | Unread:
    """Return the users and groups in bindings that the directory does not know."""
    known = rights.names
    if isinstance(known, Unread):
        return known
    return _subjects(rights, lambda subject: _from_entra(subject) and subject.name.casefold() not in known)


def names_to_look_up(bindings: Iterable[Binding], roles: Iterable[RoleAssignment]) -> tuple[str, ...]:
    """Return the object ids and user principal names that bindings and role assignments contain, each once."""
    found = {
        subject.name.casefold()
        for one in bindings
        for subject in one.subjects
        if subject.kind != "ServiceAccount" and _from_entra(subject)
    }
    return tuple(sorted(found | {one.principal_id.casefold() for one in roles}))


def run_command_holders(rights: Rights) -> Holders:
    """Return who may run commands in the cluster through ARM."""
    return _by_action(rights, (RUN_COMMAND_ACTION,))


def credential_readers(rights: Rights) -> Holders:
    """Return who, other than this program, may fetch a credential that names nobody.

    Without Entra ID the user's kubeconfig holds the same credential as the administrator's.
    """
    without = rights.posture.identity in {Identity.NONE, Identity.UNKNOWN}
    return _by_action(rights, (ADMIN_ACTION, PROFILE_ACTION, *((CREDENTIAL_ACTION,) if without else ())))


def conditional_roles(rights: Rights) -> Holders | Unread:
    """Return the role assignments with a condition, at, above and below the cluster."""
    if isinstance(rights.roles, Unread):
        return rights.roles
    found = (one for one in rights.roles if one.condition)
    return Holders(conditional=tuple(f"{rights.called(one.principal_id)}: {_azure(one)}" for one in found))


def reaches_members(role: RoleAssignment) -> bool:
    """Whether a role assignment gives anything in the member clusters of a fleet."""
    given = role.role.data_actions
    return role.role.allows_data(f"{FLEET_MEMBERS}*") or any(
        one.casefold().startswith(FLEET_MEMBERS.casefold()) for one in given
    )


def fleet_holders(rights: Rights, fleets: tuple[RoleAssignment, ...]) -> Holders:
    """Return who holds a role for member clusters, by the role assignments on the cluster's fleets."""
    found = _Found()
    for one in fleets:
        if reaches_members(one):
            _add(found, rights, one)
    return _told_apart(found)


def _holders(rights: Rights, found: _Found) -> Holders:
    """Tell apart who holds a right inside the cluster, and say what could not be read."""
    if not rights.posture.kubernetes_rbac:
        return Holders(who=("everybody who can sign in: Kubernetes RBAC is off (enableRBAC)",))
    unread = [rights.bindings] if isinstance(rights.bindings, Unread) else []
    if rights.posture.azure_rbac and isinstance(rights.roles, Unread):
        unread.append(rights.roles)
    return replace(_told_apart(found), unread=tuple(unread))


def _told_apart(found: _Found) -> Holders:
    def those(wanted: Callable[[_Held], bool]) -> tuple[str, ...]:
        return tuple(str(one) for _, one in sorted(found.items()) if wanted(one))

    return Holders(
        who=those(lambda one: _counts(one) and not one.conditional),
        administrators=those(lambda one: one.administrator),
        conditional=those(lambda one: _counts(one) and one.conditional),
        own=tuple(one.subject for _, one in sorted(found.items()) if one.own and not one.administrator),
    )


def _counts(held: _Held) -> bool:
    return not (held.administrator or held.own)


def _inside(rights: Rights, wanted: tuple[ResourceAttributes, ...], *, only: frozenset[str] = frozenset()) -> _Found:
    """Return who holds one of these rights inside the cluster. `only` are the object names that matter, if not all."""
    found = _Found()
    several = len({request.resource for request in wanted}) > 1
    for request in wanted:
        what = request.resource if several else ""
        for binding, subject in _pairs(rights):
            if (limit := _allows(binding, request, only)) is not None:
                held = _entry(found, rights, subject)
                held.add(f"{binding.role} by {binding.title}", f"{what} {limit}".strip(), own=_is_own(binding, subject))
                held.administrator |= _is_admin_group(rights.posture, subject)
        for one in _azure_roles(rights, request):
            _add(found, rights, one, what)
            everything = one.reaches(rights.posture.cluster.resource_id) and one.role.allows_data(
                data_action(EVERYTHING)
            )
            found[one.principal_id.casefold()].administrator |= everything and not one.condition
    return found


def _pairs(rights: Rights) -> Iterator[tuple[Binding, Subject]]:
    if not isinstance(rights.bindings, Unread):
        yield from ((binding, subject) for binding in rights.bindings for subject in binding.subjects)


def _azure_roles(rights: Rights, request: ResourceAttributes) -> Iterator[RoleAssignment]:
    """Yield the role assignments that give a data action, in the whole cluster or in one of its namespaces."""
    cluster = rights.posture.cluster.resource_id
    if not rights.posture.azure_rbac or isinstance(rights.roles, Unread):
        return
    for one in rights.roles:
        within = request.resource in _NAMESPACED and covers(f"{cluster}/namespaces", one.scope)
        if (one.reaches(cluster) or within) and one.role.allows_data(data_action(request)):
            yield one


def _allows(binding: Binding, wanted: ResourceAttributes, only: frozenset[str]) -> str | None:
    """Return the limit of a right in words, empty if it has none. None: the binding does not give the right."""
    if binding.namespace and wanted.resource not in _NAMESPACED:
        return None
    given = [rule for rule in binding.rules if replace(rule, names=()).allows(wanted)]
    names = [frozenset(rule.names) for rule in given if not (rule.names and only and not only & set(rule.names))]
    if not names:
        return None
    if only or not all(names):
        return ""
    return f"only {', '.join(sorted(frozenset().union(*names)))}"


def _subjects(rights: Rights, wanted: Callable[[Subject], bool]) -> Holders | Unread:
    if isinstance(rights.bindings, Unread):
        return rights.bindings
    found = _Found()
    for binding, subject in _pairs(rights):
        if subject.kind == "ServiceAccount" or _is_admin_group(rights.posture, subject) or not wanted(subject):
            continue
        if (is_own := _is_own(binding, subject)) or not subject.name.startswith("system:serviceaccount:"):
            _entry(found, rights, subject).add(f"{binding.role} by {binding.title}", own=is_own)
    return _told_apart(found)


def _by_action(rights: Rights, actions: tuple[str, ...]) -> Holders:
    """Return who, other than this program, holds one of these actions on the cluster."""
    if isinstance(rights.roles, Unread):
        return Holders(unread=(rights.roles,))
    found = _Found()
    for one in rights.roles:
        given = one.reaches(rights.posture.cluster.resource_id) and any(one.role.allows(action) for action in actions)
        if given and not same_id(one.principal_id, rights.runner):
            _add(found, rights, one)
    return _told_apart(found)


def _add(found: _Found, rights: Rights, one: RoleAssignment, detail: str = "") -> None:
    held = found.setdefault(one.principal_id.casefold(), _Held(subject=rights.called(one.principal_id)))
    held.add(_azure(one), detail, conditional=bool(one.condition))


def _entry(found: _Found, rights: Rights, subject: Subject) -> _Held:
    if subject.kind == "ServiceAccount":
        text = f"service account {subject.namespace}/{subject.name}"
        return found.setdefault(text, _Held(subject=text))
    if _OBJECT_ID.fullmatch(subject.name):
        return found.setdefault(subject.name.casefold(), _Held(subject=rights.called(subject.name)))
    text = f"{subject.kind.lower()} {subject.name}"
    return found.setdefault(text, _Held(subject=text))


def _azure(one: RoleAssignment) -> str:
    return f"{one.role.name} at {one.scope or '/'}"


def _from_entra(subject: Subject) -> bool:
    """Whether a token of Entra ID can match a subject: an object id, or a user principal name."""
    principal_name = subject.kind == "User" and "@" in subject.name
    return principal_name or _OBJECT_ID.fullmatch(subject.name) is not None


def _is_admin_group(posture: Posture, subject: Subject) -> bool:
    return subject.kind == "Group" and any(same_id(subject.name, one) for one in posture.admin_group_ids)


def _is_own(binding: Binding, subject: Subject) -> bool:
    """Whether Kubernetes or AKS bring a subject of a binding on every cluster."""
    if subject.kind == "ServiceAccount":
        return binding.stock and subject.namespace in SYSTEM_NAMESPACES
    if subject.name in OF_AKS:
        return binding.stock
    everybody = subject.name in _EVERYBODY or subject.name.startswith("system:serviceaccount")
    return subject.name.startswith("system:") and (binding.stock or not everybody)
