"""Azure's deny assignments, which forbid actions to principals before any role is checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aks_entra.core.cluster import same_id

EVERYONE: Final = "00000000-0000-0000-0000-000000000000"
"""The principal (`SystemDefined`) that means everyone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A principal of a deny assignment: its object id, and whether it is a group."""

    id: str
    group: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyAssignment:
    """A deny assignment that reaches a cluster.

    `permissions` are pairs of actions and excepted actions, with `*` as ARM writes it. `conditional` says that it has a
    condition, which is not evaluated here.
    """

    name: str
    scope: str
    permissions: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    principals: tuple[Principal, ...]
    excluded: tuple[Principal, ...] = ()
    conditional: bool = False

    @property
    def groups(self) -> tuple[str, ...]:
        """The object ids of the groups that it names or excludes."""
        return tuple(dict.fromkeys(one.id for one in (*self.principals, *self.excluded) if one.group))

    def denied(self, actions: tuple[str, ...]) -> tuple[str, ...]:
        """Return the actions that it forbids."""
        return tuple(
            action
            for action in actions
            if any(_matches(denied, action) and not _matches(excepted, action) for denied, excepted in self.permissions)
        )

    def applies(self, principal_id: str, member: Mapping[str, bool | None]) -> bool | None:
        """Whether it applies to a principal. `member` says for each of `groups` whether the principal is in it.

        Returns None if that is unknown.
        """
        named = _among(self.principals, principal_id, member)
        excluded = _among(self.excluded, principal_id, member)
        if named is False or excluded is True:
            return False
        return None if named is None or excluded is None or self.conditional else True


def _among(principals: tuple[Principal, ...], principal_id: str, member: Mapping[str, bool | None]) -> bool | None:
    """Whether a principal is one of these, or everyone, or in one of the groups."""
    if any(same_id(one.id, principal_id) or one.id == EVERYONE for one in principals):
        return True
    found = [member.get(one.id.lower()) for one in principals if one.group]
    if True in found:
        return True
    return None if None in found else False


def _matches(patterns: tuple[str, ...], action: str) -> bool:
    return any(re.fullmatch(re.escape(one).replace(r"\*", ".*"), action, re.IGNORECASE) for one in patterns)
