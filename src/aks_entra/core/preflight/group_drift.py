"""Do the existing groups match what the fleet file declares? An existing group is compared, never changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aks_entra.core.group_drift import Kind
from aks_entra.core.preflight.context import Case
from aks_entra.core.preflight.finding import Finding, Rule, rule, says

_MEND: Final = "change the group (`az ad group`) or the fleet file so that they match"


@rule(
    "W150",
    "I150",
    "U150",
    seen_in="Microsoft Graph: the group, its owners and its members",
    as_shown=("W150", "I150", "U150"),
)
def drifted_groups(case: Case) -> Iterator[Finding]:
    """An existing group with `create: true` is compared with its declaration. It is never changed."""
    for group in case.facts.drifts:
        name = group.display_name
        if group.differs:
            yield says(
                "W150",
                f"admin group {name} differs from the fleet file: {'; '.join(group.differs)}",
                _MEND,
                evidence=group.value(Kind.DIFFERS),
            )
        if group.unknown:
            yield says(
                "U150",
                f"admin group {name}: {'; '.join(group.unknown)}",
                "grant Directory.Read.All, or check the group yourself",
                evidence=group.value(Kind.UNKNOWN),
            )
        if group.additional:
            yield says(
                "I150",
                f"admin group {name} also has {', '.join(group.additional)} that the fleet file does not declare: "
                "they stay",
                evidence=group.value(Kind.ADDITIONAL),
            )


@rule("W151", seen_in="the fleet file; Microsoft Graph: the deleted group")
def groups_created_again(case: Case) -> Iterator[Finding]:
    """A declared group that was deleted would be created again, with only the declared members."""
    own = {one.display_name: one for one in case.facts.groups if one.deleted_on}
    for group in case.target.admin_groups:
        deleted = own.get(group.display_name) if group.id is None else None
        if deleted is not None:
            until = f" (possible until {deleted.restorable_until[:10]})" if deleted.restorable_until else ""
            yield says(
                "W151",
                f"admin group {group.display_name} was deleted on {(deleted.deleted_on or '')[:10]}: the plan creates "
                "a new one with only the declared members",
                f"restore it{until}, then plan again; or accept the new group",
            )


RULES: tuple[Rule, ...] = (drifted_groups, groups_created_again)
