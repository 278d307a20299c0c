"""The rules about what stands around a cluster: what they say, when they are silent, and what is unknown to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aks_entra.core.callers import AuditedCallers, Caller, Holds
from aks_entra.core.cluster import Identity, Pool, Posture, ServingCertificate
from aks_entra.core.plan import ClusterPlan, plan_cluster
from aks_entra.core.preflight import (
    ADMIN_GROUPS_POLICY,
    LOCAL_ACCOUNTS_POLICY,
    RULES,
    SKIPPABLE,
    Controller,
    Endpoint,
    Facts,
    Finding,
    Home,
    Inside,
    Memberships,
    Policy,
    Quota,
    Severity,
    SignInRule,
    Skip,
    Subnet,
    Tools,
    Writer,
    reference,
    skip_refused,
)
from aks_entra.core.target import GroupTarget, LocalAccounts, RotationPolicy, Target
from aks_entra.core.windows import Window
from tests.unit.cases import ADMINS, DENIES, INSIDE, OLD_CA, QUIET, TENANT, facts, group, managed, posture, target

SUBNET = "/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/nodes"
FLAT = Pool(name="a", count=3, vm_size="Standard_D4s_v5", subnet_id=SUBNET, addresses_per_node=31)
SATURDAYS = Window(name="default", hours=(("Saturday", 2), ("Saturday", 3)))
ODD = Window(name="nodes", schedule="yearly", duration_hours=4)
SERVER = Endpoint(variable="PREFECT_API_URL", host="prefect.contoso.com", addresses=("20.1.2.3",))
GROUPS_POLICY = Policy(
    name="groups", scope="/subscriptions/s", definition=ADMIN_GROUPS_POLICY, effect="DeployIfNotExists"
)
PAUL = Writer(name="paul@contoso.com", at="2026-11-23T08:00:00Z", application=False)
PIPELINE = Writer(name="application 1f0c", at="2026-11-22T08:00:00Z", application=True)
HELM = Caller(
    holds=Holds.ADMIN_CERTIFICATE,
    username="masterclient",
    user_agent="helm/3.14",
    addresses=("10.2.0.7",),
    verbs=("get",),
    count=41,
    last_seen="2026-11-20T08:00:00Z",
)
OPENED = (
    ("aks-entra-break-glass-until", "2026-11-24T09:00:00Z"),
    ("aks-entra-break-glass-reason", "INC-77"),
    ("aks-entra-break-glass-opener", "dana"),
)
LATER = target(rotation=RotationPolicy.LATER)
SHUT = managed(local_accounts=False)


def seen(expires: str | None) -> ServingCertificate:
    return ServingCertificate(issuer="CN=ca", issuer_key=None, not_before="2024-05-11T00:00:00Z", not_after=expires)


def inside(**how: Any) -> Inside:
    return replace(INSIDE, **how)


def found(plan: ClusterPlan, rule: str) -> list[Finding]:
    return [finding for finding in plan.findings if finding.rule == rule]


@pytest.mark.parametrize(
    ("rule", "words", "before", "wanted", "known"),
    [
        ("B002", "looked up in tenant another", managed(), target(), facts(directory_tenant="another")),
        (
            "B006",
            "is for mail only",
            managed(),
            target(),
            facts(groups=(group(security_enabled=False, mail_enabled=True),)),
        ),
        ("B008", "has no members", managed(), target(), facts(groups=(group(members=0, eligible=0),))),
        ("U108", "whether anybody is eligible", managed(), target(), facts(groups=(group(members=0, eligible=None),))),
        ("I108", "2 eligible", managed(), target(), facts(groups=(group(members=0, eligible=2),))),
        ("W109", "no enabled user", managed(), target(), facts(groups=(group(members=3, people=0),))),
        ("U113", "eligible for", managed(), target(), facts(groups=(group(people=0, eligible=None),))),
        ("W113", "nobody in it but the prover", managed(), target(), facts(groups=(group(members=1, people=0),))),
        ("W114", "only guests", managed(), target(), facts(groups=(group(people=2, guests=2),))),
        (
            "B013",
            "cannot be reached",
            managed(authorized_ip_ranges=("20.0.0.0/8",)),
            target(),
            facts(unreachable="timed out"),
        ),
        (
            "B016",
            "this process runs on the cluster",
            managed(),
            target(),
            facts(home=Home(in_cluster=True, ca=OLD_CA.fingerprint)),
        ),
        (
            "B016",
            "PREFECT_API_URL leads to prefect",
            managed(),
            target(),
            facts(home=Home(endpoints=(SERVER,)), addresses=("20.1.2.3",)),
        ),
        (
            "B016",
            "PREFECT_API_URL leads to API.hcp",
            managed(fqdn="api.hcp"),
            target(),
            facts(home=Home(endpoints=(replace(SERVER, host="API.hcp", addresses=()),))),
        ),
        ("U116", "whether this process runs on the cluster", managed(), target(), facts(home=None)),
        ("U116", "which one could not be read", managed(), target(), facts(home=Home(in_cluster=True))),
        ("U116", "prefect.contoso.com", managed(), target(), facts(home=Home(endpoints=(SERVER,)), addresses=None)),
        ("W117", "1.25.6 is out of support", managed(version="1.25.6"), target(), facts()),
        (
            "U117",
            "1.25.6 is supported could not be read",
            managed(version="1.25.6"),
            target(),
            facts(supported_versions=None),
        ),
        ("W118", "2 minor versions away", managed(version="1.35.0"), target(), facts()),
        ("I118", "kubelogin not found", managed(), target(), facts(tools=Tools(kubectl="1.33.1", kubelogin=""))),
        ("U118", "not looked for", managed(), target(), facts(tools=None)),
        (
            "B019",
            "AKS refuses an application",
            managed(),
            target(),
            facts(memberships=Memberships(groups=201, person=False)),
        ),
        (
            "B025",
            "'No robots' blocks",
            managed(),
            target(),
            facts(sign_in_rules=(SignInRule(name="No robots", controls=("block",)),)),
        ),
        (
            "W136",
            "'Not from here' may block the sign-in",
            managed(),
            target(),
            facts(sign_in_rules=(SignInRule(name="Not from here", controls=("block",), certain=False),)),
        ),
        (
            "W136",
            "may ask for mfa at",
            managed(),
            target(),
            facts(sign_in_rules=(SignInRule(name="MFA", controls=("mfa",)),)),
        ),
        ("W136", "may ask for more at", managed(), target(), facts(sign_in_rules=(SignInRule(name="Strength"),))),
        ("U136", "could not be read", managed(), target(), facts(sign_in_rules=None)),
        ("I119", "201 groups", managed(), target(), facts(memberships=Memberships(groups=201, person=True))),
        ("U119", "how many groups", managed(), target(), facts(memberships=None)),
        (
            "W120",
            "41 requests by masterclient from 10.2.0.7 (helm/3.14)",
            managed(),
            target(),
            facts(callers=replace(QUIET, callers=(HELM,))),
        ),
        (
            "W120",
            "1 more callers (41 requests)",
            managed(),
            target(),
            facts(callers=replace(QUIET, callers=(HELM,) * 9)),
        ),
        ("I120", "no caller with an old credential", managed(), target(), facts()),
        ("U120", "leaves reads out", managed(), target(), facts(callers=replace(QUIET, complete=False))),
        ("U120", "no audit log was read", managed(), target(), facts(callers=None)),
        ("U120", "goes nowhere", managed(), target(), facts(callers=None, callers_unread="it goes nowhere")),
        (
            "U120",
            "a part only",
            managed(),
            target(),
            facts(callers=replace(QUIET, complete=False, missing="a part only")),
        ),
        ("B021", "no way back", managed(), target(), facts(policies=(DENIES,))),
        ("U121", "its effect could not be read", managed(), target(), facts(policies=(replace(DENIES, effect=None),))),
        ("U121", "could not be read", managed(), LATER, facts(policies=None)),
        (
            "W122",
            "no maintenance window is open now: default: Saturday 02:00, Saturday 03:00",
            managed(),
            target(),
            facts(windows=(SATURDAYS,)),
        ),
        ("U122", "cannot be told", managed(), target(), facts(windows=(ODD,))),
        ("U122", "could not be read", managed(), target(), facts(windows=None)),
        ("B023", "expired on 2026-11-01", managed(serving=seen("2026-11-01T00:00:00Z")), target(), facts()),
        ("W123", "expired on 2026-11-01", replace(SHUT, serving=seen("2026-11-01T00:00:00Z")), target(), facts()),
        ("W123", "expires on 2026-12-01", managed(serving=seen("2026-12-01T00:00:00Z")), LATER, facts()),
        ("B024", "until 2026-11-24T09:00:00Z: INC-77 · dana", managed(tags=OPENED), target(), facts()),
        ("U123", "until when the API server", managed(serving=seen(None)), target(), facts()),
        (
            "W124",
            "pay/ledger emptyDir 40Gi",
            managed(),
            target(),
            facts(inside=inside(node_local=("pay/ledger emptyDir 40Gi",))),
        ),
        ("W125", "allow no eviction: pay/ledger", managed(), target(), facts(inside=inside(budgets=("pay/ledger",)))),
        (
            "W126",
            "Deployment pay/ledger 1/2",
            managed(),
            target(),
            facts(inside=inside(controllers=(Controller(label="Deployment pay/ledger", desired=2, available=1),))),
        ),
        (
            "W127",
            "their only replica moves: Deployment pay/web",
            managed(),
            target(),
            facts(inside=inside(controllers=(Controller(label="Deployment pay/web", desired=1, available=1),))),
        ),
        ("W128", "pay/debug", managed(), target(), facts(inside=inside(bare_pods=("pay/debug",)))),
        ("W129", "cert-manager", managed(), target(), facts(inside=inside(webhooks=("cert-manager",)))),
        (
            "W130",
            "needs 31 addresses, its subnet has 5 left",
            managed(pools=(FLAT,)),
            target(),
            facts(subnets=(Subnet(id=SUBNET.upper(), free=5),)),
        ),
        (
            "U130",
            "pool a can surge is unknown",
            managed(pools=(FLAT,)),
            target(),
            facts(subnets=(Subnet(id=SUBNET, free=None),)),
        ),
        ("U130", "pool a can surge is unknown", managed(pools=(FLAT,)), target(), facts(subnets=None)),
        (
            "W130",
            "(Standard_D4s_v5) needs 4 vCPUs, quota cores of westeurope has 3 left",
            managed(location="westeurope"),
            target(),
            facts(quotas=(Quota(name="cores", left=3), Quota(name="standardDSv5Family", left=4))),
        ),
        (
            "W130",
            "quota standardDSv5Family of westeurope has 3 left",
            managed(location="westeurope"),
            target(),
            facts(quotas=(Quota(name="cores", left=4), Quota(name="standardDSv5Family", left=3))),
        ),
        (
            "U130",
            "vCPU quota of westeurope could not be read",
            managed(location="westeurope"),
            target(),
            facts(quotas=None),
        ),
        (
            "U130",
            "no quota is known for Standard_D4s_v5",
            managed(),
            target(),
            facts(quotas=(Quota(name="cores", left=9),)),
        ),
        ("U130", "no quota is known for its size", managed(pools=(Pool(name="a"),)), target(), facts()),
        ("W131", "Terraform owns this cluster", managed(tags=(("managed-by", "Terraform"),)), target(), facts()),
        ("W131", "Bicep owns this cluster", managed(tags=(("azd-env-name", "prod"),)), target(), facts()),
        (
            "W131",
            "application 1f0c, wrote this cluster on 2026-11-22",
            managed(),
            target(),
            facts(writers=(PAUL, PIPELINE)),
        ),
        ("U131", "could not be read", managed(), target(), facts(writers=None)),
        (
            "I131",
            "wrote this cluster on 2026-11-22",
            managed(),
            target(),
            facts(writers=(replace(PIPELINE, own=True),)),
        ),
        (
            "W131",
            "application 1f0c",
            managed(),
            target(),
            facts(writers=(replace(PIPELINE, name="x", own=True), PIPELINE)),
        ),
        ("W132", "sets the admin groups to none at all", managed(), target(), facts(policies=(GROUPS_POLICY,))),
        ("U132", "could not be read", managed(), target(), facts(policies=None)),
        ("W137", "pay/trust", managed(), target(), facts(inside=inside(pinned_ca=("pay/trust",)))),
        ("W133", "ci/kubeconfig", managed(), target(), facts(inside=inside(kubeconfigs=("ci/kubeconfig",)))),
        ("W134", "old-admins", managed(), target(), facts(inside=inside(masters=("old-admins",)))),
        ("W135", "ci/deployer-token", managed(), target(), facts(inside=inside(static_tokens=("ci/deployer-token",)))),
        ("U140", "could not be read: no right", managed(), target(), facts(inside=None, outside_because="no right")),
        ("U140", "could not be read", managed(), target(), facts(inside=None)),
        (
            "U140",
            "may not read pods, webhooks",
            managed(),
            target(),
            facts(inside=inside(bare_pods=None, webhooks=None)),
        ),
    ],
)
def test_a_rule_speaks(rule: str, words: str, before: Posture, wanted: Target, known: Facts) -> None:
    plan = plan_cluster(before, wanted, known)
    assert [finding for finding in found(plan, rule) if words in finding.message], plan.findings
    severities = {"B": Severity.BLOCKER, "W": Severity.WARNING, "I": Severity.INFO, "U": Severity.UNKNOWN}
    assert {finding.severity for finding in found(plan, rule)} == {severities[rule[0]]}
    assert (plan.disposition == "refused") == bool(plan.blockers)


@pytest.mark.parametrize(
    ("rules", "before", "wanted", "known"),
    [
        ("B002", managed(), target(), facts(directory_tenant=TENANT.upper())),
        ("B008 I108 W109 W113 W114 U113", managed(), target(), facts(groups=(group(people=0, eligible=2),))),
        ("W114", managed(), target(), facts(groups=(group(people=2, guests=None),))),
        ("B016 U116", managed(), target(), facts(home=Home(in_cluster=True, ca="another"))),
        ("B016 U116", managed(), LATER, facts(home=None)),
        ("B016 U116", managed(), target(), facts(home=Home(endpoints=(SERVER,)), addresses=("20.9.9.9",))),
        ("W117 U117", managed(version="1.33.5"), target(), facts()),
        ("W117 U117", managed(version=""), target(), facts(supported_versions=None)),
        ("W118 I118", managed(version="1.33.5"), target(), facts(tools=Tools(kubectl="1.34.0", kubelogin="0.2.19"))),
        ("W118 I118", managed(version="1.33.5"), target(), facts(tools=Tools(kubectl=None, kubelogin=None))),
        ("B025 W136 U136", managed(power_state="Stopped"), target(), facts(sign_in_rules=None)),
        ("B025 W136 U136", managed(), target(), facts()),
        ("B019 I119", managed(), target(), facts(memberships=Memberships(groups=200, person=False))),
        ("W120 I120 U120", managed(), LATER, facts(callers=None)),
        ("B021", managed(), target(), facts(policies=(replace(DENIES, exempt=True),))),
        ("B021", managed(), target(), facts(policies=(replace(DENIES, enforced=False),))),
        ("B021 U121", managed(), target(), facts(policies=(replace(DENIES, effect="Audit"), GROUPS_POLICY))),
        ("B021 U121", managed(), target(local_accounts=LocalAccounts.KEEP), facts(policies=None)),
        ("W122 U122", managed(), target(), facts(windows=(replace(SATURDAYS, hours=(("Tuesday", 9),)),))),
        ("W122 U122", managed(), LATER, facts(windows=None)),
        ("B023 W123 U123", managed(serving=seen("2027-11-01T00:00:00Z")), target(), facts()),
        ("B023 W123 U123", managed(serving=seen(None)), target(), facts(now="")),
        ("B024", replace(SHUT, tags=OPENED), target(), facts()),
        ("B024", managed(tags=OPENED), target(local_accounts=LocalAccounts.KEEP), facts()),
        ("I131 W131", managed(), target(), facts(writers=(PAUL,))),
        ("W124 W126 W127 U140", managed(), LATER, facts(inside=None)),
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
    assert "an address of its authorised ranges (20.0.0.0/8)" in finding.remedy


def test_the_change_for_the_source_is_printed() -> None:
    terraform = managed(tags=(("source", "terraform"),))
    (finding,) = found(plan_cluster(terraform, target(), facts()), "W131")
    assert finding.remedy == (
        "make this change in its source first: `local_account_disabled = true`, "
        f'`azure_active_directory_role_based_access_control {{ tenant_id = "{TENANT}", '
        f'admin_group_object_ids = ["{ADMINS}"], azure_rbac_enabled = false }}` (Terraform)'
    )
    assert finding.evidence == "tag source=terraform"
    bicep = posture(identity=Identity.NONE, tags=(("bicep", "yes"),))
    (finding,) = found(plan_cluster(bicep, target(), facts()), "W131")
    assert finding.remedy == (
        "make this change in its source first: `disableLocalAccounts: true`, `aadProfile: { managed: true, "
        f"tenantID: '{TENANT}', adminGroupObjectIDs: ['{ADMINS}'], enableAzureRBAC: false }}` (Bicep)"
    )
    (finding,) = found(plan_cluster(managed(), target(), facts(policies=(GROUPS_POLICY,))), "W132")
    assert finding.remedy == f'set its parameter `adminGroupObjectIDs` to `["{ADMINS}"]`'


def test_a_skipped_rule_is_an_info_that_names_the_reason() -> None:
    failed = managed(provisioning_state="Failed")
    assert plan_cluster(failed, target(), facts()).disposition == "refused"
    plan = plan_cluster(failed, target(), facts(), (Skip(rule="B015", reason="CHG-1042"),))
    (finding,) = found(plan, "B015")
    assert finding.severity is Severity.INFO
    assert finding.message.startswith("skipped (CHG-1042): the cluster's last operation failed")
    assert plan.disposition == "migrate"


@pytest.mark.parametrize(
    ("rule", "reason", "why"),
    [
        ("W127", "CHG-1042", ""),
        ("W127", " ", "without a reason"),
        ("W999", "CHG-1042", "there is no rule W999"),
        ("I118", "CHG-1042", "it only informs"),
        *[
            (rule, "CHG-1042", "keeps a way in open")
            for rule in ("B004", "B007", "B008", "B009", "B011", "B012", "B016", "B021")
        ],
    ],
)
def test_what_may_be_skipped(rule: str, reason: str, why: str) -> None:
    assert why in skip_refused(Skip(rule=rule, reason=reason))
    assert bool(why) == bool(skip_refused(Skip(rule=rule, reason=reason)))


def test_what_keeps_a_way_in_open_cannot_be_skipped() -> None:
    assert {one for one in SKIPPABLE if one[0] == "B"} == {"B015", "B023", "B024", "B025"}


def test_every_rule_is_documented_and_every_id_is_of_one_rule() -> None:
    ids = [one for rule in RULES for one in rule.ids]
    assert len(ids) == len(set(ids))
    assert all(rule.says and rule.seen_in for rule in RULES)
    assert LOCAL_ACCOUNTS_POLICY in reference()


def test_the_reference_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "preflight.md"
    assert page.read_text(encoding="utf-8") == reference(), "run: make docs"


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
