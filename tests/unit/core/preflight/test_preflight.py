"""Every rule of preflight: what it says, and when it is silent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.cluster import Identity, Pool, Posture
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.group_drift import Drift, Kind, Point
from aks_entra.core.planning.plan import plan_cluster
from aks_entra.core.preflight import (
    HELD,
    Case,
    Controller,
    Endpoint,
    Facts,
    GroupFacts,
    Home,
    Inside,
    Lock,
    Severity,
    Tools,
    barring,
    preflight,
)
from aks_entra.core.target import AzureRbac, GroupTarget, LocalAccounts, RotationPolicy, Target
from tests.support.cases import (
    ADMINS,
    CREATE,
    DENIES,
    LETTERS,
    NOW,
    OLD_CA,
    OTHERS,
    facts,
    group,
    managed,
    posture,
    target,
)
from tests.support.golden_files import approved, cases
from tests.support.golden_lines import advice
from tests.support.rule_cases import FLAT, GROUPS_POLICY, SPEAKING, inside, seen
from tests.support.window_rule_cases import LATER

NO_GROUP = Target(tenant_id="22222222-2222-2222-2222-222222222222")
DELETED = {"deleted_on": "2026-11-02T10:00:00Z", "restorable_until": "2026-12-02T10:00:00Z"}
GONE = OldCredentials(debt=Debt.NONE, because="rotated")
READ_ONLY, NO_DELETE = Lock(name="l", level="ReadOnly", scope="rg"), Lock(name="l", level="CanNotDelete", scope="rg")
ROLE = {"prover_is_cluster_admin": True}


@pytest.mark.parametrize(
    ("rule", "before", "wanted", "known"),
    [
        ("B001", managed(), target(tenant_id="another"), facts()),
        ("B001", managed(tenant_id="another"), target(), facts()),
        ("B003", posture(kubernetes_rbac=False), target(), facts()),
        ("B004", posture(), NO_GROUP, facts()),
        ("B004", posture(), NO_GROUP, facts(**ROLE)),  # the role counts only where Azure RBAC is on
        ("B005", managed(), target(GroupTarget(display_name="x", id=OTHERS)), facts()),
        ("B005", managed(), target(), facts(groups=(group(exists=False),))),
        ("B006", managed(), target(), facts(groups=(group(security_enabled=False),))),
        ("B004", managed(), NO_GROUP, facts(groups=())),  # a group of which nothing is known
        ("B006", managed(), NO_GROUP, facts(groups=(group(security_enabled=False),))),
        (
            "W106",
            managed(admin_group_ids=(OTHERS,)),
            target(),
            facts(groups=(group(), group(OTHERS, security_enabled=False))),
        ),
        ("B007", managed(), NO_GROUP, facts(groups=(group(**DELETED),))),
        ("B007", managed(), NO_GROUP, facts(groups=(group(exists=False),))),
        ("W107", managed(), target(CREATE), facts(groups=(group(**DELETED),))),
        ("W107", managed(azure_rbac=True), NO_GROUP, facts(groups=(group(**DELETED),), **ROLE)),
        ("B008", managed(), target(), facts(groups=(group(members=0),))),
        ("W108", managed(), target(CREATE), facts(groups=(group(members=0),))),
        ("U108", managed(), target(), facts(groups=(group(members=None),))),
        ("W109", managed(), target(), facts(groups=(group(people=0),))),
        ("B009", managed(), target(), facts(groups=(group(prover_is_member=False),))),
        ("B009", managed(), target(azure_rbac=AzureRbac.OFF), facts(groups=(group(prover_is_member=False),), **ROLE)),
        (
            "B009",  # a deleted group proves nothing, though the prover was in it
            managed(admin_group_ids=(OTHERS,)),
            target(),
            facts(groups=(group(prover_is_member=False), group(OTHERS, **DELETED))),
        ),
        ("U109", managed(), target(), facts(groups=(group(prover_is_member=None),))),
        (
            "U109",
            managed(azure_rbac=True),
            target(),
            facts(groups=(group(prover_is_member=False),), prover_is_cluster_admin=None),
        ),
        ("B010", managed(power_state="Stopped"), target(), facts()),
        ("W110", managed(pools=(Pool(name="a", count=1, power_state="Stopped"),)), target(), facts()),
        ("B011", managed(), target(), facts(missing_permissions=("write",))),
        ("U111", managed(), target(), facts(missing_permissions=None)),
        ("B012", managed(), target(), facts(locks=(READ_ONLY,))),
        ("W112", managed(), target(), facts(locks=(NO_DELETE,))),
        ("U112", managed(), target(), facts(locks=None)),
        ("B013", managed(), target(), facts(unreachable="nobody answers")),
        ("B013", managed(private=True), target(), facts(unreachable="nobody answers")),
        ("B014", managed(ca=None), target(), facts()),
        ("B015", managed(provisioning_state="Failed"), target(), facts()),
        ("W115", managed(provisioning_state="Updating"), target(), facts()),
        ("W102", managed(), target(azure_rbac=AzureRbac.ON), facts()),
        ("W102", managed(azure_rbac=True), target(azure_rbac=AzureRbac.OFF), facts()),
        ("W103", managed(), target(), facts()),
        ("W104", posture(identity=Identity.LEGACY, tier="Free"), target(), facts()),
    ],
)
def test_a_rule_speaks(rule: str, before: Posture, wanted: Target, known: Facts) -> None:
    plan = plan_cluster(before, wanted, known)
    found = [finding for finding in plan.findings if finding.rule == rule]
    assert found, plan.findings
    severities = {"B": Severity.BLOCKER, "W": Severity.WARNING, "U": Severity.UNKNOWN}
    assert found[0].severity is (Severity.BLOCKER if rule in HELD else severities[rule[0]])
    assert found[0].message
    assert (plan.disposition in {"refused", "skipped"}) == bool(plan.blockers)


@pytest.mark.parametrize(
    ("before", "wanted", "known"),
    [
        (managed(local_accounts=False), target(), facts(old_credentials=GONE)),
        # with nothing to do neither rights nor locks matter, nor who would prove it
        (
            managed(local_accounts=False),
            target(),
            facts(
                old_credentials=GONE,
                missing_permissions=("write",),
                locks=(READ_ONLY,),
                groups=(group(prover_is_member=False),),
            ),
        ),
        (
            managed(azure_rbac=True, admin_group_ids=()),
            Target(tenant_id="", local_accounts=LocalAccounts.KEEP),
            facts(**ROLE),
        ),
        (
            managed(),
            target(local_accounts=LocalAccounts.KEEP),
            facts(groups=(GroupFacts(id=ADMINS, members=2, people=1, prover_is_member=False),)),
        ),
    ],
)
def test_silence(before: Posture, wanted: Target, known: Facts) -> None:
    assert plan_cluster(before, wanted, known).findings == ()


def test_a_lock_that_forbids_deleting_matters_only_to_a_rotation() -> None:
    wanted = target(rotation=RotationPolicy.LATER)
    rules = [finding.rule for finding in plan_cluster(managed(), wanted, facts(locks=(NO_DELETE,))).findings]
    assert rules == ["W103"]


def test_a_created_group_is_a_way_in_and_its_first_member_the_prover() -> None:
    known = facts(groups=(group(prover_is_member=False),))
    assert plan_cluster(managed(), target(CREATE), known).blockers == ()


def test_the_role_proves_where_azure_rbac_counts() -> None:
    known = facts(groups=(group(prover_is_member=False),), **ROLE)
    assert plan_cluster(managed(azure_rbac=True), target(), known).blockers == ()
    assert plan_cluster(posture(), target(azure_rbac=AzureRbac.ON), known).blockers == ()


def test_blockers_come_first() -> None:
    known = facts(groups=(group(members=0),), missing_permissions=("write",))
    severities = [finding.severity for finding in plan_cluster(managed(), target(), known).findings]
    assert severities == sorted(severities, key=list(Severity).index)


def test_names_and_dates_in_what_is_said() -> None:
    plan = plan_cluster(managed(), NO_GROUP, facts(groups=(group(display_name="", **DELETED),)))
    finding = next(finding for finding in plan.findings if finding.rule == "B007")
    assert finding.message == (
        f"admin group {ADMINS} was deleted on 2026-11-02: turning local accounts off would lock everybody out"
    )
    assert finding.remedy == "restore it (possible until 2026-12-02), or name another group under `admin_groups`"


def drifted(code: str) -> Case:
    drift = Drift(reference=ADMINS, display_name="a", points=(Point(kind=Kind.DIFFERS, code=code, words="it differs"),))
    return Case(posture=managed(), target=target(), facts=facts(drifts=(drift,)), steps=())


def test_a_declared_group_is_compared_by_what_was_seen_and_not_by_the_words_for_it() -> None:
    case = drifted("displayName=b")
    shown = tuple(one for one in preflight(case) if one.rule == "W150")
    assert barring(case, (), tuple(replace(one, message="other words") for one in shown)) == ()
    assert barring(case, (), tuple(replace(one, evidence="") for one in shown)) == ()  # a plan of an earlier version
    assert [one.rule for one in barring(drifted("displayName=c"), (), shown)] == ["W150"]


HERE = Endpoint(variable="HTTPS_PROXY", host="proxy", addresses=("20.1.2.3", "20.1.2.2"))


def point(kind: Kind, words: str) -> Point:
    return Point(kind=kind, code=words, words=words)


DRIFTS = (
    Drift(reference=OTHERS, display_name="not ours", points=(point(Kind.DIFFERS, "it is not there"),)),
    Drift(
        reference=ADMINS,
        display_name="aks-admins",
        points=(
            *(point(Kind.DIFFERS, words) for words in ("a", "b")),
            *(point(Kind.UNKNOWN, words) for words in ("c", "d")),
            *(point(Kind.ADDITIONAL, words) for words in ("1 owner", "2 members")),
        ),
    ),
    Drift(reference=ADMINS, display_name="as declared"),
)
BORN = group(
    OTHERS, display_name=CREATE.display_name, deleted_on="2026-11-02T10:00:00Z", restorable_until="2026-12-02T10:00:00Z"
)
MISSING = group(OTHERS, exists=False)
CONTROLLERS = (
    Controller(label="Deployment a", desired=2, available=2),
    Controller(label="Deployment b", desired=2, available=1),
    Controller(label="Deployment c", desired=1, available=0),
    Controller(label="DaemonSet d", desired=1, available=1, scalable=False),
    Controller(label="Deployment e", desired=0, available=0),
)
SAME_GROUPS = replace(GROUPS_POLICY, admin_groups=(ADMINS,))
MORE_CASES = (
    *((rule, managed(), target(), facts(drifts=DRIFTS)) for rule in ("W150", "I150", "U150")),
    (
        "W106",
        managed(admin_group_ids=(ADMINS, OTHERS)),
        target(),
        facts(groups=(group(), group(OTHERS, security_enabled=False))),
    ),
    (
        "B006",
        managed(),
        target(*target().admin_groups, GroupTarget(display_name="mail", id=LETTERS)),
        facts(groups=(group(), group(LETTERS.lower(), display_name="mail", security_enabled=False))),
    ),
    ("W107", posture(identity=Identity.LEGACY, admin_group_ids=(OTHERS,)), target(), facts(groups=(group(), MISSING))),
    ("W123", managed(ca=replace(OLD_CA, not_after="2026-12-01T00:00:00Z")), target(), facts()),
    ("W104", managed(tier="Free"), target(), facts()),
    ("W104", posture(identity=Identity.LEGACY), target(), facts()),
    ("W132", managed(), target(), facts(policies=(replace(GROUPS_POLICY, admin_groups=(ADMINS, OTHERS)),))),
    ("W125", managed(), LATER, facts(inside=inside(budgets=("a",)))),
    ("W126", managed(), target(), facts(inside=inside(controllers=CONTROLLERS))),
    ("W127", managed(), target(), facts(inside=inside(controllers=CONTROLLERS))),
    (
        "W132",
        managed(),
        target(),
        facts(policies=(DENIES, replace(GROUPS_POLICY, exempt=True), SAME_GROUPS, GROUPS_POLICY)),
    ),
    ("B006", managed(), target(), facts(groups=(group(exists=False, security_enabled=False),))),
    ("W123", managed(serving=seen(NOW)), target(), facts()),
    ("B023", managed(serving=seen("2026-11-24T08:59:59Z")), target(), facts()),
    ("W123", managed(serving=seen("2026-12-24T09:00:00Z")), target(), facts()),
    ("W123", managed(serving=seen("2026-12-24T08:59:59Z")), target(), facts()),
    ("U140", managed(), target(), facts(inside=Inside())),
    ("W151", managed(), target(*target().admin_groups, CREATE), facts(groups=(group(), BORN))),
    ("W151", managed(), target(CREATE), facts(groups=(group(), replace(BORN, restorable_until=None)))),
    ("B001", managed(tenant_id="another"), target(tenant_id="third"), facts()),
    ("B016", managed(fqdn="api.hcp"), target(), facts(home=Home(endpoints=(HERE, HERE)), addresses=("20.1.2.2",))),
    ("U116", managed(fqdn=None), target(), facts(home=Home(endpoints=(replace(HERE, host=""),)), addresses=None)),
    ("I118", managed(), target(), facts(tools=Tools())),
    ("W118", managed(version="1.30.0"), target(), facts(tools=Tools(kubectl="1.33.1", kubelogin="1"))),
    ("W117", managed(version="1.25.6", location="westeurope"), target(), facts(supported_versions=())),
    ("B012", managed(), target(), facts(locks=(Lock(name="a", level="readonly", scope="rg"),) * 2)),
    ("B011", managed(), target(), facts(missing_permissions=("write", "delete"))),
    ("W110", managed(pools=tuple(Pool(name=it, count=1, power_state="Stopped") for it in "ab")), target(), facts()),
    ("W102", posture(identity=Identity.LEGACY), target(azure_rbac=AzureRbac.ON), facts()),
    (
        "W109",
        managed(admin_group_ids=(ADMINS, OTHERS)),
        target(),
        facts(groups=(group(people=0), group(OTHERS, people=0))),
    ),
)


def test_golden_what_preflight_says() -> None:
    blocks = list[tuple[str, object]]()
    for rule, *_, before, wanted, known in (
        *cases(test_a_rule_speaks),
        *SPEAKING,
        *MORE_CASES,
    ):
        findings = [one for one in plan_cluster(before, wanted, known).findings if one.rule == rule]
        blocks += [(f"{one.rule} {one.severity.value}: {one.message}", advice(one)) for one in findings]
    approved("preflight", blocks)


def test_golden_everything_that_is_said_of_a_cluster_of_which_nothing_is_known() -> None:
    unknown = Facts(tenant_id=facts().tenant_id, old_credentials=facts().old_credentials, now=NOW, locks=None)
    plan = plan_cluster(managed(pools=(FLAT,)), target(), replace(unknown, missing_permissions=None))
    approved("unknown", [(f"{one.rule} {one.severity.value}: {one.message}", advice(one)) for one in plan.findings])
