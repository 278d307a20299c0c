"""What people read about plans and verdicts, whole: see `approved.py` for how a text is renewed."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.core.cluster import Identity, Pool
from aks_entra.core.debt import Debt, OldCredentials, Sighting, old_credentials
from aks_entra.core.evidence import (
    LOOKING,
    ClusterCreated,
    CredentialTried,
    Evidence,
    Failure,
    GroupEnsured,
    GroupSeen,
    LocalAccountsDisabled,
    LocalAccountsEnabled,
    StateSeen,
)
from aks_entra.core.groups import Drift
from aks_entra.core.opening import Opening, opening_on
from aks_entra.core.opening_verdict import judge_gone, judge_opening, report_of
from aks_entra.core.plan import ClusterPlan, FleetPlan, Prover, plan_cluster
from aks_entra.core.preflight import Controller, Endpoint, Facts, Finding, Home, Inside, Lock, Skip, Tools
from aks_entra.core.preflight.finding import says
from aks_entra.core.report import FleetReport
from aks_entra.core.restored import weigh_restored
from aks_entra.core.rollback import WayBack, gone, plan_rollback
from aks_entra.core.rollout import MemberGroup, Stage, stage_result
from aks_entra.core.standing import judge_standing
from aks_entra.core.steps import (
    DisableLocalAccounts,
    EnableEntra,
    EnableLocalAccounts,
    EnsureAdminGroup,
    Guarded,
    ProveSignIn,
    RecordBaseline,
    RotateCertificates,
    Step,
    UpdateEntra,
    VerifyOutcome,
    VerifyRestored,
    consequence,
    writes,
)
from aks_entra.core.target import AzureRbac, GroupTarget, LocalAccounts, RotationPolicy
from aks_entra.core.verdict import Verdict, judge, judge_created, stopped, unstarted
from aks_entra.core.weigh import weigh
from tests.unit import test_debt_and_report, test_preflight, test_preflight_rules, test_verdict
from tests.unit.approved import approved, brief, cases
from tests.unit.cases import (
    ADMINS,
    ALL_TRIED,
    CREATE,
    DENIES,
    NEW_CA,
    NOW,
    OLD_CA,
    OTHERS,
    ROTATED,
    SHOP,
    WHOLE,
    facts,
    group,
    managed,
    posture,
    proven,
    state,
    target,
)
from tests.unit.test_verdict import LOOKED, MIGRATE, finished, without

HERE = Endpoint(variable="HTTPS_PROXY", host="proxy", addresses=("20.1.2.3", "20.1.2.2"))
CLOSED_BEFORE = managed(local_accounts=False)
STEPS: tuple[Step, ...] = (
    EnsureAdminGroup(group=CREATE),
    EnableEntra(tenant_id="t", admin_groups=(ADMINS,), azure_rbac=None, was=Identity.NONE),
    EnableEntra(tenant_id="t", admin_groups=(ADMINS,), azure_rbac=True, was=Identity.LEGACY),
    UpdateEntra(admin_groups=(ADMINS,), azure_rbac=False),
    ProveSignIn(admin_groups=(ADMINS,)),
    RecordBaseline(hold_credential=True),
    DisableLocalAccounts(),
    RotateCertificates(ca_before=OLD_CA.fingerprint),
    VerifyOutcome(rotated=True),
    EnableLocalAccounts(),
    VerifyRestored(local_accounts=True),
)


def test_golden_what_preflight_says() -> None:
    blocks = list[tuple[str, object]]()
    for rule, *_, before, wanted, known in (
        *cases(test_preflight.test_a_rule_speaks),
        *cases(test_preflight_rules.test_a_rule_speaks),
        *MORE_CASES,
    ):
        findings = [one for one in plan_cluster(before, wanted, known).findings if one.rule == rule]
        blocks += [(f"{one.rule} {one.severity.value}: {one.message}", _said(one)) for one in findings]
    approved("preflight", blocks)


DRIFTS = (
    Drift(reference=OTHERS, display_name="not ours", differs=("it is not there",)),
    Drift(
        reference=ADMINS,
        display_name="aks-admins",
        differs=("a", "b"),
        unknown=("c", "d"),
        beside=("1 owner", "2 members"),
    ),
    Drift(reference=ADMINS, display_name="as declared"),
)
BORN = group(
    OTHERS, display_name=CREATE.display_name, deleted_on="2026-11-02T10:00:00Z", restorable_until="2026-12-02T10:00:00Z"
)
GONE = group(OTHERS, exists=False)
LETTERS = "AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE"
CONTROLLERS = (
    Controller(label="Deployment a", desired=2, available=2),
    Controller(label="Deployment b", desired=2, available=1),
    Controller(label="Deployment c", desired=1, available=0),
    Controller(label="DaemonSet d", desired=1, available=1, scalable=False),
    Controller(label="Deployment e", desired=0, available=0),
)
OWNER = test_preflight_rules.GROUPS_POLICY
SAME_GROUPS = replace(OWNER, admin_groups=(ADMINS,))
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
    ("W107", posture(identity=Identity.LEGACY, admin_group_ids=(OTHERS,)), target(), facts(groups=(group(), GONE))),
    ("W123", managed(ca=replace(OLD_CA, not_after="2026-12-01T00:00:00Z")), target(), facts()),
    ("W104", managed(tier="Free"), target(), facts()),
    ("W104", posture(identity=Identity.LEGACY), target(), facts()),
    ("W132", managed(), target(), facts(policies=(replace(OWNER, admin_groups=(ADMINS, OTHERS)),))),
    ("W125", managed(), test_preflight_rules.LATER, facts(inside=test_preflight_rules.inside(budgets=("a",)))),
    ("W126", managed(), target(), facts(inside=test_preflight_rules.inside(controllers=CONTROLLERS))),
    ("W127", managed(), target(), facts(inside=test_preflight_rules.inside(controllers=CONTROLLERS))),
    ("W132", managed(), target(), facts(policies=(DENIES, replace(OWNER, exempt=True), SAME_GROUPS, OWNER))),
    ("B006", managed(), target(), facts(groups=(group(exists=False, security_enabled=False),))),
    ("W123", managed(serving=test_preflight_rules.seen(NOW)), target(), facts()),
    ("B023", managed(serving=test_preflight_rules.seen("2026-11-24T08:59:59Z")), target(), facts()),
    ("W123", managed(serving=test_preflight_rules.seen("2026-12-24T09:00:00Z")), target(), facts()),
    ("W123", managed(serving=test_preflight_rules.seen("2026-12-24T08:59:59Z")), target(), facts()),
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


def _said(one: Finding) -> list[str]:
    return [f"do: {one.remedy or 'nothing'}", f"seen in: {one.evidence or 'not said'}"]


def _words(verdict: Verdict | None) -> list[str]:
    if verdict is None:
        return ["no verdict yet"]
    grade = verdict.grade.value if verdict.grade else "none"
    seen = f"{len(verdict.evidence)} pieces of evidence"
    return [
        f"{verdict.cluster}: {verdict.outcome.value}, grade {grade}, {seen}",
        *verdict.because,
        f"next: {verdict.next!r}",
    ]


def test_golden_verdicts() -> None:
    tables = [
        *((f"{said}", evidence) for evidence, _, said in cases(test_verdict.test_one_thing_otherwise)),
        *((said, without(CredentialTried, plus=tried)) for tried, said in cases(test_verdict.test_the_second_grade)),
        *(("first grade", without(CredentialTried, plus=one)) for (one,) in _single(test_verdict.test_the_first_grade)),
    ]
    judged = [(title, _words(judge(MIGRATE, evidence))) for title, evidence in (("all is well", WHOLE), *tables)]
    debts = [(f"finished, {debt.value}", _words(judge(finished(debt), LOOKED))) for debt in Debt]
    kept = plan_cluster(managed(), target(local_accounts=LocalAccounts.KEEP), facts())
    failures = [
        Failure(at=NOW, error=error, step=step, message="it stopped", remedy=remedy)
        for error, step, remedy in (("Refused", "enable-entra", "say please"), ("Diverged", "", ""))
    ]
    more = [
        ("accounts are kept", _words(judge(kept, without(CredentialTried)))),
        *((f"a failure: {one.error}", _words(judge(MIGRATE, (one,)))) for one in failures),
        *((f"a late failure: {one.error}", _words(judge(MIGRATE, (*WHOLE, one)))) for one in failures),
        *((f"not begun: {brief(one.before)}", _words(unstarted(one))) for one in _HELD),
        *((title, _words(judge(MIGRATE, (*WHOLE, *seen)))) for title, seen in _GROUPS_SEEN.items()),
        ("stopped before its turn", _words(stopped(MIGRATE, (), None))),
        ("stopped, nothing to do", _words(stopped(MIGRATE, WHOLE, None))),
        *((f"stopped at {step.kind}", _words(stopped(MIGRATE, (), step))) for step in MIGRATE.steps),
        *((f"stopped at {step.kind}, with evidence", _words(stopped(MIGRATE, WHOLE, step))) for step in MIGRATE.steps),
    ]
    approved("verdicts", [*judged, *debts, *more])


_HELD = (
    MIGRATE,
    plan_cluster(posture(kubernetes_rbac=False), target(), facts()),
    plan_cluster(managed(power_state="Stopped"), target(), facts()),
    replace(MIGRATE, findings=(says("B901", "nobody knows what to do"), says("B902", "somebody does", "do it"))),
    replace(MIGRATE, findings=(says("B901", "nobody knows what to do"),)),
)
_SEEN = GroupSeen(at=NOW, group=ADMINS, display_name="aks-admins")
_GROUPS_SEEN: dict[str, tuple[Evidence, ...]] = {
    "groups as declared": (_SEEN,),
    "a group otherwise": (replace(_SEEN, differs=("a", "b")),),
    "a group unknown": (replace(_SEEN, unknown=("a", "b")), replace(_SEEN, differs=("c",))),
    "something else first": (
        Failure(at=NOW, error="TryLater", step=LOOKING, message="nobody answers", remedy="try later"),
        replace(_SEEN, differs=("a",)),
    ),
}


def _single(test: object) -> list[tuple[tuple[CredentialTried, ...]]]:
    (mark,) = test.pytestmark  # type: ignore[attr-defined]  # pytest put it there
    return [(one,) for one in mark.args[1]]


def test_golden_clusters_that_were_created() -> None:
    seen = LOOKED
    made = {
        "made": ClusterCreated(at="2026-11-24T09:00:00.000Z", changed=True),
        "found": ClusterCreated(at=NOW, changed=False),
        "not seen": None,
    }
    targets = [target(), target(tenant_id="ABC", azure_rbac=AzureRbac.ON), target(CREATE)]
    targets.append(target(GroupTarget(display_name="letters", id=LETTERS)))
    verdicts = [
        (f"{title} · {brief(wanted)}", _words(judge_created(SHOP, wanted, (*((one,) if one else ()), *seen))))
        for title, one in made.items()
        for wanted in targets
    ]
    ensured = GroupEnsured(at=NOW, group_id=OTHERS, display_name="", unique_name="cluster-admins", created=True)
    for there in ((ADMINS,), (ADMINS, OTHERS)):
        evidence = (*without(CredentialTried, StateSeen), ensured, state(admin_group_ids=there))
        verdicts.append((f"its own group, ARM shows {there}", _words(judge_created(SHOP, target(CREATE), evidence))))
    approved("created", verdicts)


def test_golden_steps_and_what_they_cost() -> None:
    costs = [
        (f"{step.kind} in tier {tier}", [brief(consequence(step, tier=tier)), f"writes: {writes(step)}"])
        for step in STEPS
        for tier in ("Free", "Standard")
    ]
    default = [(f"{STEPS[2].kind}, no tier said", brief(consequence(STEPS[2])))]
    before = Guarded.of(posture(tenant_id="T", admin_group_ids=("B", "A", "b"), ca=None))
    after = [(f"{step.kind} leads to", brief(before.after(step))) for step in STEPS]
    other = replace(Guarded.of(managed(azure_rbac=True, kubernetes_rbac=False)), ca="99d0", local_accounts=False)
    rotated = replace(other, ca="rotated")
    pairs = [(before, other), (other, before), (rotated, other), (rotated, before), (other, replace(other, ca="00"))]
    compared = [
        (f"beside the CA {ca}", one.differences(now, ca_before=ca)) for one, now in pairs for ca in (None, "99d0", "x")
    ]
    approved("steps", [*costs, *default, *after, *compared])


def test_golden_what_is_left_and_what_is_owed() -> None:
    plans = [
        plan_cluster(managed(), target(), facts()),
        plan_cluster(posture(), target(CREATE), facts()),
        plan_cluster(managed(), target(azure_rbac=AzureRbac.ON, local_accounts=LocalAccounts.KEEP), facts()),
        plan_cluster(CLOSED_BEFORE, target(), facts()),
        finished(Debt.NONE),
        finished(Debt.OWED),
    ]
    hand_made = [
        replace(plans[0], steps=steps) for steps in ((ProveSignIn(admin_groups=()),), (EnableLocalAccounts(),))
    ]
    standing = [
        (
            f"{' '.join(step.kind for step in plan.steps) or 'nothing to do'} · {len(seen)} seen",
            _words(judge_standing(plan, seen)),
        )
        for plan in (*plans, *hand_made)
        for seen in ((), LOOKED, WHOLE)
    ]
    table = cases(test_debt_and_report.test_debt_of_a_closed_cluster)
    debts = [(said, brief(old_credentials(test_debt_and_report.CLOSED, records))) for records, _, said in table]
    ages = cases(test_debt_and_report.test_debt_without_the_ca)
    same = "2024-05-11T00:00:00Z"
    opened = test_debt_and_report.record(Sighting.ACCOUNTS_ON, same, source="r-7")
    for serving, at, _, _ in (*ages, (same, same, None, "")):
        seen = test_preflight_rules.seen(None)
        shown = replace(seen, not_before=serving) if serving else None
        records = (replace(opened, at=at),) if at else ()
        known = old_credentials(replace(test_debt_and_report.CLOSED, ca=None, serving=shown), records)
        debts.append((f"certificate from {serving}, open at {at}", brief(known)))
    approved("standing", [*standing, *debts])


def test_golden_the_way_back() -> None:
    owed = OldCredentials(debt=Debt.OWED, because="so it is")
    done = {
        "migrated": plan_cluster(managed(), target(CREATE), facts()),
        "from nothing": plan_cluster(posture(), target(), facts()),
        "closed before": plan_cluster(CLOSED_BEFORE, target(CREATE), facts()),
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
    told = [(title, _plan(plan)) for title, plan in plans]
    lost = gone(done["migrated"], "it is not there any more")
    verdicts = [
        (f"{title}, carried out", _words(judge(plan, _EVIDENCE_BACK))) for title, plan in plans[::4] if plan.steps
    ]
    approved("rollback", [*told, ("a cluster that is gone", [*_plan(lost), brief(lost.target)]), *verdicts])


_EVIDENCE_BACK: tuple[Evidence, ...] = (*ALL_TRIED[:2], proven(), state(local_accounts=True))


def _plan(plan: ClusterPlan) -> list[str]:
    findings = [f"{one.rule} {one.severity.value}: {one.message} · do {one.remedy!r}" for one in plan.findings]
    head = f"{plan.cluster} {plan.disposition}, tier {plan.tier}, {plan.debt.value}: {plan.debt_because}"
    return [head, f"to {brief(plan.target)}", *(f"{step.kind} {brief(step)}" for step in plan.steps), *findings]


def test_golden_what_was_restored() -> None:
    world = WayBack(groups={}, old_credentials=OldCredentials(debt=Debt.OWED, because="so"))
    back = plan_rollback(MIGRATE, managed(local_accounts=False, ca=NEW_CA), world)
    shut = replace(
        back, before=replace(back.before, local_accounts=False), steps=(VerifyRestored(local_accounts=False),)
    )
    looked = Failure(at=NOW, error="TryLater", step=LOOKING, message="nobody answers", remedy="later")
    evidence: dict[str, tuple[Evidence, ...]] = {
        "nothing": (),
        "as planned": (*ALL_TRIED[:1], proven(), state(local_accounts=True)),
        "closed, and a member in": (*ALL_TRIED, proven(), state()),
        "another CA": (proven(ca="x"), state()),
        "not everything": (proven(everything=False), state()),
        "by nobody": (proven(by=""), state()),
        "all otherwise": (state(identity="none", azure_rbac=True, admin_group_ids=(OTHERS, ADMINS)),),
        "no group": (state(admin_group_ids=(), local_accounts=True, provisioning_state="Canceled"),),
        "failed": (state(local_accounts=True, provisioning_state="Failed"),),
        "twice not seen": (looked, replace(looked, message="again", remedy="never"), state(local_accounts=True)),
        "no remedy, then one": (replace(looked, remedy=""), looked, state(local_accounts=True)),
    }
    rbac = replace(back, before=replace(back.before, azure_rbac=True))
    approved(
        "restored",
        [
            (f"{title} · {which}", [brief(weigh_restored(plan, seen)), *_words(judge(plan, seen))])
            for title, seen in evidence.items()
            for which, plan in (("opened", back), ("stays closed", shut), ("by role", rbac))
        ],
    )


def test_golden_break_glass() -> None:
    whole = Opening(
        until="2026-11-24T10:00:00Z", since="2026-11-24T09:00:00Z", reason="INC-1", ticket="T", opener="dana"
    )
    least = Opening(until="soon", since="2026-11-24T09:00:00Z", reason="INC-1")
    opened = whole.evidence(at=NOW, changed=True, correlation_id="c-1")
    closed = LocalAccountsDisabled(at=NOW, changed=True)
    fails = [
        Failure(at=NOW, error=error, step="", message="no token", remedy=remedy)
        for error, remedy in (("Refused", "ask"), ("TryLater", ""), ("TryLater", "wait"))
    ]
    seen: list[tuple[Evidence, ...]] = [
        (),
        (opened,),
        (opened, closed),
        (opened, state()),
        (opened, state(local_accounts=True)),
        *((one,) for one in fails),
        *((opened, one) for one in fails),
        *((opened, closed, one) for one in fails),
    ]
    judged = [
        (f"{' '.join(one.kind for one in evidence) or 'nothing'}", _words(judge_opening(SHOP, opening, evidence)))
        for opening in (whole, least)
        for evidence in seen
    ]
    lost = [(f"gone, open {it}", _words(judge_gone(SHOP, whole, local_accounts=it))) for it in (True, False)]
    tags = [("AKS-Entra-Break-Glass-until", "u"), ("aks-entra-break-glass-Since", "s"), ("env", "prod")]
    read = [("tags, most of them missing", brief(opening_on(tags))), ("no tags", str(opening_on([("env", "prod")])))]
    report = report_of(SHOP, whole, judge_opening(SHOP, whole, (opened,)), ended_at="2026-11-24T11:00:00Z")
    kept = [report.name, report.plan_digest, report.started_at, report.ended_at, f"{len(report.verdicts)} verdict"]
    plain = [brief(opened), brief(least.evidence(at=NOW, changed=False)), str(whole.tags), str(least.tags)]
    approved("break-glass", [*judged, *lost, *read, ("the report", kept), ("on the cluster", plain)])


def test_golden_digests_of_yesterday_hold_today() -> None:
    stage = Stage(name="canary", groups=(MemberGroup(name="all", members=(SHOP,)),))
    plan = FleetPlan(name="prod", created_at=NOW, prover=Prover(object_id="p"), clusters=(MIGRATE,), stages=(stage,))
    skips = (Skip(rule="W127", reason="CHG-1"), Skip(rule="W110", reason="für alle"))
    verdict = judge(MIGRATE, WHOLE)
    report = FleetReport(name="prod", plan_digest="sha256:00", started_at=NOW, ended_at=NOW, verdicts=(verdict,))
    approved(
        "digests",
        [
            ("a plan", plan.digest),
            ("a plan that passes over rules", replace(plan, skip_rules=skips).digest),
            ("a report", report.digest),
            ("a report of a plan that passes over rules", replace(report, skip_rules=skips).digest),
        ],
    )


def test_golden_plans() -> None:
    befores = (
        posture(),
        posture(identity=Identity.LEGACY),
        managed(),
        CLOSED_BEFORE,
        managed(azure_rbac=True, ca=None),
    )
    targets = (
        target(),
        target(CREATE, azure_rbac=AzureRbac.ON, rotation=RotationPolicy.LATER),
        target(local_accounts=LocalAccounts.KEEP, azure_rbac=AzureRbac.OFF),
    )
    approved(
        "plans",
        [
            (f"{brief(Guarded.of(before))} · to · {brief(wanted)}", _plan(plan_cluster(before, wanted, facts())))
            for before in befores
            for wanted in targets
        ],
    )


def test_golden_how_a_stage_ends() -> None:
    stage = Stage(name="canary", groups=(MemberGroup(name="all", members=(SHOP,)),), max_allowed_failures=1)
    approved("stages", [(f"{failed} failed", stage_result(stage, failed)) for failed in (0, 1, 2)])


def test_golden_what_speaks_for_and_against() -> None:
    blocks = [
        (f"{said}", weigh(MIGRATE, evidence)) for evidence, _, said in cases(test_verdict.test_one_thing_otherwise)
    ]
    opened = LocalAccountsEnabled(at=NOW, changed=True)
    blocks.append(("opened and rotated", weigh(MIGRATE, (opened, ROTATED))))
    approved("weighed", blocks)


def test_golden_everything_that_is_said_of_a_cluster_of_which_nothing_is_known() -> None:
    unknown = Facts(tenant_id=facts().tenant_id, old_credentials=facts().old_credentials, now=NOW, locks=None)
    plan = plan_cluster(
        managed(pools=(test_preflight_rules.FLAT,)), target(), replace(unknown, missing_permissions=None)
    )
    approved("unknown", [(f"{one.rule} {one.severity.value}: {one.message}", _said(one)) for one in plan.findings])
