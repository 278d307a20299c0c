"""Azure RBAC: the role assignments, and what they allow. Scopes are compared by whole segments and ignore case."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from azure_sandbox.arm.authorization.roles import Role, matches

ACTIONS = re.compile(r"ActionMatches\s*\{\s*(?:'([^']*)'|\"([^\"]*)\")\s*\}", re.IGNORECASE)
"""The actions that a condition is about: it allows every other action."""


def normal(scope: str) -> str:
    """Return a scope in the form in which scopes are compared: lower case, without a slash at the end."""
    return scope.rstrip("/").lower()


def covers(upper: str, lower: str) -> bool:
    """Return whether the scope `upper` is the scope `lower` or contains it."""
    above, below = normal(upper), normal(lower)
    return below == above or below.startswith(f"{above}/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A role assignment; `principal` and `created_by` are object ids."""

    name: str
    scope: str
    principal: str
    principal_type: str
    role: Role
    created: dt.datetime
    created_by: str = ""
    description: str | None = None
    condition: str | None = None
    condition_version: str | None = None

    def grants(self, action: str, *, data: bool = False) -> bool:
        """Return whether the assignment allows an action.

        The sandbox does not evaluate the expressions of a condition: what a condition is about is not allowed.
        """
        if not self.role.allows(action, data=data):
            return False
        if not self.condition:
            return True
        about = [it or other for it, other in ACTIONS.findall(self.condition)]
        return bool(about) and not any(matches(it, action) for it in about)

    @property
    def id(self) -> str:
        """The resource id."""
        return f"{self.scope.rstrip('/')}/providers/Microsoft.Authorization/roleAssignments/{self.name}"


class RoleAssignments:
    """All role assignments of a world. `above` returns the scopes of the management groups above a scope."""

    def __init__(self, above: Callable[[str], tuple[str, ...]] = lambda _: ()) -> None:
        self._assignments: dict[str, Assignment] = {}
        self._above = above

    def add(self, assignment: Assignment) -> None:
        """Add an assignment, or replace the one with its id."""
        self._assignments[normal(assignment.id)] = assignment

    def get(self, scope: str, name: str) -> Assignment | None:
        """Return the assignment with a name at a scope, or None."""
        return self._assignments.get(
            f"{normal(scope)}/providers/microsoft.authorization/roleassignments/{name.lower()}"
        )

    def remove(self, assignment: Assignment) -> None:
        """Remove an assignment."""
        self._assignments.pop(normal(assignment.id), None)

    def remove_below(self, scope: str) -> None:
        """Remove every assignment at a scope or below it, because the scope was deleted."""
        for it in [it for it in self._assignments.values() if covers(scope, it.scope)]:
            self.remove(it)

    def replace(self, assignments: Iterable[Assignment]) -> None:
        """Replace all assignments by the given ones."""
        self._assignments = {normal(it.id): it for it in assignments}

    def redefine(self, role: Role) -> None:
        """Put a changed role definition into every assignment of that role."""
        for key, it in self._assignments.items():
            if it.role.id == role.id:
                self._assignments[key] = replace(it, role=role)

    def all(self) -> Iterator[Assignment]:
        """Return every assignment."""
        return iter(tuple(self._assignments.values()))

    def held(self, principals: Iterable[str], scope: str) -> Iterator[Assignment]:
        """Return the assignments of these principals (object ids) that apply to a scope."""
        who = {it.lower() for it in principals}
        scopes = (scope, *self._above(scope))
        return (it for it in self.all() if it.principal.lower() in who and any(covers(it.scope, one) for one in scopes))

    def knows(self, principals: Iterable[str], scope: str) -> bool:
        """Return whether these principals have an assignment at, above or below a scope."""
        who = {it.lower() for it in principals}
        return any(True for _ in self.held(principals, scope)) or any(
            it.principal.lower() in who and covers(scope, it.scope) for it in self.all()
        )

    def allows(self, principals: Iterable[str], action: str, scope: str) -> bool:
        """Return whether these principals may perform an action on a scope."""
        return any(it.grants(action) for it in self.held(principals, scope))

    def data_role(self, principals: Iterable[str], data_action: str, scope: str) -> str | None:
        """Return the name of a role that allows these principals a data action on a scope, or None."""
        held = self.held(principals, scope)
        return next((it.role.name for it in held if it.grants(data_action, data=True)), None)
