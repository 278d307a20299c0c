"""The directory: tenants, users, service principals and groups of the world, in memory.

It knows facts only. Who may read or change them over the wire is `azure_sandbox.graph`'s business, and what a token
says of them `azure_sandbox.entra.tokens`'.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from azure_sandbox.clock import Clock

Kind = Literal["User", "Group", "ServicePrincipal"]
KEPT_DELETED = timedelta(days=30)  # a deleted group can be restored for so long


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A tenant: its id and its initial domain."""

    id: str
    domain: str
    display_name: str = ""


@dataclass(slots=True, kw_only=True)
class User:
    """A person's account. Without a password nobody can sign in as them."""

    id: str
    upn: str
    display_name: str
    enabled: bool = True
    password: str | None = field(default=None, repr=False)


@dataclass(slots=True, kw_only=True)
class ServicePrincipal:
    """An application's identity in the tenant; `graph_permissions` are application permissions of Microsoft Graph."""

    id: str
    app_id: str
    display_name: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    expired_secrets: tuple[str, ...] = field(default=(), repr=False)
    enabled: bool = True
    graph_permissions: frozenset[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class Group:
    """A group. `members` and `owners` hold object ids; `visible_at` is when other reads see it first."""

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

    def seen_members(self, now: datetime) -> frozenset[str]:
        """The members as a read sees them: a change takes its time to replicate."""
        if self.members_visible_at is not None and now < self.members_visible_at:
            return self.before
        return frozenset(self.members)


Principal = User | ServicePrincipal | Group


def kind(principal: Principal) -> Kind:
    """The principal's type as ARM and Graph name it."""
    match principal:
        case User():
            return "User"
        case Group():
            return "Group"
        case ServicePrincipal():
            return "ServicePrincipal"


class Directory:
    """Everything that one home tenant holds. Ids ignore case; other tenants are known by name only, and empty."""

    def __init__(self, tenant: Tenant, *, clock: Clock, replication: float = 0.0) -> None:
        """`replication`: real seconds after which a read sees a group that was just created."""
        self.tenant = tenant
        self.tenants: dict[str, Tenant] = {tenant.id.lower(): tenant}
        self.clock = clock
        self.replication = timedelta(seconds=replication)
        self._objects: dict[str, Principal] = {}
        self._users: dict[str, User] = {}  # by upn
        self._applications: dict[str, ServicePrincipal] = {}  # by appId

    def add(self, principal: Principal) -> None:
        """Take a new object in; raises ValueError when its id, upn or appId is taken."""
        if isinstance(principal, User) and principal.upn.lower() in self._users:
            raise ValueError(f"two users are called {principal.upn}")
        if isinstance(principal, ServicePrincipal) and principal.app_id.lower() in self._applications:
            raise ValueError(f"two service principals have the appId {principal.app_id}")
        if principal.id.lower() in self._objects:
            raise ValueError(f"two directory objects have the id {principal.id} ({principal.display_name})")
        self._objects[principal.id.lower()] = principal
        if isinstance(principal, User):
            self._users[principal.upn.lower()] = principal
        elif isinstance(principal, ServicePrincipal):
            self._applications[principal.app_id.lower()] = principal

    def add_tenant(self, tenant: Tenant) -> None:
        """Make another tenant known."""
        self.tenants[tenant.id.lower()] = tenant

    def find_tenant(self, name: str) -> Tenant | None:
        """A tenant by id or domain."""
        wanted = name.lower()
        return next((it for it in self.tenants.values() if wanted in {it.id.lower(), it.domain.lower()}), None)

    def principal(self, object_id: str) -> Principal | None:
        """The object with this id, deleted groups included."""
        return self._objects.get(object_id.lower())

    def user(self, name: str) -> User | None:
        """A user by upn or object id."""
        found = self._users.get(name.lower()) or self.principal(name)
        return found if isinstance(found, User) else None

    def application(self, app_id: str) -> ServicePrincipal | None:
        """The service principal of an application."""
        return self._applications.get(app_id.lower())

    def group(self, group_id: str) -> Group | None:
        """A group that is not deleted."""
        found = self.principal(group_id)
        return found if isinstance(found, Group) and found.deleted_at is None else None

    def groups(self) -> Iterable[Group]:
        """Every group that is not deleted, in the order of creation."""
        return [it for it in self._objects.values() if isinstance(it, Group) and it.deleted_at is None]

    def users(self) -> Iterable[User]:
        """Every user."""
        return [it for it in self._objects.values() if isinstance(it, User)]

    def service_principals(self) -> Iterable[ServicePrincipal]:
        """Every service principal."""
        return [it for it in self._objects.values() if isinstance(it, ServicePrincipal)]

    def deleted_groups(self) -> Iterable[Group]:
        """Groups that can still be restored."""
        return [it for it in self._objects.values() if isinstance(it, Group) and self.restorable(it)]

    def restorable(self, group: Group) -> bool:
        """Whether a group is deleted and not yet gone for good."""
        return group.deleted_at is not None and self.clock.now() < group.deleted_at + KEPT_DELETED

    def change_members(self, group: Group, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """Change a group's members; reads and tokens see it after the replication delay."""
        now = self.clock.now()
        group.before = group.seen_members(now)
        group.members_visible_at = now + self.replication
        group.members |= set(add)
        group.members -= set(remove)

    def memberships(self, object_id: str) -> frozenset[str]:
        """Ids of the groups that hold the object, directly or through groups; deleted groups hold nobody."""
        found: set[str] = set()
        wanted = {object_id.lower()}
        now = self.clock.now()
        held = {it.id: {member.lower() for member in it.seen_members(now)} for it in self.groups()}
        while wanted:
            holders = {group for group, members in held.items() if not wanted.isdisjoint(members)} - found
            found |= holders
            wanted = {it.lower() for it in holders}
        return frozenset(found)

    def groups_of(self, object_id: str) -> frozenset[str]:
        """As `memberships`, security groups only: what a token says."""
        return frozenset(it for it in self.memberships(object_id) if self._security(it))

    def members_of(self, group: Group, *, transitive: bool = False) -> list[Principal]:
        """The members that exist, in a stable order; `transitive` adds those of member groups."""
        found: dict[str, Principal] = {}
        now = self.clock.now()
        waiting = sorted(group.seen_members(now))
        while waiting:
            member = self.principal(waiting.pop(0))
            if member is None or member.id in found or _deleted(member):
                continue
            found[member.id] = member
            if transitive and isinstance(member, Group):
                waiting.extend(sorted(member.seen_members(now)))
        return list(found.values())

    def owners_of(self, group: Group) -> list[Principal]:
        """The owners that exist, in a stable order."""
        return [owner for it in sorted(group.owners) if (owner := self.principal(it)) and not _deleted(owner)]

    def kind_of(self, object_id: str) -> Kind | None:
        """The type of an object that exists and is not deleted."""
        found = self.principal(object_id)
        return None if found is None or _deleted(found) else kind(found)

    def display_of(self, object_id: str) -> str:
        """What ARM calls a principal in its refusals: a user's upn, an application's appId, else the id."""
        match self.principal(object_id):
            case User(upn=upn):
                return upn
            case ServicePrincipal(app_id=app_id):
                return app_id
            case _:
                return object_id

    def _security(self, group_id: str) -> bool:
        group = self.group(group_id)
        return group is not None and group.security_enabled


def _deleted(principal: Principal) -> bool:
    return isinstance(principal, Group) and principal.deleted_at is not None
