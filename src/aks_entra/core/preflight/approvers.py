"""Can the gates open: do enough people exist who may sign, where the fleet file names `approvers`?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aks_entra.core.preflight.context import Case, named
from aks_entra.core.preflight.facts import ApproversSeen, GroupFacts
from aks_entra.core.preflight.finding import Finding, Rule, rule, says

_MEND: Final = "add people to the groups, or correct `approvers` in the fleet file, then plan again"
_READ: Final = "grant GroupMember.Read.All and User.Read.All, or check the members yourself before you start the run"


@rule(
    "B066",
    "W166",
    "U166",
    seen_in="`approvers` of the fleet file; Microsoft Graph: the groups, their enabled users, and who is eligible",
)
def too_few_to_sign(case: Case) -> Iterator[Finding]:
    """A gate with `approvers` opens only if enough people can sign. Applications cannot."""
    if case.writes:
        for approvers in case.facts.approvers:
            yield from _found(approvers)


def _found(seen: ApproversSeen) -> Iterator[Finding]:
    if seen.other_tenant:
        yield says(
            "U166",
            f"the groups of `approvers` are in tenant {seen.other_tenant}, and this plan read another tenant's "
            "directory: it is unknown whether enough people can sign",
            "check the groups and their members yourself before you start the run",
        )
        return
    working = working_groups(seen.groups)
    people = _people(working, seen.users)
    eligible = None if any(one.eligible is None for one in working) else sum(one.eligible or 0 for one in working)
    useless = tuple(one for one in seen.groups if one not in working)
    why = "".join(f"; {why_useless(one)}" for one in useless)
    signers = "1 person" if seen.at_least == 1 else f"{seen.at_least} people"
    needed = f"`approvers`: {signers} of {', '.join(map(named, seen.groups))} must sign before a gate opens"
    if people is None:
        names = ", ".join(map(named, working))
        yield says("U166", f"{needed}, and the members of {names} could not be read{why}", _READ)
    elif people < seen.at_least and eligible is None:
        yield says(
            "U166",
            f"{needed}, {_count(people)}, and who is eligible for membership could not be read{why}",
            f"grant PrivilegedEligibilitySchedule.Read.AzureADGroup; or {_MEND}",
        )
    elif people < seen.at_least and people + (eligible or 0) < seen.at_least:
        yield says("B066", f"{needed}, and {_count(people)}{why}", _MEND)
    elif people < seen.at_least:
        yield says(
            "W166",
            f"{needed}, and {_count(people)}: others must activate their membership first ({eligible} eligible){why}",
            "tell people to activate their membership before they sign",
        )
    elif people == seen.at_least and seen.not_requester:
        yield says(
            "W166",
            f"{needed}, {_count(people)}, and who starts the run does not count: if it is one of them, the gate never "
            f"opens{why}",
            "let somebody else start the run, or add people to the groups",
        )
    elif useless:
        yield says(
            "W166", f"`approvers` names groups that let nobody sign{why}", "correct `approvers` in the fleet file"
        )


def working_groups(groups: tuple[GroupFacts, ...]) -> tuple[GroupFacts, ...]:
    """Return the groups that exist and are for security. A sign-in names no others, so nobody signs through them."""
    return tuple(one for one in groups if one.exists and one.deleted_on is None and one.security_enabled)


def enabled_users(groups: tuple[GroupFacts, ...]) -> int | None:
    """Return the sum of the groups' enabled users. A person in two groups counts twice. None: it is unknown."""
    found = [one.people for one in groups if one.people is not None]
    return sum(found) if len(found) == len(groups) else None


def _people(working: tuple[GroupFacts, ...], users: int | None) -> int | None:
    """Return how many people can sign at most: a disabled user cannot, and nobody counts twice."""
    enabled = enabled_users(working)
    return None if enabled is None or users is None else min(enabled, users)


def _count(people: int) -> str:
    if people == 0:
        return "nobody can"
    return "only 1 person can" if people == 1 else f"only {people} people can"


def why_useless(group: GroupFacts) -> str:
    """Say why nobody signs through a group that is not among the `working_groups`."""
    if not group.exists:
        return f"group {named(group)} does not exist"
    if group.deleted_on is not None:
        return f"group {named(group)} was deleted on {group.deleted_on[:10]}"
    return f"group {named(group)} is not security-enabled, so sign-ins do not name it"


RULES: tuple[Rule, ...] = (too_few_to_sign,)
