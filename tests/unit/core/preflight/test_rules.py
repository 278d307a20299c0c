"""The rules about a cluster's surroundings: what they say, when they are silent, and what is unknown to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aks_entra.core.cluster import Identity, Pool, Posture
from aks_entra.core.doors.facts import Unread
from aks_entra.core.doors.model import closed, not_looked_at
from aks_entra.core.doors.registry import KINDS
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.planning.plan import plan_cluster
from aks_entra.core.preflight import HELD, Controller, Facts, Home, Memberships, Severity, Subnet, Tools
from aks_entra.core.preflight.audit_callers import AuditedCallers
from aks_entra.core.target import GroupTarget, LocalAccounts, Target
from tests.support.approvers_rule_cases import EMPTY, signing
from tests.support.cases import ADMINS, DENIES, OTHERS, OWN_POLICY, SHUT, TENANT, facts, group, managed, posture, target
from tests.support.hook_rule_cases import HUB
from tests.support.rule_cases import (
    FLAT,
    GROUPS_POLICY,
    HELM,
    OPENED,
    PAUL,
    SATURDAYS,
    SERVER,
    SPEAKING,
    SSH_OPEN,
    STATIC,
    found,
    inside,
    seen,
)
from tests.support.window_rule_cases import JOIN, LATER, SUBNET


@pytest.mark.parametrize(
    ("rule", "words", "before", "wanted", "known"),
    SPEAKING,
)
def test_a_rule_speaks(rule: str, words: str, before: Posture, wanted: Target, known: Facts) -> None:
    plan = plan_cluster(before, wanted, known)
    assert [finding for finding in found(plan, rule) if words in finding.message], plan.findings
    severities = {"B": Severity.BLOCKER, "W": Severity.WARNING, "I": Severity.INFO, "U": Severity.UNKNOWN}
    expected = Severity.BLOCKER if rule in HELD else severities[rule[0]]
    assert {finding.severity for finding in found(plan, rule)} == {expected}
    assert (plan.disposition == "refused") == bool(plan.blockers)


@pytest.mark.parametrize(
    ("rules", "before", "wanted", "known"),
    [
        ("B002", managed(), target(), facts(directory_tenant=TENANT.upper())),
        ("B008 I108 W109 W113 W114 U113", managed(), target(), facts(groups=(group(people=0, eligible=2),))),
        ("W114", managed(), target(), facts(groups=(group(people=2, guests=None),))),
        ("B066 W166 U166", managed(), target(), signing()),
        ("B066 W166 U166", managed(), target(), signing(group("g", people=3), users=3, not_requester=True)),
        (
            "B066 W166 U166",
            SHUT,
            target(),
            replace(signing(EMPTY, users=0), old_credentials=OldCredentials(debt=Debt.NONE, because="rotated")),
        ),
        ("B016 U116", managed(), target(), facts(home=Home(in_cluster=True, ca="another"))),
        ("B016 U116", managed(), LATER, facts(home=None)),
        ("B016 U116", managed(), target(), facts(home=Home(endpoints=(SERVER,)), addresses=("20.9.9.9",))),
        ("B011 U111", managed(linked=(JOIN,)), target(), facts(linked_held=(JOIN,))),
        ("W117 U117", managed(version="1.33.5"), target(), facts()),
        ("W117 U117", managed(version=""), target(), facts(supported_versions=None)),
        ("W118 I118", managed(version="1.33.5"), target(), facts(tools=Tools(kubectl="1.34.0", kubelogin="0.2.19"))),
        ("W118 I118", managed(version="1.33.5"), target(), facts(tools=Tools(kubectl=None, kubelogin=None))),
        ("B025 W136 U136", managed(power_state="Stopped"), target(), facts(conditional_access=None)),
        ("B025 W136 U136", managed(), target(), facts()),
        ("B019 I119", managed(), target(), facts(memberships=Memberships(groups=200, person=False))),
        ("W120 I120 U120", managed(), LATER, facts(callers=None)),
        ("W170 U170", managed(), target(), facts(doors=(SSH_OPEN,))),
        ("I170", managed(), target(doors=("node-ssh",)), facts(doors=(SSH_OPEN,))),
        ("W170 I170", managed(), target(doors=("static-credentials",)), facts(doors=(STATIC,))),
        ("W170 I170", managed(), target(), facts(doors=(STATIC,))),
        ("I170 I171", managed(), target(), facts(doors=tuple(closed(kind.id, "seen") for kind in KINDS))),
        ("I170 I171", managed(), target(), facts(doors=None)),
        ("W165 U165", managed(), target(), facts(hubs=(replace(HUB, secrets=("shop",)),))),
        ("W170 U170 I170", managed(), target(doors=("node-ssh",)), facts(doors=(closed("node-ssh", "a: Disabled"),))),
        ("B021", managed(), target(), facts(policies=(replace(DENIES, exempt=True),))),
        ("B021", managed(), target(), facts(policies=(replace(DENIES, enforced=False),))),
        ("B021 U121", managed(), target(), facts(policies=(replace(DENIES, effect="Audit"), GROUPS_POLICY))),
        ("B021 U121", managed(), target(local_accounts=LocalAccounts.KEEP), facts(policies=None)),
        ("W122 U122", managed(), target(), facts(maintenance_windows=(replace(SATURDAYS, hours=(("Tuesday", 9),)),))),
        ("W122 U122", managed(), LATER, facts(maintenance_windows=None)),
        ("W122 U122", managed(), target(), facts(maintenance_windows=None, windows_unasked="the gate reads them")),
        ("I122", managed(), LATER, facts(windows_unasked="the gate reads them")),
        ("B023 W123 U123", managed(serving=seen("2027-11-01T00:00:00Z")), target(), facts()),
        ("B023 W123 U123", managed(serving=seen(None)), target(), facts(now="")),
        ("B024", replace(SHUT, tags=OPENED), target(), facts()),
        ("B024", managed(tags=OPENED), target(local_accounts=LocalAccounts.KEEP), facts()),
        ("I131 W131", managed(), target(), facts(writers=(PAUL,))),
        ("W124 W126 W127 U140", managed(), LATER, facts(inside=None)),
        ("W140 W142", managed(), target(), facts()),
        ("W142 U142", managed(), LATER, facts(scale_set_additions=None)),
        ("W143 U143", managed(), LATER, facts(node_disruption=None)),
        ("W143 U143", managed(), target(), facts()),
        ("B041 W141 U141", managed(power_state="Stopped"), target(), facts(policy_evaluations=None)),
        (
            "B041",
            managed(),
            target(),
            facts(policies=(DENIES,), policy_evaluations=(replace(OWN_POLICY, definition=DENIES.definition),)),
        ),
        (
            "W127",
            managed(),
            target(),
            facts(inside=inside(controllers=(Controller(label="x", desired=1, available=1, scalable=False),))),
        ),
        ("W130 U130", managed(pools=(FLAT,)), target(), facts(subnets=(Subnet(id=SUBNET, free=31),))),
        ("W130 U130", managed(pools=(replace(FLAT, power_state="Stopped"),)), target(), facts(subnets=None)),
        ("W130 U130", managed(pools=(FLAT,)), LATER, facts(subnets=None)),
        ("W131 U131", managed(tags=(("env", "prod"),)), target(), facts(writers=(PAUL,))),
        (
            "W131 U131 W132 U132",
            managed(local_accounts=True),
            target(local_accounts=LocalAccounts.KEEP),
            facts(writers=None, policies=None),
        ),
        ("W132", managed(), target(), facts(policies=(replace(GROUPS_POLICY, admin_groups=(ADMINS.upper(),)),))),
        (
            "W132",
            managed(),
            target(),
            facts(policies=(replace(GROUPS_POLICY, effect="Disabled"), replace(GROUPS_POLICY, exempt=True), DENIES)),
        ),
        ("W160 U160", managed(authorized_ip_ranges=("20.0.0.0/8",)), target(), facts()),
        ("W160 U160", managed(), target(), facts(unreachable="timed out", prover_address="198.51.100.9")),
        (
            "W160 U160",
            managed(authorized_ip_ranges=("20.0.0.0/8", "198.51.100.9/24")),
            target(),
            facts(unreachable="timed out", prover_address="198.51.100.9"),
        ),
        (
            "W160 U160",
            managed(authorized_ip_ranges=("20.0.0.0/8",), power_state="Stopped"),
            target(),
            facts(unreachable="timed out"),
        ),
    ],
)
def test_a_rule_is_silent(rules: str, before: Posture, wanted: Target, known: Facts) -> None:
    plan = plan_cluster(before, wanted, known)
    assert not [finding for rule in rules.split() for finding in found(plan, rule)]


def test_nothing_is_asked_of_a_cluster_with_nothing_to_do_or_that_is_stopped() -> None:
    nothing_known = Facts(
        tenant_id=TENANT, old_credentials=facts().old_credentials, groups=(group(),), directory_tenant="x"
    )
    for before in (managed(power_state="Stopped"), managed(local_accounts=True)):
        wanted = target(local_accounts=LocalAccounts.KEEP) if not before.stopped else target()
        rules = {finding.rule for finding in plan_cluster(before, wanted, nothing_known).findings}
        assert rules <= {"B010", "W103", "U112", "U121"}


def test_authorised_ranges_are_named_in_the_remedy() -> None:
    known = facts(unreachable="timed out")
    (finding,) = found(plan_cluster(managed(authorized_ip_ranges=("20.0.0.0/8",)), target(), known), "B013")
    assert "an address in its authorised IP ranges (20.0.0.0/8)" in finding.remedy


def test_the_change_for_the_source_is_printed() -> None:
    terraform = managed(tags=(("source", "terraform"),))
    (finding,) = found(plan_cluster(terraform, target(), facts()), "W131")
    assert finding.remedy == (
        "make this change in its source code first: `local_account_disabled = true`, "
        f'`azure_active_directory_role_based_access_control {{ tenant_id = "{TENANT}", '
        f'admin_group_object_ids = ["{ADMINS}"], azure_rbac_enabled = false }}` (Terraform)'
    )
    assert finding.evidence == "tag source=terraform"
    bicep = posture(identity=Identity.NONE, tags=(("bicep", "yes"),))
    (finding,) = found(plan_cluster(bicep, target(), facts()), "W131")
    assert finding.remedy == (
        "make this change in its source code first: `disableLocalAccounts: true`, `aadProfile: { managed: true, "
        f"tenantID: '{TENANT}', adminGroupObjectIDs: ['{ADMINS}'], enableAzureRBAC: false }}` (Bicep)"
    )
    (finding,) = found(plan_cluster(managed(), target(), facts(policies=(GROUPS_POLICY,))), "W132")
    assert finding.remedy == f'set its parameter `adminGroupObjectIDs` to `["{ADMINS}"]`'


def test_more_names_than_anybody_reads_are_counted() -> None:
    names = tuple(f"pay/{number}" for number in range(7))
    (finding,) = found(plan_cluster(managed(), target(), facts(inside=inside(budgets=names))), "W125")
    assert finding.message.endswith("pay/4, and 2 more")


def test_a_group_that_the_plan_creates_stands_in_no_policy() -> None:
    create = GroupTarget(display_name="new", unique_name="new")
    (finding,) = found(plan_cluster(managed(), target(create), facts(policies=(GROUPS_POLICY,))), "W132")
    assert "uniqueName" not in finding.remedy


def test_callers_are_shown_with_what_they_hold() -> None:
    known = facts(
        callers=AuditedCallers(since="2026-10-25", until="2026-11-24", events=3, complete=True, callers=(HELM,))
    )
    (finding,) = found(plan_cluster(managed(), target(), known), "W120")
    assert finding.evidence == "uses the admin kubeconfig's certificate"


EMPTY = group(members=0, eligible=1)


@pytest.mark.parametrize(
    ("rule_id", "before", "known", "said"),
    [
        ("W109", {"admin_group_ids": (ADMINS, OTHERS)}, {"groups": (EMPTY, group(OTHERS, people=0))}, 1),
        ("W130", {"pools": (Pool(name="own", count=1), FLAT)}, {"subnets": (Subnet(id=SUBNET, free=5),)}, 1),
        ("I119", {}, {"memberships": Memberships(groups=200, person=True)}, 0),
        ("I119", {}, {"memberships": Memberships(groups=201, person=True)}, 1),
        ("B013", {"authorized_ip_ranges": ("a", "b", "c", "d")}, {"unreachable": "no answer"}, 1),
    ],
)
def test_the_second_of_two_is_looked_at_too(
    rule_id: str, before: dict[str, Any], known: dict[str, Any], said: int
) -> None:
    plan = plan_cluster(managed(**before), target(), facts(**known))
    found = [one for one in plan.findings if one.rule == rule_id]
    assert len(found) == said
    assert not [one for one in found if "ranges" in one.remedy and "(a, b, c)" not in one.remedy]


def test_several_reasons_why_nobody_looked_at_doors_are_left_to_the_command() -> None:
    answer = Unread(why="a very long answer of the API server", remedy=f"the prover needs {'many ' * 30}rights")
    refused = not_looked_at("impersonation", answer)
    unread = not_looked_at("run-command", Unread(why="you lack a right", remedy="grant a right"))
    (finding,) = found(plan_cluster(managed(), target(), facts(doors=(refused, unread))), "I171")
    assert "impersonation" in finding.message
    assert "run-command" in finding.message
    assert "very long answer" not in finding.message
    assert finding.remedy == (
        "grant a right; look again: `aks-entra doors`; "
        "see why, and which rights would help: `aks-entra doors shop-weu/shop-01`"
    )
