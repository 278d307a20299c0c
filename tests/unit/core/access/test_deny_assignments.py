"""Deny assignments: what they forbid, and to whom; and what the rules that are asked again stop."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.access.deny_assignments import EVERYONE, DenyAssignment, Principal
from aks_entra.core.group_drift import GroupContents, Holder, strangers
from aks_entra.core.planning.plan import plan_cluster
from aks_entra.core.preflight import HELD, RULES, SKIPPABLE, Case, Denial, Severity, Skip, barring, reference
from aks_entra.planning.preflight_facts import denials_of
from aks_entra.planning.reader import Reading
from tests.support.cases import ADMINS, CREATE, OTHERS, PROVER, facts, managed, target
from tests.support.memory_ports import World

WRITE = "Microsoft.ContainerService/managedClusters/write"
READ = "Microsoft.ContainerService/managedClusters/read"
ALL = DenyAssignment(name="no", scope="/s", permissions=((("*/WRITE",), ()),), principals=(Principal(id=EVERYONE),))


@pytest.mark.parametrize(
    ("permissions", "denied"),
    [
        ((), ()),
        (((("*",), ()),), (READ, WRITE)),
        (((("*",), ("*/read",)),), (WRITE,)),
        ((((WRITE.lower(),), ()),), (WRITE,)),
        (((("Microsoft.Storage/*",), ()), ((READ,), ())), (READ,)),
        (((("*",), ("*",)), ((READ,), ())), (READ,)),
    ],
)
def test_what_it_forbids(permissions: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...], denied: object) -> None:
    assert replace(ALL, permissions=permissions).denied((READ, WRITE)) == denied


ME, GROUP = Principal(id=PROVER.upper()), Principal(id=ADMINS, group=True)


@pytest.mark.parametrize(
    ("principals", "excluded", "member", "applies"),
    [
        ((Principal(id=EVERYONE),), (), None, True),
        ((ME,), (), None, True),
        ((Principal(id=OTHERS),), (), None, False),
        ((GROUP,), (), True, True),
        ((GROUP,), (), False, False),
        ((GROUP,), (), None, None),
        ((Principal(id=EVERYONE),), (ME,), None, False),
        ((Principal(id=EVERYONE),), (GROUP,), True, False),
        ((Principal(id=EVERYONE),), (GROUP,), None, None),
        ((Principal(id=EVERYONE),), (GROUP,), False, True),
    ],
)
def test_to_whom(
    principals: tuple[Principal, ...], excluded: tuple[Principal, ...], member: bool | None, applies: bool | None
) -> None:
    one = replace(ALL, principals=principals, excluded=excluded)
    assert one.applies(PROVER, {ADMINS: member}) is applies
    assert set(one.groups) <= {ADMINS}


def test_a_condition_is_evaluated_by_nobody_here() -> None:
    assert replace(ALL, conditional=True).applies(PROVER, {}) is None
    assert replace(ALL, conditional=True, excluded=(ME,)).applies(PROVER, {}) is False


async def test_those_that_reach_the_runner_are_facts_of_the_plan() -> None:
    world = World()
    cluster = world.add()
    ports = world.process().ports

    async def seen(*found: DenyAssignment) -> list[tuple[str, bool]] | None:
        world.denials = found
        answer = await denials_of(ports, Reading(ports), cluster.id, (READ, WRITE))
        return None if answer is None else [(one.name, one.certain) for one in answer]

    assert await seen(ALL) == [("no", True)]
    assert await seen(replace(ALL, principals=(GROUP,))) == [("no", True)]
    assert await seen(replace(ALL, principals=(GROUP,), conditional=True)) == [("no", False)]
    assert await seen(replace(ALL, excluded=(ME,)), replace(ALL, permissions=())) == []
    world.denials = None
    assert await denials_of(ports, Reading(ports), cluster.id, (READ,)) is None


@pytest.mark.parametrize(
    ("denials", "rule", "words"),
    [
        ((Denial(name="no", scope="/s", actions=(WRITE,)),), "B026", f"no on /s forbids the runner {WRITE}"),
        ((Denial(name="no", scope="/s", actions=(WRITE,), certain=False),), "U126", "whether it applies to the runner"),
        (None, "U126", "deny assignments could not be read"),
    ],
)
def test_the_rule_about_them(denials: tuple[Denial, ...] | None, rule: str, words: str) -> None:
    plan = plan_cluster(managed(), target(), facts(denials=denials))
    [finding] = [one for one in plan.findings if one.rule in {"B026", "U126"}]
    assert (finding.rule, finding.severity) == (rule, Severity.BLOCKER)
    assert words in finding.message
    assert plan.disposition == "refused"


def test_an_unknown_way_back_refuses_until_a_person_accepts_it_with_a_reason() -> None:
    """Rights, locks, policies, deny assignments, and where this process lives: none of them is "fine" by silence."""
    assert {"U111", "U112", "U116", "U121", "U126"} == HELD
    assert HELD <= SKIPPABLE
    unread = facts(missing_permissions=None, locks=None, policies=None, denials=None, home=None)
    refused = plan_cluster(managed(), target(), unread)
    assert {one.rule for one in refused.blockers} == HELD
    assert all("--skip-rule" in one.remedy for one in refused.blockers)
    accepted = plan_cluster(managed(), target(), unread, tuple(Skip(rule=one, reason="CHG-1") for one in HELD))
    assert accepted.disposition == "migrate"
    assert {one.message[:17] for one in accepted.findings if one.rule in HELD} == {"skipped (CHG-1): "}
    shut = managed(local_accounts=False)
    assert not {one.rule for one in plan_cluster(shut, target(local_accounts="keep"), unread).blockers} - HELD


def test_what_is_asked_again_is_a_property_of_the_rule_and_stands_in_the_reference() -> None:
    assert {"B021", "U121", "B012", "B011", "B016", "B026", "B007", "B025", "B010"} <= {
        one for rule in RULES for one in rule.bars
    }
    assert all(set(rule.again) <= set(rule.ids) for rule in RULES)
    [row] = [line for line in reference().splitlines() if line.startswith("| B021")]
    assert row.endswith("| B021, U121 |")


def test_a_finding_counts_again_unless_it_was_accepted_and_a_warning_only_where_it_differs_from_the_plan() -> None:
    shown = plan_cluster(managed(), target(), facts())
    case = Case(posture=managed(), target=target(), facts=facts(policies=None), steps=shown.steps)
    assert [one.rule for one in barring(case, (), shown.findings)] == ["U121"]
    assert barring(case, (Skip(rule="U121", reason="x"),), shown.findings) == ()
    quiet = Case(posture=managed(), target=target(), facts=facts(conditional_access=None), steps=shown.steps)
    assert barring(quiet, (), shown.findings) == (), "what bars no way is not asked again"


SEEN = GroupContents(
    id=ADMINS,
    display_name="cluster-admins",
    owners=(Holder(id=PROVER),),
    members=(Holder(id=PROVER), Holder(id="1", names=("dana",))),
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ()),
        ({"owners": (), "members": ()}, ()),
        ({"owners": (Holder(id="2", names=("mallory@contoso.com",)),)}, ("owner mallory@contoso.com",)),
        ({"members": (Holder(id="2"),)}, ("member 2",)),
        ({"owners": None, "members": None}, ("its owners could not be read", "its members could not be read")),
        ({"display_name": "admins"}, ("it is called 'admins' now",)),
    ],
)
def test_who_is_in_a_group_that_the_plan_would_create(change: dict[str, object], words: object) -> None:
    assert strangers(CREATE, replace(SEEN, **change), prover=PROVER, runner=PROVER) == words  # type: ignore[arg-type]  # a test's own table
