"""Deny assignments, which forbid principals an action whatever their roles allow. Source: Azure PowerShell, 2026."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from azure_sandbox.arm.authorization.access import covers, normal
from azure_sandbox.arm.authorization.roles import matches

EVERYONE: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyAssignment:
    """A deny assignment; `properties` are in the form that Azure shows."""

    scope: str
    name: str
    properties: dict[str, Any]

    @property
    def id(self) -> str:
        """The resource id."""
        return f"{self.scope}/providers/Microsoft.Authorization/denyAssignments/{self.name}"

    def denies(self, principals: frozenset[str], action: str, scope: str) -> bool:
        """Return whether it forbids an action on a scope to a caller with these object ids (their own and groups')."""
        if not covers(self.scope, scope):
            return False
        if self.properties.get("doNotApplyToChildScopes") and normal(self.scope) != normal(scope):
            return False
        who = {it.lower() for it in principals} | {EVERYONE}
        named, excluded = (
            {str(it.get("id")).lower() for it in self.properties.get(key) or ()}
            for key in ("principals", "excludePrincipals")
        )
        return (
            bool(named & who)
            and not excluded & who
            and any(
                _any(it.get("actions"), action) and not _any(it.get("notActions"), action)
                for it in self.properties.get("permissions") or ()
            )
        )


def _any(patterns: object, action: str) -> bool:
    return isinstance(patterns, list) and any(matches(str(it), action) for it in patterns)
