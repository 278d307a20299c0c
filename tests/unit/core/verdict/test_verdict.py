"""What evidence proves: by table, one thing missing or wrong at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.doors.model import Door, closed, opened
from aks_entra.core.evidence.observations import (
    BY_ROLE,
    LOOKING,
    AdminCredentialRefused,
    CertificatesRotated,
    ClusterCreated,
    Credential,
    CredentialTried,
    DoorsSeen,
    EntraSet,
    Evidence,
    Failure,
    GroupEnsured,
    GroupSeen,
    LocalAccountsEnabled,
    NodesSeen,
    SignInProven,
    StateSeen,
    WorkloadsSeen,
)
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.planning.plan import ClusterPlan, plan_cluster
from aks_entra.core.preflight.finding import says
from aks_entra.core.steps import VerifyRestored
from aks_entra.core.target import AzureRbac, GroupTarget, LocalAccounts
from aks_entra.core.verdict.assess import weigh
from aks_entra.core.verdict.verdict import Grade, Outcome, Reason, Verdict, judge, judge_created, stopped, unstarted
from tests.support.cases import (
    ADMINS,
    CREATE,
    LETTERS,
    NEW_CA,
    NOW,
    OLD_CA,
    OTHERS,
    REFUSED,
    ROTATED,
    SHOP,
    WHOLE,
    facts,
    managed,
    posture,
    proven,
    state,
    target,
    tried,
)
from tests.support.golden_files import approved, brief
from tests.support.golden_lines import verdict_lines
from tests.support.verdict_cases import (
    AFTER,
    BEFORE,
    CERTIFICATE,
    LOOKED,
    MIGRATE,
    ONE_THING,
    SECOND_GRADE,
    TOKEN,
    finished,
    without,
)


def test_everything_proven() -> None:
    verdict = judge(MIGRATE, WHOLE)
    assert verdict == Verdict(
        cluster=SHOP,
        outcome=Outcome.VERIFIED,
        because=(
            "admin credentials refused by Azure",
            "member signed in by admin group 44444444-4444-4444-4444-444444444444",
            "3 nodes Ready",
            "workloads as before",
            "CA 4be1… → 99d0…",
            "client certificate and static token from before: 401 each",
        ),
        grade=Grade.CREDENTIAL_REFUSED,
        evidence=WHOLE,
        old_credentials=OldCredentials(
            debt=Debt.NONE, because="rotated on 2026-11-24", since=NOW, ca=NEW_CA.fingerprint, through=NOW
        ),
    )
    assert verdict.sound


@pytest.mark.parametrize(
    ("evidence", "outcome", "said"),
    ONE_THING,
)
def test_one_thing_otherwise(evidence: tuple[Evidence, ...], outcome: Outcome, said: str) -> None:
    verdict = judge(MIGRATE, evidence)
    assert verdict.outcome is outcome
    assert said in verdict.because
    assert verdict.grade is None


def test_a_number_of_nodes_that_the_autoscaler_chose_is_said_with_its_bounds() -> None:
    verdict = judge(MIGRATE, without(NodesSeen, plus=(NodesSeen(at=NOW, ready=3, fewest=3, most=5),)))
    assert verdict.outcome is Outcome.VERIFIED
    assert "3 nodes Ready (the autoscaler keeps 3 to 5)" in verdict.because


def test_a_token_that_lives_on_is_said_with_what_to_do() -> None:
    verdict = judge(MIGRATE, (*WHOLE, tried(TOKEN, AFTER, 200)))
    assert verdict.next == "assume that the old credential works: rotate again, and open a ticket with Azure"
    assert not verdict.sound


@pytest.mark.parametrize(
    ("credentials", "said"),
    SECOND_GRADE,
)
def test_the_second_grade(credentials: tuple[CredentialTried, ...], said: str) -> None:
    verdict = judge(MIGRATE, without(CredentialTried, plus=credentials))
    assert verdict.outcome is Outcome.VERIFIED
    assert verdict.grade is Grade.CA_REPLACED
    assert said in verdict.because


@pytest.mark.parametrize(
    "credentials",
    [
        (tried(TOKEN, BEFORE, 200), tried(TOKEN, AFTER, 401)),  # all that the kubeconfig carried
        (  # the certificate had expired: what the rotation killed is the token
            tried(CERTIFICATE, BEFORE, 401),
            tried(CERTIFICATE, AFTER, 401),
            tried(TOKEN, BEFORE, 200),
            tried(TOKEN, AFTER, 401),
        ),
        tuple(tried(credential, AFTER, 401, issued_under=OLD_CA.fingerprint) for credential in Credential),
    ],
)
def test_the_first_grade(credentials: tuple[CredentialTried, ...]) -> None:
    """Seen working before, or handed in afterwards and signed by the CA that was replaced."""
    verdict = judge(MIGRATE, without(CredentialTried, plus=credentials))
    assert verdict.grade is Grade.CREDENTIAL_REFUSED


def test_nothing_to_do_and_dead_by_our_own_record() -> None:
    verdict = judge(finished(Debt.NONE), LOOKED)
    assert verdict.outcome is Outcome.VERIFIED
    assert verdict.grade is Grade.BY_RECORD
    assert "old credentials dead: rotated on 2026-03-02" in verdict.because


@pytest.mark.parametrize(
    ("debt", "said"),
    [
        (Debt.OWED, "rotation owed: credentials from before still work"),
        (Debt.UNKNOWN, "rotation owed, as far as is known: rotated on 2026-03-02"),
    ],
)
def test_what_is_owed_is_not_verified(debt: Debt, said: str) -> None:
    verdict = judge(finished(debt), LOOKED)
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert said in verdict.because
    assert "rotation: at-once" in verdict.next
    assert verdict.sound


def test_an_old_credential_that_works_where_rotation_is_owed() -> None:
    verdict = judge(finished(Debt.OWED), (*LOOKED, tried(TOKEN, BEFORE, 200)))
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert "the static token from before still works" in verdict.because


def test_local_accounts_that_are_kept() -> None:
    plan = plan_cluster(managed(), target(local_accounts=LocalAccounts.KEEP), facts())
    verdict = judge(plan, without(CertificatesRotated, CredentialTried, AdminCredentialRefused))
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert "local accounts are kept on: old credentials work" in verdict.because
    assert not any("refus" in text for text in verdict.because)


def test_by_role_where_azure_rbac_is_on() -> None:
    plan = plan_cluster(managed(azure_rbac=True), target(), facts())
    evidence = without(SignInProven, StateSeen, plus=(proven(by=BY_ROLE), state(azure_rbac=True)))
    assert judge(plan, evidence).outcome is Outcome.VERIFIED


@pytest.mark.parametrize("named", [True, False])
def test_a_group_that_was_created_is_expected_under_its_id(*, named: bool) -> None:
    plan = plan_cluster(posture(), target(CREATE), facts())
    ensured = GroupEnsured(at=NOW, group_id=OTHERS, display_name="", unique_name="cluster-admins", created=True)
    verdict = judge(plan, (ensured, *WHOLE) if named else WHOLE)
    missing = f"admin group {OTHERS} is not set"
    assert (missing in verdict.because) is named


@pytest.mark.parametrize(
    ("error", "written", "outcome"),
    [
        ("Refused", False, Outcome.REFUSED),
        ("Refused", True, Outcome.FAILED),
        ("Diverged", False, Outcome.FAILED),
        ("ZeroDivisionError", False, Outcome.FAILED),
    ],
)
def test_a_failure_decides(error: str, outcome: Outcome, *, written: bool) -> None:
    entra = EntraSet(at=NOW, changed=written, admin_group_ids=(), tenant_id="", azure_rbac=False)
    failure = Failure(at=NOW, error=error, step="rotate-certificates", message="it stopped", remedy="run again")
    verdict = judge(MIGRATE, (entra, failure))
    assert verdict.outcome is outcome
    assert verdict.because == ("at rotate-certificates: it stopped",)
    assert verdict.next == "run again"


def test_a_failure_does_not_hide_a_credential_that_lives_on() -> None:
    failure = Failure(at=NOW, error="Diverged", step="", message="it stopped", remedy="run again")
    verdict = judge(MIGRATE, (ROTATED, tried(TOKEN, AFTER, 200), failure))
    assert verdict.because == ("it stopped", "the static token from before still gets 200 after rotation")
    assert verdict.next.startswith("assume that the old credential works")


@pytest.mark.parametrize(
    ("plan", "outcome"),
    [
        (plan_cluster(posture(kubernetes_rbac=False), target(), facts()), Outcome.REFUSED),
        (plan_cluster(managed(power_state="Stopped"), target(), facts()), Outcome.SKIPPED),
    ],
)
def test_held_back_whatever_was_seen(plan: ClusterPlan, outcome: Outcome) -> None:
    verdict = judge(plan, WHOLE)
    assert verdict.outcome is outcome
    assert verdict.because[0].startswith("B0")
    assert verdict.next
    assert verdict.evidence == WHOLE
    assert unstarted(plan) == replace(verdict, evidence=())


def test_nothing_holds_back_what_may_go() -> None:
    assert unstarted(MIGRATE) is None


@pytest.mark.parametrize(
    ("made", "outcome", "said"),
    [
        (ClusterCreated(at=NOW, changed=True), Outcome.VERIFIED, "created with local accounts off on 2026-11-24"),
        (ClusterCreated(at=NOW, changed=False), Outcome.NOT_VERIFIED, "it existed already"),
        (None, Outcome.NOT_VERIFIED, "its creation was not seen"),
    ],
)
def test_a_created_cluster(made: ClusterCreated | None, outcome: Outcome, said: str) -> None:
    ensured = GroupEnsured(at=NOW, group_id=OTHERS, display_name="", unique_name="cluster-admins", created=True)
    groups = (*target().admin_groups, CREATE)
    seen = (ensured, *without(CertificatesRotated, CredentialTried, WorkloadsSeen, StateSeen))
    both = state(admin_group_ids=(*state().admin_group_ids, OTHERS))
    evidence = (*((made,) if made else ()), *seen, both)
    verdict = judge_created(SHOP, target(*groups), evidence)
    assert verdict.outcome is outcome
    assert any(said in text for text in verdict.because)


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


def test_golden_verdicts() -> None:
    tables = [
        *((f"{said}", evidence) for evidence, _, said in ONE_THING),
        *((said, without(CredentialTried, plus=tried)) for tried, said in SECOND_GRADE),
        *(("first grade", without(CredentialTried, plus=one)) for (one,) in _single(test_the_first_grade)),
    ]
    judged = [(title, verdict_lines(judge(MIGRATE, evidence))) for title, evidence in (("all is well", WHOLE), *tables)]
    debts = [(f"finished, {debt.value}", verdict_lines(judge(finished(debt), LOOKED))) for debt in Debt]
    kept = plan_cluster(managed(), target(local_accounts=LocalAccounts.KEEP), facts())
    failures = [
        Failure(at=NOW, error=error, step=step, message="it stopped", remedy=remedy)
        for error, step, remedy in (("Refused", "enable-entra", "say please"), ("Diverged", "", ""))
    ]
    more = [
        ("accounts are kept", verdict_lines(judge(kept, without(CredentialTried)))),
        *((f"a failure: {one.error}", verdict_lines(judge(MIGRATE, (one,)))) for one in failures),
        *((f"a late failure: {one.error}", verdict_lines(judge(MIGRATE, (*WHOLE, one)))) for one in failures),
        *((f"not begun: {brief(one.before)}", verdict_lines(unstarted(one))) for one in _HELD),
        *((title, verdict_lines(judge(MIGRATE, (*WHOLE, *seen)))) for title, seen in _GROUPS_SEEN.items()),
        ("stopped before its turn", verdict_lines(stopped(MIGRATE, (), None))),
        ("stopped, nothing to do", verdict_lines(stopped(MIGRATE, WHOLE, None))),
        *((f"stopped at {step.kind}", verdict_lines(stopped(MIGRATE, (), step))) for step in MIGRATE.steps),
        *(
            (f"stopped at {step.kind}, with evidence", verdict_lines(stopped(MIGRATE, WHOLE, step)))
            for step in MIGRATE.steps
        ),
    ]
    approved("verdicts", [*judged, *debts, *more])


@pytest.mark.parametrize(
    ("doors", "outcome", "because"),
    [
        ((closed("node-ssh", "a: Disabled"),), Outcome.VERIFIED, "other ways in: not looked at: "),
        ((opened("node-ssh", "a: everyone", remedy="turn it off"),), Outcome.FAILED, "must be closed, and is open: a:"),
        ((), Outcome.NOT_VERIFIED, "SSH to nodes as a local user (node-ssh) must be closed, and is not looked at"),
        (None, Outcome.NOT_VERIFIED, "SSH to nodes as a local user (node-ssh) must be closed, and is not looked at"),
    ],
)
def test_only_a_proof_closes_a_door_that_the_target_wants_closed(
    doors: tuple[Door, ...] | None, outcome: Outcome, because: str
) -> None:
    seen = () if doors is None else (DoorsSeen(at=NOW, doors=doors),)
    wanted = plan_cluster(managed(), target(doors=("node-ssh",)), facts())
    verdict = judge(wanted, (*WHOLE, *seen))
    assert verdict.outcome is outcome, verdict.because
    assert any(because in one for one in verdict.because), verdict.because
    assert judge(MIGRATE, (*WHOLE, *seen)).outcome is Outcome.VERIFIED  # its target says nothing about doors
    if outcome is Outcome.FAILED:
        assert verdict.next == "turn it off"


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
        (f"{title} · {brief(wanted)}", verdict_lines(judge_created(SHOP, wanted, (*((one,) if one else ()), *seen))))
        for title, one in made.items()
        for wanted in targets
    ]
    ensured = GroupEnsured(at=NOW, group_id=OTHERS, display_name="", unique_name="cluster-admins", created=True)
    for there in ((ADMINS,), (ADMINS, OTHERS)):
        evidence = (*without(CredentialTried, StateSeen), ensured, state(admin_group_ids=there))
        verdicts.append(
            (f"its own group, ARM shows {there}", verdict_lines(judge_created(SHOP, target(CREATE), evidence)))
        )
    approved("created", verdicts)


def test_golden_what_speaks_for_and_against() -> None:
    blocks = [(f"{said}", weigh(MIGRATE, evidence)) for evidence, _, said in ONE_THING]
    opened = LocalAccountsEnabled(at=NOW, changed=True)
    blocks.append(("opened and rotated", weigh(MIGRATE, (opened, ROTATED))))
    approved("weighed", blocks)


def test_a_stopped_way_says_where_it_stands() -> None:
    plan = plan_cluster(managed(), target(), facts())
    said = {step.kind: stopped(plan, (), step).because[0] for step in plan.steps}
    assert said["prove-sign-in"] == "stopped at prove-sign-in: nothing was written"
    assert "continues in Azure" in said["disable-local-accounts"]
    assert "continues in Azure" in said["rotate-certificates"]
    assert said["verify-outcome"] == "stopped at verify-outcome: nothing was written"
    assert (stopped(plan, (), None).outcome, stopped(plan, (), None).reason_code) == (Outcome.SKIPPED, Reason.STOPPED)
    assert stopped(plan, (), None, None).outcome is Outcome.NOT_VERIFIED  # it is not known what was written
    assert stopped(plan, (REFUSED,), VerifyRestored(local_accounts=True)).because[0].endswith("nothing was written")
    assert "--resume" in stopped(plan, (), plan.steps[0]).next
