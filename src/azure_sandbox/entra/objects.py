"""The objects of a directory: tenants, users, service principals and groups. They know nothing about HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

Kind = Literal["User", "Group", "ServicePrincipal"]
Relation = Literal["members", "owners"]
Device = Literal["none", "compliant", "joined"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A tenant with its ID and its initial domain."""

    id: str
    domain: str
    display_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordCredential:
    """A secret of an application. Graph shows it once, when it is added."""

    key_id: str
    secret: str = field(repr=False)
    start: datetime
    end: datetime
    display_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCredential:
    """A certificate (DER) of an application."""

    key_id: str
    certificate: bytes
    start: datetime
    end: datetime
    display_name: str | None = None


@dataclass(slots=True, kw_only=True)
class User:
    """A user. Without a password, the password grant is refused. `more`: what Graph was told beyond these fields."""

    id: str
    upn: str
    display_name: str
    enabled: bool = True
    password: str | None = field(default=None, repr=False)
    mfa: bool = True  # a second factor is registered, and used at each interactive sign-in
    device: Device = "none"  # state of the device on which the user's browser runs
    roles: frozenset[str] = frozenset()  # template ids of directory roles
    ip: str = "203.0.113.10"  # source address of sign-ins (a documentation address)
    must_change: bool = False  # the password must be changed at the next sign-in
    created_at: datetime | None = None  # None: when it is added to the directory
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedCredential:
    """An issuer and subject whose assertions an application accepts instead of a secret."""

    name: str
    issuer: str
    subject: str
    audience: str = "api://AzureADTokenExchange"


@dataclass(slots=True, kw_only=True)
class ServicePrincipal:
    """A service principal. `graph_permissions` are its application permissions in Microsoft Graph."""

    id: str
    app_id: str
    display_name: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    expired_secrets: tuple[str, ...] = field(default=(), repr=False)
    enabled: bool = True
    graph_permissions: frozenset[str] = frozenset()
    certificates: tuple[bytes, ...] = ()  # DER
    federated: tuple[FederatedCredential, ...] = ()
    public: bool = False  # a public client: users sign in with it, and it has no secret
    delegated: frozenset[str] = frozenset()  # permissions with admin consent: Graph's by name, else resource/name
    redirects: tuple[str, ...] = ()
    token_version: int = 1  # of the tokens that it accepts as a resource
    group_claims: bool = False  # `groupMembershipClaims: SecurityGroup`: its ID tokens name the user's groups
    roles: frozenset[str] = frozenset()  # template ids of directory roles
    visible_at: datetime | None = None  # on the clock of operations: when ARM knows it; None: at once
    first_party: bool = False  # an application of Microsoft's, which is registered in another tenant
    passwords: tuple[PasswordCredential, ...] = ()
    keys: tuple[KeyCredential, ...] = ()
    owners: set[str] = field(default_factory=set)
    created_at: datetime | None = None  # None: when it is added to the directory
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Application:
    """The registration of an application: its credentials, its owners (object IDs) and the document of Graph."""

    id: str
    app_id: str
    display_name: str
    created_at: datetime
    passwords: tuple[PasswordCredential, ...] = ()
    keys: tuple[KeyCredential, ...] = ()
    owners: set[str] = field(default_factory=set)
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A membership or ownership that Privileged Identity Management keeps until `end` (None: permanent)."""

    principal: str
    relation: Relation
    start: datetime
    end: datetime | None

    def lasts(self, now: datetime) -> bool:
        """Return whether the grant is in force at a moment."""
        return self.start <= now and (self.end is None or now < self.end)


@dataclass(slots=True, kw_only=True)
class Group:
    """A group. `members` and `owners` are object IDs. Other clients see the group from `visible_at` on."""

    id: str
    display_name: str
    mail_nickname: str
    created_at: datetime
    visible_at: datetime
    description: str | None = None
    unique_name: str | None = None
    security_enabled: bool = True
    mail_enabled: bool = False
    group_types: tuple[str, ...] = ()
    role_assignable: bool = False
    members: set[str] = field(default_factory=set)
    owners: set[str] = field(default_factory=set)
    deleted_at: datetime | None = None
    before: frozenset[str] = frozenset()  # the members that reads see until `members_visible_at`
    members_visible_at: datetime | None = None

    grants: list[Grant] = field(default_factory=list)
    past: Group | None = None  # properties and owners that reads see until `settles_at`
    settles_at: datetime | None = None

    def seen(self, now: datetime) -> Group:
        """Return the group as reads see it at a moment, apart from members: a change takes time to replicate."""
        if self.past is not None and self.settles_at is not None and now < self.settles_at:
            return self.past
        return self

    def remember(self, now: datetime, settles_at: datetime) -> None:
        """Keep the present properties and owners for reads until a change has replicated at `settles_at`."""
        self.past = replace(self.seen(now), past=None, settles_at=None, owners=set(self.seen(now).owners))
        self.settles_at = settles_at

    def lasting_members(self, now: datetime) -> frozenset[str]:
        """Return the members that reads see, without those through PIM."""
        if self.members_visible_at is not None and now < self.members_visible_at:
            return self.before
        return frozenset(self.members)

    def seen_members(self, now: datetime) -> frozenset[str]:
        """Return the members that reads see, including those through PIM at this moment."""
        return self.lasting_members(now) | self.granted("members", now)

    def granted(self, relation: Relation, now: datetime) -> frozenset[str]:
        """Return the IDs of the members or owners through PIM at a moment."""
        return frozenset(it.principal for it in self.grants if it.relation == relation and it.lasts(now))


Principal = User | ServicePrincipal | Group
Removable = User | ServicePrincipal | Application


def kind(principal: Principal) -> Kind:
    """Return the type of a principal as ARM and Graph name it."""
    match principal:
        case User():
            return "User"
        case Group():
            return "Group"
        case ServicePrincipal():
            return "ServicePrincipal"
