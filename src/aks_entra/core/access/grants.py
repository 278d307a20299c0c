"""Access for a time: the request, its approval, what is written, and when it must end.

A grant contains its own end: the description of an Azure role assignment, or an annotation of a Kubernetes binding. The
same request writes both, so that a grant says when it ends even if the run died. This module must not know how
assignments and bindings are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

from aks_entra.core.access.grant_names import assignment_name, binding_name
from aks_entra.core.access.principals import Principal
from aks_entra.core.access.rbac import RoleAssignment
from aks_entra.core.access.resource_access import RBAC_GROUP, ResourceAttributes, scope_of
from aks_entra.core.cluster import ClusterId
from aks_entra.core.digests import sha256_of_text
from aks_entra.core.durations import NEVER, moment, stamp
from aks_entra.core.storable import canonical

MARK: Final = "aks-entra grant"
_HERE: Final = "the identity that ran this"
"""What stands behind a name that nobody typed: the identity that carried out the request."""
_UNTIL: Final = re.compile(r"\buntil=(?P<until>[^;\s]+)")
_DESCRIPTION: Final = 1000


class Level(StrEnum):
    """How much a grant allows, named after AKS' built-in roles."""

    CLUSTER_USER = "cluster-user"
    READER = "reader"
    WRITER = "writer"
    ADMIN = "admin"
    CLUSTER_ADMIN = "cluster-admin"


class Via(StrEnum):
    """What authorizes inside the cluster: Azure RBAC (role assignments) or Kubernetes RBAC (bindings)."""

    AZURE = "azure-rbac"
    KUBERNETES = "kubernetes-rbac"


AZURE_ROLES: Final[dict[Level, tuple[str, str]]] = {
    Level.CLUSTER_USER: ("4abbcc35-e782-43d8-92c5-2d3f1bd2253f", "Azure Kubernetes Service Cluster User Role"),
    Level.READER: ("7f6c6a51-bcf8-42ba-9220-52d62157d7db", "Azure Kubernetes Service RBAC Reader"),
    Level.WRITER: ("a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb", "Azure Kubernetes Service RBAC Writer"),
    Level.ADMIN: ("3498e952-d568-435e-9b2c-8d77e338d7f7", "Azure Kubernetes Service RBAC Admin"),
    Level.CLUSTER_ADMIN: ("b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b", "Azure Kubernetes Service RBAC Cluster Admin"),
}
"""The built-in roles as (id, name). They are the same in every tenant."""
CLUSTER_ROLES: Final[dict[Level, str]] = {
    Level.READER: "view",
    Level.WRITER: "edit",
    Level.ADMIN: "admin",
    Level.CLUSTER_ADMIN: "cluster-admin",
}
"""Kubernetes' own user-facing ClusterRoles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request for access. `end` None: it never ends, which is not the default. An empty namespace is the cluster.

    `claimed`: somebody typed `requested_by`. If not, it is the identity that carries out the request.
    """

    cluster: ClusterId
    principal: Principal
    level: Level
    via: Via
    end: datetime | None
    reason: str
    namespace: str = ""
    requested_by: str = ""
    claimed: bool = False

    @property
    def asked_by(self) -> str:
        """Who asks, for people, and what stands behind the name. Empty: that is unknown."""
        return f"{self.requested_by}, {'a claim' if self.claimed else _HERE}" if self.requested_by else ""

    @property
    def text(self) -> str:
        """The whole request, with its end to the second: JSON with sorted keys."""
        return canonical(
            {
                "kind": "aks-entra/access-request",
                "cluster": self.cluster.key,
                "principal": self.principal.id.casefold(),
                "principalName": self.principal.called,
                "principalType": self.principal.kind,
                "role": self.level.value,
                "via": self.via.value,
                "namespace": self.namespace,
                "until": stamp(self.end) if self.end else NEVER,
                "reason": self.reason,
                "requestedBy": self.requested_by,
            }
        )

    @property
    def digest(self) -> str:
        """The digest that an approval names."""
        return sha256_of_text(self.text)

    @property
    def scope(self) -> str:
        """The scope in Azure RBAC."""
        return scope_of(self.cluster.resource_id, self.namespace)

    @property
    def role(self) -> str:
        """The name of the role in Azure or in Kubernetes."""
        return AZURE_ROLES[self.level][1] if self.via is Via.AZURE else CLUSTER_ROLES[self.level]

    @property
    def assignment_name(self) -> str:
        """Return the name of the role assignment. The same scope, principal and role always give the same name."""
        return assignment_name(self.scope, self.principal.id, AZURE_ROLES[self.level][0])

    @property
    def binding_name(self) -> str:
        """The binding's name. Each end has its own: an extension is a second binding, which ends by itself."""
        return binding_name(self.namespace, self.principal.kubernetes_name, self.level.value, self.end)

    @property
    def name(self) -> str:
        """The name of the grant in Azure or in Kubernetes."""
        return self.assignment_name if self.via is Via.AZURE else self.binding_name

    @property
    def attributes(self) -> ResourceAttributes:
        """A request that only the grant allows. It proves that the grant works, and that it ended."""
        return attributes_of(self.level, self.namespace)

    def __str__(self) -> str:
        where = f"{self.cluster} namespace {self.namespace}" if self.namespace else str(self.cluster)
        until = f"until {stamp(self.end)}" if self.end else "for good"
        return f"{self.principal.called}: {self.role} on {where} {until}"


def attributes_of(level: Level, namespace: str) -> ResourceAttributes:
    """Return a request that a level allows and the level below it does not."""
    match level:
        case Level.CLUSTER_USER | Level.READER:
            return ResourceAttributes(verb="list", resource="pods", group="", namespace=namespace)
        case Level.WRITER:
            return ResourceAttributes(verb="create", resource="pods", group="", namespace=namespace)
        case Level.ADMIN:
            return ResourceAttributes(verb="create", resource="rolebindings", group=RBAC_GROUP, namespace=namespace)
        case Level.CLUSTER_ADMIN:
            return ResourceAttributes(verb="create", resource="namespaces", group="", namespace=namespace)
        case _:
            assert_never(level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A decision that allows exactly one request, by its digest.

    `separate`: one person asked and another one decided. It is False for `access grant`, which needs no second person.
    `by` is the approver with what proves the name, as the grant says it. Empty: the approver alone, who signed in here.
    """

    digest: str
    approver: str
    separate: bool = False
    by: str = ""

    @property
    def words(self) -> str:
        """Who approved, for people, and what stands behind the name."""
        return self.by or f"{self.approver}, {_HERE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A grant that exists. `until` None: it never ends. `unreadable`: its mark is damaged.

    `foreign`: it has our mark, but not the name that we would have given it. It is a copy or was changed. It is shown
    and never ended.
    """

    via: Via
    id: str
    cluster_key: str
    principal_id: str
    role: str
    until: datetime | None
    namespace: str = ""
    principal_kind: str = ""
    text: str = ""
    unreadable: bool = False
    foreign: bool = False

    @property
    def name(self) -> str:
        """Its name in Azure or in Kubernetes: the last part of its id."""
        return self.id.rpartition("/")[2]

    @property
    def where(self) -> str:
        """The namespace or the cluster, in words."""
        cluster = self.cluster_key.rpartition("/")[2]
        return f"namespace {self.namespace} of {cluster}" if self.namespace else cluster

    def over(self, now: datetime) -> bool:
        """Whether it must be gone by now. A grant whose end cannot be read is over, because nobody approved that."""
        return not self.foreign and (self.unreadable or (self.until is not None and self.until <= now))

    def recorded(self, ends: Mapping[str, datetime | None]) -> Grant:
        """Return the grant with the end from our own record (`ends`, by name) if its mark is damaged."""
        if not (self.foreign and self.unreadable and self.name in ends):
            return self
        return replace(self, foreign=False, unreadable=False, until=ends[self.name])

    @property
    def ends(self) -> str:
        """When it ends, in words."""
        return "unreadable" if self.unreadable else stamp(self.until) if self.until else NEVER


def description(ask: Ask, by: str, until: datetime | None) -> str:
    """Return the description that is written with the grant: its end first, then who and why.

    `by` says who approved, and what stands behind the name.
    """
    facts = {"until": stamp(until) if until else NEVER, "for": ask.asked_by, "by": by, "reason": ask.reason}
    parts = [f"{key}={' '.join(value.replace(';', ',').split())}" for key, value in facts.items() if value]
    return f"{MARK}; {'; '.join(parts)}"[:_DESCRIPTION]


def end_in(text: str) -> tuple[datetime | None, bool]:
    """Return the end in a text with our mark, and whether the text is damaged."""
    found = _UNTIL.search(text)
    if found is None:
        return None, True
    if found["until"] == NEVER:
        return None, False
    try:
        return moment(found["until"]), False
    except ValueError:
        return None, True


def is_ours(text: str) -> bool:
    """Whether a description carries our mark."""
    return text.startswith(MARK)


def grant_of(held: RoleAssignment, cluster_key: str) -> Grant | None:
    """Return a role assignment as a grant, or None if it does not have our mark."""
    if not is_ours(held.description):
        return None
    until, damaged = end_in(held.description)
    _, found, rest = held.scope.casefold().partition("/namespaces/")
    return Grant(
        via=Via.AZURE,
        id=held.id,
        cluster_key=cluster_key,
        principal_id=held.principal_id,
        principal_kind=held.principal_type,
        role=held.role.name,
        namespace=held.scope[-len(rest) :] if found and rest else "",
        until=until,
        text=held.description,
        unreadable=damaged,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Write the request, with this end and this text."""

    ask: Ask
    until: datetime | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Write nothing: an existing grant allows as much for as long."""

    existing: Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Write nothing, because this is not allowed."""

    why: str
    remedy: str


def decide(ask: Ask, approval: Approval | None, existing: Grant | None, now: datetime) -> Write | Keep | Refuse:
    """Decide what to do about a request. It must be approved and not over. A longer grant is never shortened."""
    if approval is None or approval.digest != ask.digest:
        return Refuse(
            why="nobody approved exactly this request", remedy="ask somebody to approve it, or make another request"
        )
    if approval.separate and approval.approver.casefold() == ask.requested_by.casefold():
        return Refuse(
            why=f"{approval.approver} made the request, and nobody can approve their own request",
            remedy="ask somebody else to approve it",
        )
    if ask.end is not None and ask.end <= now:
        return Refuse(why=f"the request ended at {stamp(ask.end)}", remedy="make a new request")
    if existing is not None and not existing.over(now) and _lasts(existing.until, ask.end):
        return Keep(existing=existing)
    return Write(ask=ask, until=ask.end, text=description(ask, approval.words, ask.end))


def is_named_by_us(held: RoleAssignment) -> bool:
    """Whether a role assignment has the name that a grant of its scope, principal and role would have."""
    name = assignment_name(held.scope, held.principal_id, held.role.id)
    return held.id.rpartition("/")[2].casefold() == name


def is_bound_by_us(name: str, namespace: str, subject: str, role: str, text: str) -> bool:
    """Whether a binding has the name that a grant of its namespace, subject, ClusterRole and end would have."""
    until, damaged = end_in(text)
    levels = [level.value for level, one in CLUSTER_ROLES.items() if one == role]
    return not damaged and any(name == binding_name(namespace, subject, level, until) for level in levels)


def due(grants: Iterable[Grant], now: datetime) -> tuple[Grant, ...]:
    """Return the grants that must end now."""
    return tuple(grant for grant in grants if grant.over(now))


def _lasts(there: datetime | None, asked: datetime | None) -> bool:
    return there is None or (asked is not None and there >= asked)
