"""A rollback plan of any cluster restores what it can, and locks nobody out."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from aks_entra.core.cluster import Identity, Posture
from aks_entra.core.evidence.observations import Evidence
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.planning.plan import ClusterPlan, plan_cluster
from aks_entra.core.planning.prover import Prover
from aks_entra.core.planning.rollback import WayBack, gone, plan_rollback, rollback_fleet
from aks_entra.core.planning.rollout import MemberGroup
from aks_entra.core.preflight import Facts, Lock
from aks_entra.core.steps import EnableLocalAccounts, Guarded, ProveSignIn, UpdateEntra, VerifyRestored, writes
from aks_entra.core.target import AzureRbac, Keep, RotationPolicy, Target
from aks_entra.core.verdict.current_state import judge_current_state
from aks_entra.core.verdict.verdict import judge
from aks_entra.report.plan_view import view_of
from tests.support.cases import (
    ADMINS,
    ALL_TRIED,
    CREATE,
    NEW_CA,
    NOW,
    OTHERS,
    SHUT,
    any_facts,
    facts,
    managed,
    posture,
    postures,
    proven,
    state,
    target,
    targets,
)
from tests.support.examples import times
from tests.support.golden_files import approved, brief
from tests.support.golden_lines import plan_lines, verdict_lines
from tests.support.migrated_clusters import GROUPS, UNKNOWN, migrated, reopens
from tests.support.rollouts import FIRST, SECOND, THIRD, fleet_of, plan_of


def test_nobody_left_to_sign_in_is_a_blocker() -> None:
    before = managed(admin_group_ids=(), local_accounts=False, azure_rbac=False)
    done = plan_cluster(before, target(), facts())
    now = migrated(before, done)
    back = plan_rollback(done, now, WayBack(groups={}, old_credentials=UNKNOWN))
    assert [finding.rule for finding in back.blockers] == ["R012"]
    with_role = plan_rollback(
        replace(done, before=replace(done.before, azure_rbac=True)),
        replace(now, azure_rbac=True),
        WayBack(groups={}, old_credentials=UNKNOWN),
    )
    assert with_role.blockers == ()


@times(2)
@given(posture=postures(), target=targets(), facts=any_facts(), reached=st.integers(0, 9))
def test_after_any_prefix_of_a_migration_the_way_back_restores_what_can_be(
    posture: Posture, target: Target, facts: Facts, reached: int
) -> None:
    done = plan_cluster(posture, target, facts)
    assume(done.disposition == "migrate")
    now = migrated(posture, replace(done, steps=done.steps[:reached]))
    back = plan_rollback(done, now, WayBack(groups=GROUPS, old_credentials=UNKNOWN))
    state, proven = back.before, False
    for step in back.steps:
        if isinstance(step, ProveSignIn):
            proven = True
            assert set(step.admin_groups) <= set(back.after.admin_groups), "proven by what stays"
        if isinstance(step, UpdateEntra):
            assert state.local_accounts or proven, "groups are taken away only where another way in is proven"
        assert not state.after(step).local_accounts or state.local_accounts or isinstance(step, EnableLocalAccounts)
        state = state.after(step)
        if not state.local_accounts:
            assert reopens(facts) or not posture.local_accounts
    assert state.identity is now.identity
    if state.identity is Identity.MANAGED:
        assert state.local_accounts is (posture.local_accounts or now.local_accounts)
    if posture.identity is Identity.MANAGED:
        assert state.admin_groups == Guarded.of(posture).admin_groups
        assert state.azure_rbac is posture.azure_rbac
    assert not any(writes(step) for step in back.steps) or isinstance(back.steps[-1], VerifyRestored)
    again = migrated(now, replace(back, target=target))
    assert plan_rollback(done, again, WayBack(groups=GROUPS, old_credentials=UNKNOWN)).steps == ()


def test_the_way_back_in_words() -> None:
    before = managed(admin_group_ids=(OTHERS,), azure_rbac=True)
    done = plan_cluster(before, target(azure_rbac=AzureRbac.OFF), facts())
    back = plan_rollback(done, migrated(before, done), WayBack(groups={}, old_credentials=UNKNOWN))
    fleet = fleet_of(back)
    view = view_of(fleet)
    steps = [(one.mark, one.title) for one in view.stages[0].clusters[0].steps]
    assert steps == [
        ("+", "enable local accounts"),
        ("+", "update admin groups and Azure RBAC"),
        ("✓", "verify what was restored"),
    ]
    notes = view.stages[0].clusters[0].steps[1].notes
    assert f"removes {ADMINS}, which the migration added; Azure RBAC on" in notes
    assert "everyone who can fetch admin credentials from Azure (on 1 cluster)" in view.gains
    assert f"{ADMINS} (on 1 cluster)" in view.loses
    assert "a rotation is owed for them" in view.stages[0].clusters[0].steps[0].notes[1]
    assert "left to do: enable local accounts, update" in judge_current_state(back, ()).because[0]


_EVIDENCE_BACK: tuple[Evidence, ...] = (*ALL_TRIED[:2], proven(), state(local_accounts=True))


def test_golden_the_way_back() -> None:
    owed = OldCredentials(debt=Debt.OWED, because="so it is", through=NOW)
    done = {
        "migrated": plan_cluster(managed(), target(CREATE), facts()),
        "from nothing": plan_cluster(posture(), target(), facts()),
        "closed before": plan_cluster(SHUT, target(CREATE), facts()),
        "without a rotation": plan_cluster(managed(), target(rotation=RotationPolicy.LATER), facts()),
    }
    now = {
        "closed and rotated": managed(
            local_accounts=False, ca=NEW_CA, admin_group_ids=(ADMINS, OTHERS), azure_rbac=True
        ),
        "closed": managed(local_accounts=False),
        "as before": managed(),
        "only the new group": managed(local_accounts=False, admin_group_ids=(OTHERS,)),
        "two others": managed(local_accounts=False, admin_group_ids=(ADMINS, "c", "d")),
        "none": posture(power_state="Stopped"),
    }
    ways = {
        "all is known": WayBack(groups={CREATE.reference: OTHERS}, old_credentials=owed),
        "little is known": WayBack(groups={}, old_credentials=owed, missing_permissions=None, locks=None),
        "it may not": WayBack(
            groups={},
            old_credentials=owed,
            missing_permissions=("write", "read"),
            locks=tuple(
                Lock(name=it, level=level, scope="rg") for it, level in (("a", "CanNotDelete"), ("b", "ReadOnly"))
            ),
        ),
    }
    plans = [
        (f"{a} · {b} · {c}", plan_rollback(plan, there, way))
        for a, plan in done.items()
        for b, there in now.items()
        for c, way in ways.items()
    ]
    told = [(title, plan_lines(plan)) for title, plan in plans]
    lost = gone(done["migrated"], "it is not there any more")
    verdicts = [
        (f"{title}, carried out", verdict_lines(judge(plan, _EVIDENCE_BACK)))
        for title, plan in plans[::4]
        if plan.steps
    ]
    approved("rollback", [*told, ("a cluster that is gone", [*plan_lines(lost), brief(lost.target)]), *verdicts])


def test_a_rollback_is_carried_out_on_the_work_queues_of_the_migration() -> None:
    done = fleet_of(*map(plan_of, (FIRST, SECOND, THIRD)))
    other = Prover(object_id="other")
    groups = (
        MemberGroup(name="a", members=(FIRST,), work_queue="north", prover=other),
        MemberGroup(name="b", members=(SECOND, THIRD)),
    )
    split = replace(done, stages=(replace(done.stages[0], groups=groups),))
    plain, back = (rollback_fleet(one, one.clusters, created_at="2026-11-24T09:00:00Z") for one in (done, split))
    assert plain.stages[0].groups == (MemberGroup(name="all", members=(FIRST, SECOND, THIRD)),)
    assert back.stages[0].groups == (replace(groups[0], name="north"), replace(groups[1], name="all"))


def test_a_rollback_takes_our_deny_policy_away_before_it_opens_the_cluster() -> None:
    before, keep = managed(), target(keep=Keep.DENY)
    done = plan_cluster(before, keep, facts())
    now = migrated(before, done)

    def kinds(plan: ClusterPlan, *, kept: bool | None) -> list[str]:
        back = plan_rollback(plan, now, WayBack(groups={}, old_credentials=UNKNOWN, kept=kept))
        return [step.kind for step in back.steps]

    opens = ["enable-local-accounts", "verify-restored"]
    assert kinds(done, kept=True) == ["remove-deny-policy", *opens]
    assert kinds(done, kept=False) == opens
    assert kinds(done, kept=None) == ["remove-deny-policy", *opens]
    assert kinds(plan_cluster(before, target(), facts()), kept=None) == opens
    closed = OldCredentials(debt=Debt.NONE, because="rotated")
    only_kept = plan_cluster(SHUT, keep, facts(old_credentials=closed))
    assert kinds(only_kept, kept=True) == ["remove-deny-policy", "verify-restored"]
    nothing = plan_cluster(SHUT, target(), facts(old_credentials=closed))
    assert kinds(nothing, kept=True) == []
