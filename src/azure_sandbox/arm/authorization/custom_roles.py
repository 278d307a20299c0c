"""The role definitions of a tenant, built-in and custom, and the checks of a custom definition."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from azure_sandbox.arm.authorization.known_actions import ACTIONS, NAMESPACES
from azure_sandbox.arm.authorization.roles import BY_ID, BY_NAME, ROLES, Role, matches
from azure_sandbox.arm.errors import authorization
from azure_sandbox.front.http import Problem

Document = dict[str, Any]
MAX_CUSTOM_ROLES = 5000  # of a tenant, as documented
LONGEST_NAME = 512
ACTION = re.compile(r"\*|[A-Za-z0-9.*]+(/[A-Za-z0-9.*_-]+)+")
LISTS = ("actions", "notActions", "dataActions", "notDataActions")


class RoleDefinitions:
    """The role definitions, by id and by name."""

    def __init__(self) -> None:
        self._custom: dict[str, Role] = {}

    def all(self) -> Iterator[Role]:
        """Return every role definition, the built-in ones first."""
        return iter((*ROLES, *self._custom.values()))

    def custom(self) -> list[Role]:
        """Return the custom role definitions."""
        return list(self._custom.values())

    def get(self, id: str) -> Role | None:  # noqa: A002  # Azure's word
        """Return a role by its id (a GUID), or None."""
        return BY_ID.get(id.lower()) or self._custom.get(id.lower())

    def named(self, name: str) -> Role | None:
        """Return a role by its name, or None; case does not matter."""
        found = BY_NAME.get(name.lower())
        return found or next((it for it in self._custom.values() if it.name.lower() == name.lower()), None)

    def find(self, name_or_id: str) -> Role | None:
        """Return a role by its name, its GUID or its resource id, or None."""
        return self.get(name_or_id.rpartition("/")[2]) or self.named(name_or_id)

    def put(self, role: Role) -> None:
        """Add a custom role, or replace the one with its id."""
        self._custom[role.id.lower()] = role

    def remove(self, role: Role) -> None:
        """Remove a custom role."""
        self._custom.pop(role.id.lower(), None)


def no_role(name: str) -> Problem:
    """Return the 404 for a role that does not exist, or cannot be assigned at this scope."""
    text = f"The specified role definition with ID '{name.replace('-', '')}' does not exist."
    return authorization(404, "RoleDefinitionDoesNotExist", text)


def invalid(text: str) -> Problem:
    """Return the 400 for an invalid role definition."""
    return authorization(400, "InvalidRoleDefinition", text)


def strings(value: Any, name: str) -> tuple[str, ...]:
    """Return a list of strings from a request; None counts as empty. Raises 400 for any other value."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(it, str) for it in value):
        raise invalid(f"The property '{name}' of the role definition is invalid: it is not a list of strings.")
    return tuple(value)


def permissions(sent: Any) -> dict[str, tuple[str, ...]]:
    """Return the four lists of a definition's only permission, by their names in `LISTS`. Raises 400."""
    if not isinstance(sent, list) or len(sent) != 1 or not isinstance(sent[0], dict):
        raise invalid("The role definition must hold exactly one entry in 'permissions'.")
    return {name: strings(sent[0].get(name), name) for name in LISTS}


def check_actions(lists: dict[str, tuple[str, ...]], enforced: Iterable[str]) -> None:
    """Raise Azure's 400 for an action that no provider has. `enforced` are the actions that this sandbox requires."""
    if not lists["actions"] and not lists["dataActions"]:
        raise invalid("The role definition must have at least one action or data action.")
    known = {it.lower() for it in (*ACTIONS, *enforced)}
    for name, given in lists.items():
        data = name in {"dataActions", "notDataActions"}
        for it in given:
            if not ACTION.fullmatch(it) or not _exists(it, known, data=data):
                text = f"'{it}' does not match any of the actions supported by the providers."
                code = "InvalidDataActionOrNotDataAction" if data else "InvalidActionOrNotAction"
                raise authorization(400, code, text)


def _exists(action: str, known: set[str], *, data: bool) -> bool:
    namespace = action.partition("/")[0].lower()
    if "*" in namespace:
        return True
    if data or not NAMESPACES.get(namespace):  # no list has the data actions: a cluster has one for each resource
        return namespace in NAMESPACES
    if "*" in action:
        return any(matches(action, it) for it in known)
    return action.lower() in known
