"""Are the groups that the fleet file declares what it says: a group that exists is never changed, only compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aks_entra.core.preflight.case import Case
from aks_entra.core.preflight.finding import Finding, Rule, rule, says

_MEND: Final = "bring the group to what the fleet file declares (`az ad group`), or the fleet file to the group"


@rule("W150", "I150", "U150", seen_in="Microsoft Graph: the group, its owners and its members")
def drifted_groups(case: Case) -> Iterator[Finding]:
    """A group with `create: true` that exists is compared with what is declared; it is never changed."""
    for group in case.facts.drifts:
        name = group.display_name
        if group.differs:
            yield says("W150", f"admin group {name} is otherwise than declared: {'; '.join(group.differs)}", _MEND)
        if group.unknown:
            yield says("U150", f"admin group {name}: {'; '.join(group.unknown)}", "grant Directory.Read.All, or look")
        if group.beside:
            yield says("I150", f"admin group {name} has {', '.join(group.beside)} beside those declared: they are kept")


@rule("W151", seen_in="the fleet file; Microsoft Graph: the deleted group")
def born_again(case: Case) -> Iterator[Finding]:
    """A declared group that was deleted would be created anew, empty but for what is declared."""
    own = {one.display_name: one for one in case.facts.groups if one.deleted_on}
    for group in case.target.admin_groups:
        deleted = own.get(group.display_name) if group.id is None else None
        if deleted is not None:
            until = f" (possible until {deleted.restorable_until[:10]})" if deleted.restorable_until else ""
            yield says(
                "W151",
                f"admin group {group.display_name} was deleted on {(deleted.deleted_on or '')[:10]}: the plan creates "
                "another one, with nobody in it but those who are declared",
                f"restore it{until} and plan again, or let the new one be created",
            )


RULES: tuple[Rule, ...] = (drifted_groups, born_again)
