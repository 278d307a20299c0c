"""Azure RBAC: who holds which role where. Scopes are compared without regard to case, whole segments at a time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from azure_sandbox.arm.roles import Role


def normal(scope: str) -> str:
    """A scope as it is compared: lower case, no slash at the end."""
    return scope.rstrip("/").lower()


def covers(upper: str, lower: str) -> bool:
    """Whether a scope is, or stands above, another."""
    above, below = normal(upper), normal(lower)
    return below == above or below.startswith(f"{above}/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A role assignment."""

    name: str
    scope: str
    principal: str
    principal_type: str
    role: Role
    created: dt.datetime
    created_by: str = ""
    description: str | None = None

    @property
    def id(self) -> str:
        """Its resource id."""
        return f"{self.scope.rstrip('/')}/providers/Microsoft.Authorization/roleAssignments/{self.name}"


class Access:
    """All role assignments of a world."""

    def __init__(self) -> None:
        self._assignments: dict[str, Assignment] = {}

    def add(self, assignment: Assignment) -> None:
        """Take an assignment in, replacing one of the same id."""
        self._assignments[normal(assignment.id)] = assignment

    def get(self, scope: str, name: str) -> Assignment | None:
        """An assignment by scope and name."""
        return self._assignments.get(
            f"{normal(scope)}/providers/microsoft.authorization/roleassignments/{name.lower()}"
        )

    def remove(self, assignment: Assignment) -> None:
        """Drop an assignment."""
        self._assignments.pop(normal(assignment.id), None)

    def remove_below(self, scope: str) -> None:
        """Drop every assignment on a scope that ceases to exist."""
        for it in [it for it in self._assignments.values() if covers(scope, it.scope)]:
            self.remove(it)

    def replace(self, assignments: Iterable[Assignment]) -> None:
        """These, and no others."""
        self._assignments = {normal(it.id): it for it in assignments}

    def redefine(self, role: Role) -> None:
        """A role has changed: whoever holds it holds what it says now."""
        for key, it in self._assignments.items():
            if it.role.id == role.id:
                self._assignments[key] = replace(it, role=role)

    def all(self) -> Iterator[Assignment]:
        """Every assignment."""
        return iter(tuple(self._assignments.values()))

    def held(self, principals: Iterable[str], scope: str) -> Iterator[Assignment]:
        """The assignments of these principals at a scope or above it."""
        who = {it.lower() for it in principals}
        return (it for it in self.all() if it.principal.lower() in who and covers(it.scope, scope))

    def knows(self, principals: Iterable[str], scope: str) -> bool:
        """Whether these principals hold anything at, above or below a scope."""
        who = {it.lower() for it in principals}
        return any(
            it.principal.lower() in who and (covers(it.scope, scope) or covers(scope, it.scope)) for it in self.all()
        )

    def allows(self, principals: Iterable[str], action: str, scope: str) -> bool:
        """Whether these principals may perform an action on a scope."""
        return any(it.role.allows(action) for it in self.held(principals, scope))

    def data_role(self, principals: Iterable[str], data_action: str, scope: str) -> str | None:
        """The role that allows a data action on a scope, or None."""
        held = self.held(principals, scope)
        return next((it.role.name for it in held if it.role.allows(data_action, data=True)), None)
