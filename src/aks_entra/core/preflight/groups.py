"""Will anybody be locked out: do the admin groups exist, are they security-enabled, and do they have members?"""

from __future__ import annotations

from collections.abc import Iterator

from aks_entra.core.preflight.context import Case, named
from aks_entra.core.preflight.facts import GroupFacts
from aks_entra.core.preflight.finding import Finding, Rule, rule, says

_LOCKED_OUT = ": turning local accounts off would lock everybody out"


@rule(
    "B004",
    seen_in="the fleet file, `aadProfile.adminGroupObjectIDs`",
    firm=("B004",),
    bars=("B004",),
)
def no_group(case: Case) -> Iterator[Finding]:
    """Without a known admin group, nobody could administer the cluster."""
    if not case.way_in and not any(case.group(group_id) for group_id in case.admin_group_ids):
        yield says(
            "B004",
            "there is no admin group: nobody could sign in after local accounts are turned off",
            "name a group under `admin_groups`",
        )


@rule(
    "B005",
    seen_in="Microsoft Graph: the group by its id",
    firm=("B005",),
    bars=("B005",),
)
def wanted_groups(case: Case) -> Iterator[Finding]:
    """A group that the fleet file names must exist in the cluster's tenant."""
    for wanted in case.target.admin_groups:
        if wanted.id is None:
            continue
        facts = case.group(wanted.id)
        if facts is None or not facts.exists:
            yield says(
                "B005",
                f"admin group {wanted.display_name or wanted.id} does not exist in the tenant",
                "correct the id under `admin_groups` (groups of another tenant do not work), "
                "or let the group be created with `create: true`",
            )


@rule(
    "B006",
    "W106",
    seen_in="Microsoft Graph: `securityEnabled`, `mailEnabled`",
    firm=("B006",),
    bars=("B006",),
)
def mail_groups(case: Case) -> Iterator[Finding]:
    """A group that is not for security (mail-only) admits nobody: a warning for the cluster's own beside others."""
    wanted = {group.id.lower() for group in case.target.admin_groups if group.id}
    for group_id in case.admin_group_ids:
        facts = case.group(group_id)
        if facts is None or not facts.exists or facts.deleted_on is not None or facts.security_enabled:
            continue
        harmless = case.way_in and group_id not in wanted
        what = "is for mail only" if facts.mail_enabled else "is not security-enabled"
        yield says(
            "W106" if harmless else "B006",
            f"{named(facts)} {what}: its members get no access",
            "name a security group under `admin_groups`",
        )


@rule(
    "B007",
    "W107",
    seen_in="Microsoft Graph: the group, or the deleted one",
    firm=("B007",),
    bars=("B007",),
)
def dead_groups(case: Case) -> Iterator[Finding]:
    """A deleted group lets nobody in. As the only group it locks everybody out. It can be restored for 30 days."""
    for group_id in case.admin_group_ids:
        facts = case.group(group_id)
        if facts is None or (facts.exists and facts.deleted_on is None):
            continue
        when = f"was deleted on {facts.deleted_on[:10]}" if facts.deleted_on else "does not exist"
        until = f" (possible until {facts.restorable_until[:10]})" if facts.restorable_until else ""
        yield says(
            "W107" if case.way_in else "B007",
            f"admin group {named(facts)} {when}{'' if case.way_in else _LOCKED_OUT}",
            f"restore it{until}, or name another group under `admin_groups`"
            if facts.deleted_on
            else "name another group under `admin_groups`",
        )


@rule(
    "B008",
    "W108",
    "I108",
    "U108",
    seen_in="Microsoft Graph: transitive members, and who is eligible (Privileged Identity Management)",
    firm=("B008", "U108"),
    bars=("B008",),
)
def empty_groups(case: Case) -> Iterator[Finding]:
    """A group without active or eligible members lets nobody in."""
    for facts in case.living_groups:
        if facts.members is None:
            yield says(
                "U108",
                f"the members of {named(facts)} could not be read",
                "grant GroupMember.Read.All, or check the members yourself before you approve",
            )
        elif facts.members == 0 and facts.eligible is None:
            yield says(
                "U108",
                f"{named(facts)} has no active members, and its eligible members could not be read",
                "grant PrivilegedEligibilitySchedule.Read.AzureADGroup, or add members",
            )
        elif facts.members == 0 and facts.eligible:
            yield says(
                "I108",
                f"{named(facts)} has no active members: its {facts.eligible} eligible members must activate first",
            )
        elif facts.members == 0:
            yield says(
                "W108" if case.way_in else "B008",
                f"{named(facts)} has no members{'' if case.way_in else _LOCKED_OUT}",
                "add members to the group, or name another group under `admin_groups`",
            )


@rule(
    "W109",
    "W113",
    "W114",
    "U113",
    seen_in="Microsoft Graph: enabled users among the transitive members, their `userType`, and who is eligible",
)
def no_people(case: Case) -> Iterator[Finding]:
    """A group with only automations, disabled users or guests leaves the cluster without an administrator."""
    remedy = "add the people who administer the cluster to the group"
    for facts in case.living_groups:
        if not facts.members:
            continue
        if facts.people == 0 and not facts.eligible:
            yield _no_person(facts, remedy)
            if facts.eligible is None:
                yield says("U113", f"the eligible members of {named(facts)} could not be read", remedy)
        elif facts.people and facts.guests == facts.people and not facts.eligible:
            yield says("W114", f"{named(facts)} has only guests among its enabled users", remedy)


def _no_person(facts: GroupFacts, remedy: str) -> Finding:
    if facts.members == 1 and facts.prover_is_member:
        return says("W113", f"{named(facts)} has only one member: the prover, an automation", remedy)
    return says("W109", f"{named(facts)} has no enabled user among its members: only automations could sign in", remedy)


RULES: tuple[Rule, ...] = (no_group, wanted_groups, mail_groups, dead_groups, empty_groups, no_people)
