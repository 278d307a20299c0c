"""Access that is given for a time: what was asked, what an approval covers, what is written, when it must be gone.

The end of a grant stands in the grant itself, written in the same request as the grant: in the description of an Azure
role assignment, in an annotation of a Kubernetes binding. Whoever dies in between, what is left says when it ends.
It must not know how assignments and bindings are written.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Literal, assert_never

from aks_entra.core.cluster import ClusterId, Identity, Posture
from aks_entra.core.durations import moment, stamp
from aks_entra.core.preflight import Finding, Severity
from aks_entra.core.rules import HeldRole
from aks_entra.core.wishes import RBAC_GROUP, Wish, scope_of

MARK: Final = "aks-entra grant"
LONGEST: Final = timedelta(days=30)
SHORTEST: Final = timedelta(minutes=5)
"""PIM's own least; Azure refuses to end an assignment earlier than this after its beginning."""
_NAMES: Final = uuid.UUID("2a1f7e0b-6c0d-4f53-9a3e-6a6f0f7c4d11")
_UNTIL: Final = re.compile(r"\buntil=(?P<until>[^;\s]+)")
_DESCRIPTION: Final = 1000


class Level(StrEnum):
    """How much a grant allows, in the words of AKS' built-in roles."""

    CLUSTER_USER = "cluster-user"
    READER = "reader"
    WRITER = "writer"
    ADMIN = "admin"
    CLUSTER_ADMIN = "cluster-admin"


class Via(StrEnum):
    """Who decides inside the cluster: Azure RBAC (role assignments) or Kubernetes RBAC (bindings)."""

    AZURE = "azure-rbac"
    KUBERNETES = "kubernetes-rbac"


AZURE_ROLES: Final[dict[Level, tuple[str, str]]] = {
    Level.CLUSTER_USER: ("4abbcc35-e782-43d8-92c5-2d3f1bd2253f", "Azure Kubernetes Service Cluster User Role"),
    Level.READER: ("7f6c6a51-bcf8-42ba-9220-52d62157d7db", "Azure Kubernetes Service RBAC Reader"),
    Level.WRITER: ("a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb", "Azure Kubernetes Service RBAC Writer"),
    Level.ADMIN: ("3498e952-d568-435e-9b2c-8d77e338d7f7", "Azure Kubernetes Service RBAC Admin"),
    Level.CLUSTER_ADMIN: ("b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b", "Azure Kubernetes Service RBAC Cluster Admin"),
}
"""The built-in roles: (id, name), the same in every tenant."""
CLUSTER_ROLES: Final[dict[Level, str]] = {
    Level.READER: "view",
    Level.WRITER: "edit",
    Level.ADMIN: "admin",
    Level.CLUSTER_ADMIN: "cluster-admin",
}
"""Kubernetes' own user-facing ClusterRoles."""
PrincipalKind = Literal["User", "Group", "ServicePrincipal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whom access is given to: object id, kind, and the name that a person knows (a user principal name for users)."""

    id: str
    kind: PrincipalKind
    name: str = ""
    enabled: bool = True

    @property
    def called(self) -> str:
        """Its name, or its id without one."""
        return self.name or self.id

    @property
    def kubernetes_name(self) -> str:
        """How Kubernetes RBAC names it: AKS takes the `upn` of a user, else the object id."""
        return self.name if self.kind == "User" and self.name else self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request for access. `end` None is for good, which is never the default. An empty namespace is the cluster."""

    cluster: ClusterId
    principal: Principal
    level: Level
    via: Via
    end: datetime | None
    reason: str
    namespace: str = ""
    requested_by: str = ""

    @property
    def digest(self) -> str:
        """What an approval names: all of the request, down to the second of its end."""
        facts = (
            self.cluster.key,
            self.principal.id.casefold(),
            self.principal.kind,
            self.level.value,
            self.via.value,
            self.namespace,
            stamp(self.end) if self.end else "never",
            self.reason,
            self.requested_by,
        )
        return f"sha256:{hashlib.sha256(json.dumps(facts).encode()).hexdigest()}"

    @property
    def scope(self) -> str:
        """The scope in Azure RBAC."""
        return scope_of(self.cluster.resource_id, self.namespace)

    @property
    def role(self) -> str:
        """What the role is called where it is given."""
        return AZURE_ROLES[self.level][1] if self.via is Via.AZURE else CLUSTER_ROLES[self.level]

    @property
    def assignment_name(self) -> str:
        """The role assignment's name: always the same for one scope, principal and role, so that none is made twice."""
        key = f"{self.scope}|{self.principal.id}|{AZURE_ROLES[self.level][0]}".casefold()
        return str(uuid.uuid5(_NAMES, key))

    @property
    def binding_name(self) -> str:
        """The binding's name: one for each end, so that an extension is a second binding, and each ends by itself."""
        until = stamp(self.end) if self.end else "never"
        key = f"{self.namespace}|{self.principal.kubernetes_name}|{self.level.value}|{until}"
        return f"aks-entra-{self.level.value}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"

    @property
    def wish(self) -> Wish:
        """Something that the grant allows and that nobody may do without one: how it is proven, and its end too."""
        return wish_of(self.level, self.namespace)

    def __str__(self) -> str:
        where = f"{self.cluster} namespace {self.namespace}" if self.namespace else str(self.cluster)
        until = f"until {stamp(self.end)}" if self.end else "for good"
        return f"{self.principal.called}: {self.role} on {where} {until}"


def wish_of(level: Level, namespace: str) -> Wish:
    """Something that a level allows and the one below it does not."""
    match level:
        case Level.CLUSTER_USER | Level.READER:
            return Wish(verb="list", resource="pods", group="", namespace=namespace)
        case Level.WRITER:
            return Wish(verb="create", resource="pods", group="", namespace=namespace)
        case Level.ADMIN:
            return Wish(verb="create", resource="rolebindings", group=RBAC_GROUP, namespace=namespace)
        case Level.CLUSTER_ADMIN:
            return Wish(verb="create", resource="namespaces", group="", namespace=namespace)
        case _:
            assert_never(level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A decision that allows exactly one request, by its digest.

    `separate`: it was asked for by one and decided on by another; one's own authority (`access grant`) is not.
    """

    digest: str
    approver: str
    separate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A grant of ours as it stands. `until` None: for good. `unreadable`: its mark is damaged."""

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

    def over(self, now: datetime) -> bool:
        """Whether it must be gone by now. One whose end cannot be read any more is over: nobody approved that."""
        return self.unreadable or (self.until is not None and self.until <= now)

    @property
    def ends(self) -> str:
        """Its end for people."""
        return "unreadable" if self.unreadable else stamp(self.until) if self.until else "never"


def description(ask: Ask, approver: str, until: datetime | None) -> str:
    """What is written beside the grant: its end first, then who and why."""
    told = {"until": stamp(until) if until else "never", "for": ask.requested_by, "by": approver, "reason": ask.reason}
    parts = [f"{key}={' '.join(value.replace(';', ',').split())}" for key, value in told.items() if value]
    return f"{MARK}; {'; '.join(parts)}"[:_DESCRIPTION]


def end_in(text: str) -> tuple[datetime | None, bool]:
    """(end, damaged) of a text with our mark."""
    found = _UNTIL.search(text)
    if found is None:
        return None, True
    if found["until"] == "never":
        return None, False
    try:
        return moment(found["until"]), False
    except ValueError:
        return None, True


def is_ours(text: str) -> bool:
    """Whether a description carries our mark."""
    return text.startswith(MARK)


def grant_of(held: HeldRole, cluster_key: str) -> Grant | None:
    """A role assignment as a grant of ours, or None when it is somebody else's."""
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
    """What is to be written: the request, with the end that will stand in the grant."""

    ask: Ask
    until: datetime | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Nothing is to be written: what is there allows as much for as long."""

    existing: Grant


@dataclass(frozen=True, slots=True, kw_only=True)
class No:
    """Nothing may be written, and why."""

    why: str
    remedy: str


def decide(ask: Ask, approval: Approval | None, existing: Grant | None, now: datetime) -> Write | Keep | No:
    """What to do about a request: only what was approved, only before its end, never shortening another approval."""
    if approval is None or approval.digest != ask.digest:
        return No(why="nobody approved exactly this request", remedy="ask for its approval, or for another one")
    if approval.separate and approval.approver.casefold() == ask.requested_by.casefold():
        return No(
            why=f"{approval.approver} asked for it: nobody approves their own request", remedy="ask somebody else"
        )
    if ask.end is not None and ask.end <= now:
        return No(why=f"the request ended at {stamp(ask.end)}", remedy="ask again")
    if existing is not None and not existing.over(now) and _lasts(existing.until, ask.end):
        return Keep(existing=existing)
    return Write(ask=ask, until=ask.end, text=description(ask, approval.approver, ask.end))


def due(grants: Iterable[Grant], now: datetime) -> tuple[Grant, ...]:
    """The grants that must go now."""
    return tuple(grant for grant in grants if grant.over(now))


def check(ask: Ask, posture: Posture, now: datetime) -> tuple[Finding, ...]:
    """What speaks against a request before anybody is asked, and what whoever decides should know."""
    return tuple(finding for rule in _RULES for finding in rule(ask, posture, now))


def refused(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that forbid it."""
    return tuple(finding for finding in findings if finding.severity is Severity.BLOCKER)


def _lasts(there: datetime | None, asked: datetime | None) -> bool:
    return there is None or (asked is not None and there >= asked)


def _blocker(rule: str, message: str, remedy: str) -> Finding:
    return Finding(rule=rule, severity=Severity.BLOCKER, message=message, remedy=remedy)


def _ends(ask: Ask, _posture: Posture, now: datetime) -> Iterable[Finding]:
    if ask.end is None:
        yield Finding(
            rule="G101",
            severity=Severity.WARNING,
            message="this access never ends",
            remedy="ask for a time: --for 8h",
        )
    elif ask.end - now < SHORTEST:
        yield _blocker("G001", "access for less than 5 minutes, or already over", "ask for 5m at least")
    elif ask.end - now > LONGEST:
        yield _blocker("G001", f"access for more than {LONGEST.days} days", "ask for less, or for good: --permanent")


def _sense(ask: Ask, posture: Posture, _now: datetime) -> Iterable[Finding]:
    if not ask.reason.strip():
        yield _blocker("G002", "no reason is given", "add --reason CHG-…")
    if posture.identity is not Identity.MANAGED:
        yield _blocker(
            "G003",
            f"{ask.cluster} does not know Microsoft Entra ID as managed by AKS",
            "migrate it first: aks-entra plan",
        )
    if not ask.principal.enabled:
        yield _blocker("G004", f"the account {ask.principal.called} is disabled", "enable it first, or name another")


def _scope(ask: Ask, posture: Posture, _now: datetime) -> Iterable[Finding]:
    whole = ask.level in {Level.CLUSTER_USER, Level.CLUSTER_ADMIN}
    if ask.namespace and whole:
        yield _blocker("G005", f"{ask.level.value} is for a whole cluster", "leave out the namespace, or ask for admin")
    if ask.via is Via.KUBERNETES and ask.level is Level.CLUSTER_USER:
        yield _blocker("G006", "cluster-user is a role of Azure, not of Kubernetes", "use --via azure-rbac")
    if ask.via is Via.AZURE and ask.level is not Level.CLUSTER_USER and not posture.azure_rbac:
        yield _blocker(
            "G007",
            f"Azure RBAC is off on {ask.cluster}: a role assignment has no effect inside it",
            "use --via kubernetes-rbac, or switch Azure RBAC on (target.azure_rbac: on)",
        )


def _both(ask: Ask, posture: Posture, _now: datetime) -> Iterable[Finding]:
    if ask.via is Via.KUBERNETES and posture.azure_rbac:
        yield Finding(
            rule="G102",
            severity=Severity.WARNING,
            message="Azure RBAC is on: this binding allows beside it, and removing role assignments will not end it",
            remedy="use --via azure-rbac, so that access has one source",
        )
    if ask.principal.kind == "Group":
        yield Finding(
            rule="G103",
            severity=Severity.INFO,
            message="who joins the group later is let in as well; tokens carry the group until they expire",
        )


_RULES: Final = (_ends, _sense, _scope, _both)
