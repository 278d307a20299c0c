"""Every rule of preflight: what it says, and when it is silent."""

from __future__ import annotations

import pytest

from aks_entra.core.cluster import Identity, Pool, Posture
from aks_entra.core.debt import Debt, OldCredentials
from aks_entra.core.plan import plan_cluster
from aks_entra.core.preflight import Facts, GroupFacts, Lock, Severity
from aks_entra.core.target import AzureRbac, GroupTarget, LocalAccounts, RotationPolicy, Target
from tests.unit.cases import ADMINS, CREATE, OTHERS, facts, group, managed, posture, target

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
    assert found[0].severity is severities[rule[0]]
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
        f"admin group {ADMINS} was deleted on 2026-11-02: closing local accounts would lock everybody out"
    )
    assert finding.remedy == "restore it (possible until 2026-12-02), or name another under `admin_groups`"
