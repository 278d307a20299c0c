"""Who may get access: users, groups and service principals of the directory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PrincipalKind = Literal["User", "Group", "ServicePrincipal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who gets access: object id, kind, and the name that people know (of a user the user principal name)."""

    id: str
    kind: PrincipalKind
    name: str = ""
    enabled: bool = True

    @property
    def called(self) -> str:
        """Its name, or its id if it has no name."""
        return self.name or self.id

    @property
    def kubernetes_name(self) -> str:
        """Its name in Kubernetes RBAC: AKS uses the `upn` of a user, or else the object id."""
        return self.name if self.kind == "User" and self.name else self.id
