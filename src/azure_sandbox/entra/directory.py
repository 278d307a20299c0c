"""The directory in memory: tenants, users, service principals and groups of the world.

It knows neither who may read or change the objects over HTTP (`azure_sandbox.graph`), nor what a token says about them
(`azure_sandbox.entra.tokens`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from azure_sandbox.clock import Clock
from azure_sandbox.entra.conditional import ConditionalAccess
from azure_sandbox.entra.objects import (
    Application,
    Device,
    FederatedCredential,
    Grant,
    Group,
    Kind,
    PasswordCredential,
    Principal,
    Removable,
    ServicePrincipal,
    Tenant,
    User,
    kind,
)
from azure_sandbox.entra.pim_state import Pim
from azure_sandbox.entra.sign_ins import SignIns

__all__ = [
    "Application",
    "Device",
    "Directory",
    "FederatedCredential",
    "Grant",
    "Group",
    "Kind",
    "Principal",
    "ServicePrincipal",
    "Tenant",
    "User",
    "kind",
]

KEPT_DELETED = timedelta(days=30)  # how long a deleted object can be restored
SECRET_LASTS = timedelta(days=730)  # a secret of the world, from the start of the sandbox on


class Directory:
    """The objects of one home tenant. IDs ignore case. Of other tenants only the name is known."""

    def __init__(self, tenant: Tenant, *, clock: Clock, replication: float = 0.0) -> None:
        """Create an empty directory. `replication`: real seconds until a read sees a write."""
        self.tenant = tenant
        self.tenants: dict[str, Tenant] = {tenant.id.lower(): tenant}
        self.clock = clock
        self.replication = timedelta(seconds=replication)
        self.licences = frozenset({"P1", "P2"})
        self.security_defaults = False
        self.issuers: dict[str, Any] = {}  # of federated assertions: issuer -> its public keys, as a JWKS
        self.conditional = ConditionalAccess()
        self.sign_ins = SignIns()
        self.pim = Pim()
        self._objects: dict[str, Principal] = {}
        self._users: dict[str, User] = {}  # by upn
        self._applications: dict[str, ServicePrincipal] = {}  # by appId
        self._registrations: dict[str, Application] = {}  # by appId
        self._removed: dict[str, tuple[Removable, datetime]] = {}  # users and applications, by id

    def add(self, principal: Principal) -> None:
        """Add an object. Raises ValueError if its ID, UPN or appId is already used."""
        if isinstance(principal, User) and principal.upn.lower() in self._users:
            raise ValueError(f"two users have the UPN {principal.upn}")
        if isinstance(principal, ServicePrincipal) and principal.app_id.lower() in self._applications:
            raise ValueError(f"two service principals have the appId {principal.app_id}")
        if principal.id.lower() in self._objects:
            raise ValueError(f"two directory objects have the id {principal.id} ({principal.display_name})")
        self._objects[principal.id.lower()] = principal
        if isinstance(principal, User):
            self._users[principal.upn.lower()] = principal
            principal.created_at = principal.created_at or self.clock.now()
        elif isinstance(principal, ServicePrincipal):
            self._applications[principal.app_id.lower()] = principal
            principal.created_at = principal.created_at or self.clock.now()
            if not principal.first_party and self.registration(principal.app_id) is None:
                self.register(self._registered(principal))

    def _registered(self, principal: ServicePrincipal) -> Application:
        """Return the registration behind a service principal of the world, with its secrets."""
        now = self.clock.now()
        times = [(it, now) for it in principal.secrets] + [(it, now - SECRET_LASTS) for it in principal.expired_secrets]
        return Application(
            id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"application {principal.app_id.lower()}")),
            app_id=principal.app_id,
            display_name=principal.display_name,
            created_at=now,
            passwords=tuple(
                PasswordCredential(key_id=str(uuid.uuid4()), secret=secret, start=start, end=start + SECRET_LASTS)
                for secret, start in times
            ),
        )

    def register(self, application: Application) -> None:
        """Add the registration of an application."""
        self._registrations[application.app_id.lower()] = application

    def registration(self, name: str) -> Application | None:
        """Return a registration by appId or object ID. Returns None if there is none."""
        found = self._registrations.get(name.lower())
        return found or next((it for it in self._registrations.values() if it.id.lower() == name.lower()), None)

    def registrations(self) -> list[Application]:
        """Return all registrations, in the order of creation."""
        return list(self._registrations.values())

    def rename(self, user: User, upn: str) -> None:
        """Change the UPN of a user."""
        del self._users[user.upn.lower()]
        user.upn = upn
        self._users[upn.lower()] = user

    def remove(self, removed: Removable) -> None:
        """Delete a user, a service principal, or an application with its service principal; each can be restored."""
        if isinstance(removed, Application):
            del self._registrations[removed.app_id.lower()]
            if (principal := self.application(removed.app_id)) is not None:
                self.remove(principal)
        else:
            del self._objects[removed.id.lower()]
            if isinstance(removed, User):
                del self._users[removed.upn.lower()]
            else:
                del self._applications[removed.app_id.lower()]
        self._removed[removed.id.lower()] = (removed, self.clock.now())

    def removed(self) -> list[tuple[Removable, datetime]]:
        """Return the users, service principals and applications that can still be restored, with their end."""
        now = self.clock.now()
        return [(it, at) for it, at in self._removed.values() if now < at + KEPT_DELETED]

    def bring_back(self, removed: Removable) -> None:
        """Restore what `remove` deleted. Raises ValueError if its UPN or appId is used by now."""
        if isinstance(removed, Application):
            self.register(removed)
        else:
            self.add(removed)
        del self._removed[removed.id.lower()]

    def forget(self, removed: Removable) -> None:
        """Delete for good what `remove` deleted."""
        del self._removed[removed.id.lower()]

    def secrets_of(self, principal: ServicePrincipal) -> tuple[list[str], list[str]]:
        """Return the secrets that are valid now, and those that have expired."""
        registration, now = self.registration(principal.app_id), self.clock.now()
        held = (*principal.passwords, *(registration.passwords if registration else ()))
        valid = [it.secret for it in held if it.start <= now < it.end]
        ended = [it.secret for it in held if it.end <= now and it.secret not in principal.secrets]
        return [*principal.secrets, *valid], [*principal.expired_secrets, *ended]

    def certificates_of(self, principal: ServicePrincipal) -> list[bytes]:
        """Return the certificates (DER) with which an application may sign in."""
        registration = self.registration(principal.app_id)
        keys = (*principal.keys, *(registration.keys if registration else ()))
        return [*principal.certificates, *(it.certificate for it in keys)]

    def add_tenant(self, tenant: Tenant) -> None:
        """Add another tenant."""
        self.tenants[tenant.id.lower()] = tenant

    def find_tenant(self, name: str) -> Tenant | None:
        """Return a tenant by ID or domain. Returns None if it is unknown."""
        wanted = name.lower()
        return next((it for it in self.tenants.values() if wanted in {it.id.lower(), it.domain.lower()}), None)

    def principal(self, object_id: str) -> Principal | None:
        """Return the object with this ID, also a deleted group. Returns None if there is no such object."""
        return self._objects.get(object_id.lower())

    def user(self, name: str) -> User | None:
        """Return a user by UPN or object ID. Returns None if there is no such user."""
        found = self._users.get(name.lower()) or self.principal(name)
        return found if isinstance(found, User) else None

    def application(self, app_id: str) -> ServicePrincipal | None:
        """Return the service principal of an application by appId. Returns None if it does not exist."""
        return self._applications.get(app_id.lower())

    def group(self, group_id: str) -> Group | None:
        """Return a group by object ID. Returns None if it does not exist or is deleted."""
        found = self.principal(group_id)
        return found if isinstance(found, Group) and found.deleted_at is None else None

    def groups(self) -> Iterable[Group]:
        """Return the groups that are not deleted, in the order of creation."""
        return [it for it in self._objects.values() if isinstance(it, Group) and it.deleted_at is None]

    def every_group(self) -> list[Group]:
        """Return all groups, deleted ones included."""
        return [it for it in self._objects.values() if isinstance(it, Group)]

    def changing(self, group: Group) -> None:
        """Prepare a change of a group's properties, owners or deletion: reads see it after the replication delay."""
        now = self.clock.now()
        if self.replication:
            group.remember(now, now + self.replication)

    def fresh(self, principal: Principal, *, factor: int = 1) -> bool:
        """Return whether other services do not see an object yet. `factor` multiplies the replication delay."""
        if not isinstance(principal, Group):
            return False
        lag = principal.visible_at - principal.created_at
        return self.clock.now() < principal.created_at + lag * factor

    def users(self) -> Iterable[User]:
        """Return all users."""
        return [it for it in self._objects.values() if isinstance(it, User)]

    def service_principals(self) -> Iterable[ServicePrincipal]:
        """Return all service principals."""
        return [it for it in self._objects.values() if isinstance(it, ServicePrincipal)]

    def deleted_groups(self) -> Iterable[Group]:
        """Return the deleted groups that can still be restored."""
        return [it for it in self._objects.values() if isinstance(it, Group) and self.restorable(it)]

    def restorable(self, group: Group) -> bool:
        """Return whether a group is deleted and can still be restored."""
        return group.deleted_at is not None and self.clock.now() < group.deleted_at + KEPT_DELETED

    def change_members(self, group: Group, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """Change a group's members. Reads and tokens see it after the replication delay."""
        now = self.clock.now()
        group.before = group.lasting_members(now)
        group.members_visible_at = now + self.replication
        group.members |= set(add)
        group.members -= set(remove)

    def memberships(self, object_id: str) -> frozenset[str]:
        """Return the IDs of the groups that an object is in, directly or nested. Deleted groups have no members."""
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
        """Return the security groups of `memberships`, as a token lists them."""
        return frozenset(it for it in self.memberships(object_id) if self._security(it))

    def members_of(self, group: Group, *, transitive: bool = False) -> list[Principal]:
        """Return the members that exist, in a stable order. `transitive` adds the members of member groups."""
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
        """Return the owners that exist, in a stable order."""
        held = group.owners | group.granted("owners", self.clock.now())
        return [owner for it in sorted(held) if (owner := self.principal(it)) and not _deleted(owner)]

    def kind_of(self, object_id: str) -> Kind | None:
        """Return the type of an object. Returns None if it does not exist or is deleted."""
        found = self.principal(object_id)
        return None if found is None or _deleted(found) else kind(found)

    def display_of(self, object_id: str) -> str:
        """Return how ARM names a principal in an error: a user's UPN, an application's appId, else the ID."""
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
