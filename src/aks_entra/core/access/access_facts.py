"""What is read about a person and a cluster to explain access. None means that something could not be read."""

from __future__ import annotations

from dataclasses import dataclass

from aks_entra.core.access.principals import Principal
from aks_entra.core.access.rbac import Binding, RoleAssignment
from aks_entra.core.cluster import Posture, same_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """An admin group of the cluster. `exists` is False for a group that was deleted or never existed."""

    id: str
    name: str = ""
    exists: bool = True
    security_enabled: bool = True

    @property
    def called(self) -> str:
        """The group's name and id."""
        return f"{self.name} ({self.id})" if self.name else self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Eligible:
    """A membership that the person may activate in PIM for Groups. `until` is as Graph wrote it; empty: no end."""

    group_id: str
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """An active membership from PIM for Groups. `activated`: by the person; False: it was assigned."""

    group_id: str
    activated: bool
    until: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyResult:
    """How a Conditional Access policy treats a sign-in at the AKS server application. `state` is Graph's value."""

    id: str
    name: str
    state: str
    applies: bool
    controls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessFacts:
    """Everything that was read about a person and a cluster. None: it could not be read (`unread` says why)."""

    posture: Posture
    tenant_id: str  # the tenant in which the person was found
    person: Principal
    groups: frozenset[str] | None  # security groups, transitive: what a new token contains
    direct: frozenset[str] | None
    admin_groups: tuple[Group, ...]
    eligible: tuple[Eligible, ...] | None
    active: tuple[Active, ...] | None
    roles: tuple[RoleAssignment, ...] | None  # of the person and their groups, at, above and below the cluster
    eligible_roles: tuple[RoleAssignment, ...] = ()  # of groups that the person may activate
    bindings: tuple[Binding, ...] | None = None
    policies: tuple[PolicyResult, ...] | None = None
    names: tuple[tuple[str, str], ...] = ()  # of groups, by id
    unread: tuple[tuple[str, str], ...] = ()  # what could not be read -> why

    def name_of(self, group_id: str) -> str:
        """Return a group's name and id, or the id alone."""
        found = next((name for known, name in self.names if same_id(known, group_id)), "")
        return f"{found} ({group_id})" if found else group_id

    def why_unread(self, what: str) -> str:
        """Say why something could not be read."""
        return next((why for known, why in self.unread if known == what), "it could not be read")
