"""The permissions that Graph requires: those of applications, as documented, and those that every member user has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from azure_sandbox.entra.directory import Directory, Group, Principal, ServicePrincipal, User
from azure_sandbox.entra.roles import effective
from azure_sandbox.graph import errors

_DIRECTORY_READ = frozenset({"Directory.Read.All", "Directory.ReadWrite.All"})
READ_GROUPS = _DIRECTORY_READ | {
    "GroupMember.Read.All",
    "GroupMember.ReadWrite.All",
    "Group.Read.All",
    "Group.ReadWrite.All",
}
CREATE_GROUPS = frozenset({"Group.Create", "Group.ReadWrite.All", "Directory.ReadWrite.All"})
WRITE_GROUPS = frozenset({"Group.ReadWrite.All", "Directory.ReadWrite.All"})
WRITE_MEMBERS = WRITE_GROUPS | {"GroupMember.ReadWrite.All"}
WRITE_ROLE_ASSIGNABLE = frozenset({"RoleManagement.ReadWrite.Directory"})
READ_USERS = _DIRECTORY_READ | {"User.Read.All", "User.ReadBasic.All", "User.ReadWrite.All"}
READ_APPLICATIONS = _DIRECTORY_READ | {
    "Application.Read.All",
    "Application.ReadWrite.All",
    "Application.ReadWrite.OwnedBy",
}
WRITE_USERS = frozenset({"User.ReadWrite.All", "Directory.ReadWrite.All"})
OWN_APPLICATIONS = frozenset({"Application.ReadWrite.OwnedBy"})
READ_DELETED_GROUPS = _DIRECTORY_READ | {"Group.Read.All", "Group.ReadWrite.All"}
WRITE_APPLICATIONS = frozenset({"Application.ReadWrite.All", "Directory.ReadWrite.All"})
READ_ANYTHING = READ_GROUPS | READ_USERS | READ_APPLICATIONS
READ_POLICIES = frozenset({"Policy.Read.All", "Policy.Read.ConditionalAccess"})
WRITE_POLICIES = frozenset({"Policy.ReadWrite.ConditionalAccess"})
READ_DOMAINS = _DIRECTORY_READ | {"Domain.Read.All", "Domain.ReadWrite.All"}
READ_SIGN_INS = frozenset({"AuditLog.Read.All"})
READ_DIRECTORY = _DIRECTORY_READ
_PIM = "Privileged{}Schedule.{}.AzureADGroup"
READ_PIM = {
    kind: frozenset(_PIM.format(kind.capitalize(), it) for it in ("Read", "ReadWrite"))
    for kind in ("eligibility", "assignment")
}
WRITE_PIM = {kind: frozenset({_PIM.format(kind.capitalize(), "ReadWrite")}) for kind in ("eligibility", "assignment")}
REMOVE_PIM = {
    kind: WRITE_PIM[kind] | {_PIM.format(kind.capitalize(), "Remove")} for kind in ("eligibility", "assignment")
}
READ_RULES = frozenset({"RoleManagementPolicy.Read.AzureADGroup", "RoleManagementPolicy.ReadWrite.AzureADGroup"})
WRITE_RULES = frozenset({"RoleManagementPolicy.ReadWrite.AzureADGroup"})
PIM = frozenset().union(*READ_PIM.values(), *REMOVE_PIM.values(), READ_RULES)
KNOWN = READ_ANYTHING | CREATE_GROUPS | WRITE_MEMBERS | WRITE_ROLE_ASSIGNABLE | WRITE_APPLICATIONS
KNOWN |= WRITE_USERS | OWN_APPLICATIONS | READ_DOMAINS
KNOWN |= READ_POLICIES | WRITE_POLICIES | READ_SIGN_INS | PIM | {"Directory.AccessAsUser.All"}
KNOWN |= {"openid", "profile", "email"}  # OpenID permissions, for which Graph is the resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The caller of a request: an application, or a user (`permissions` is None).

    `permissions` are an application's permissions. A user may do what both the client's `scopes` and the user's
    directory `roles` allow.
    """

    object_id: str
    permissions: frozenset[str] | None
    now: datetime  # the moment of the call: an ownership that PIM granted may have ended
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    mfa: bool = False
    client: str = ""

    def holds(self, any_of: frozenset[str]) -> bool:
        """Return whether the caller has one of the permissions; a user needs both the scope and a role for it."""
        if self.permissions is not None:
            return not self.permissions.isdisjoint(any_of)
        return any(self.scoped(frozenset({it})) and effective(it, self.roles) for it in any_of)

    def scoped(self, any_of: frozenset[str]) -> bool:
        """Return whether the token contains one of the permissions, whatever the user's roles are."""
        held = self.scopes if self.permissions is None else self.permissions
        return not held.isdisjoint(any_of)

    def may_read(self, any_of: frozenset[str]) -> bool:
        """Return whether the caller may read: an application with a permission, a member user with a scope."""
        if self.permissions is not None:
            return self.holds(any_of)
        return self.scoped(any_of | {"Directory.AccessAsUser.All"})

    def must_read(self, any_of: frozenset[str]) -> None:
        """Raise 403 unless `may_read`."""
        if not self.may_read(any_of):
            raise errors.denied()

    def must_create_groups(self) -> None:
        """Raise 403 unless the caller may create groups: an application with a permission, a user with a scope."""
        if not self.may_read(CREATE_GROUPS):
            raise errors.denied()

    def must_write_users(self) -> None:
        """Raise 403 unless the caller may create and change users."""
        if not self.holds(WRITE_USERS):
            raise errors.denied()

    def must_create_applications(self) -> None:
        """Raise 403 unless the caller may register applications: with a permission, or any user with the scope."""
        if not self.may_read(WRITE_APPLICATIONS | OWN_APPLICATIONS):
            raise errors.denied()

    def must_write_application(self, owners: set[str]) -> None:
        """Raise 403 unless the caller may change an application: with the permission, or as one of its owners."""
        allowed = OWN_APPLICATIONS | WRITE_APPLICATIONS | {"Directory.AccessAsUser.All"}
        owns = self.object_id in owners and self.scoped(allowed)
        if not (owns or self.holds(WRITE_APPLICATIONS)):
            raise errors.denied()

    def must_write(self, group: Group, any_of: frozenset[str]) -> None:
        """Raise 403 unless the caller may change a group.

        Owners may (an application only with Group.Create); other callers need one of the permissions. A role-assignable
        group needs RoleManagement.ReadWrite.Directory in addition.
        """
        owns = self._owns(group) and (self.permissions is None or self.holds(CREATE_GROUPS))
        if not (owns or self.holds(any_of)):
            raise errors.denied()
        if group.role_assignable and not self.holds(WRITE_ROLE_ASSIGNABLE):
            raise errors.denied()

    def may_see(self, principal: Principal) -> bool:
        """Return whether the caller may see more of a principal than its type and id."""
        match principal:
            case User():
                return self.may_read(READ_USERS)
            case ServicePrincipal():
                return self.may_read(READ_APPLICATIONS)
            case Group():
                return self.may_read(READ_GROUPS) or self._owns(principal)

    def _owns(self, group: Group) -> bool:
        return self.object_id in group.owners | group.granted("owners", self.now)

    def must_bind(self, directory: Directory, object_ids: list[str]) -> None:
        """Raise 403 unless the caller may read the principals that a create request binds."""
        for object_id in object_ids:
            principal = directory.principal(object_id)
            if principal is not None and not self.may_see(principal):
                raise errors.denied()
