"""What evidence proves: by table, one thing missing or wrong at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.debt import Debt, OldCredentials
from aks_entra.core.evidence import (
    BY_ROLE,
    LOOKING,
    AdminCredentialRefused,
    CertificatesRotated,
    ClusterCreated,
    Credential,
    CredentialTried,
    EntraSet,
    Evidence,
    Failure,
    GroupEnsured,
    Moment,
    NodesSeen,
    SignInProven,
    StateSeen,
    WorkloadsSeen,
)
from aks_entra.core.plan import ClusterPlan, plan_cluster
from aks_entra.core.target import LocalAccounts, RotationPolicy
from aks_entra.core.verdict import Grade, Outcome, Verdict, judge, judge_created, unstarted
from tests.unit.cases import (
    CREATE,
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

MIGRATE = plan_cluster(managed(), target(), facts())
CERTIFICATE, TOKEN = Credential
BEFORE, AFTER = Moment


def without(*kinds: type, plus: tuple[Evidence, ...] = ()) -> tuple[Evidence, ...]:
    """The whole evidence without some, and with others instead."""
    return (*(one for one in WHOLE if not isinstance(one, kinds)), *plus)


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
    )
    assert verdict.sound


@pytest.mark.parametrize(
    ("evidence", "outcome", "said"),
    [
        (without(StateSeen), Outcome.NOT_VERIFIED, "the final state was not read"),
        (without(StateSeen, plus=(state(identity="legacy"),)), Outcome.FAILED, "Microsoft Entra ID is legacy"),
        (without(StateSeen, plus=(state(local_accounts=True),)), Outcome.FAILED, "local accounts are on"),
        (
            without(StateSeen, plus=(state(azure_rbac=True),)),
            Outcome.FAILED,
            "Azure RBAC for Kubernetes is on",
        ),
        (
            without(
                StateSeen, SignInProven, plus=(state(admin_group_ids=(OTHERS,)), proven(by=f"admin group {OTHERS}"))
            ),
            Outcome.FAILED,
            "admin group 44444444-4444-4444-4444-444444444444 is not set",
        ),
        (
            without(StateSeen, plus=(state(provisioning_state="Failed"),)),
            Outcome.FAILED,
            "the cluster's last operation ended Failed",
        ),
        (
            without(StateSeen, plus=(state(provisioning_state="Upgrading"),)),
            Outcome.NOT_VERIFIED,
            "another operation is running (Upgrading)",
        ),
        (
            without(StateSeen, plus=(state(ca="77aa" * 16),)),
            Outcome.NOT_VERIFIED,
            "the CA was replaced once more: 77aa… serves now",
        ),
        (without(AdminCredentialRefused), Outcome.NOT_VERIFIED, "Azure's refusal of admin credentials was not seen"),
        (
            without(AdminCredentialRefused, plus=(replace(REFUSED, status=403),)),
            Outcome.NOT_VERIFIED,
            "Azure's refusal of admin credentials was not seen",
        ),
        (without(SignInProven), Outcome.NOT_VERIFIED, "no member signed in"),
        (without(SignInProven, plus=(proven(moment=BEFORE),)), Outcome.NOT_VERIFIED, "no member signed in"),
        (
            without(SignInProven, plus=(proven(everything=False),)),
            Outcome.FAILED,
            "33333333-3333-3333-3333-333333333333 signed in, but is not allowed everything",
        ),
        (
            without(SignInProven, plus=(proven(by=""),)),
            Outcome.NOT_VERIFIED,
            "33333333-3333-3333-3333-333333333333 signed in, but not as a member of an admin group",
        ),
        (
            without(SignInProven, plus=(proven(by=BY_ROLE),)),  # Azure RBAC is off
            Outcome.NOT_VERIFIED,
            "33333333-3333-3333-3333-333333333333 signed in, but not as a member of an admin group",
        ),
        (
            without(SignInProven, plus=(proven(ca=OLD_CA.fingerprint),)),
            Outcome.NOT_VERIFIED,
            "no member signed in under the CA that serves now",
        ),
        (without(NodesSeen), Outcome.NOT_VERIFIED, "nodes were not seen"),
        (
            without(NodesSeen, plus=(NodesSeen(at=NOW, ready=2, fewest=3, most=3, missing=("aks-1",)),)),
            Outcome.FAILED,
            "2 nodes Ready, 3 expected: aks-1",
        ),
        (
            without(NodesSeen, plus=(NodesSeen(at=NOW, ready=9, fewest=3, most=5, missing=("pool a: 9 Ready",)),)),
            Outcome.FAILED,
            "9 nodes Ready, 3 to 5 expected: pool a: 9 Ready",
        ),
        (without(WorkloadsSeen), Outcome.NOT_VERIFIED, "workloads were not compared with a baseline"),
        (
            without(WorkloadsSeen, plus=(WorkloadsSeen(at=NOW, compared=1, worse=("Deployment pay/ledger",)),)),
            Outcome.FAILED,
            "less available than before: Deployment pay/ledger",
        ),
        (
            without(CertificatesRotated),
            Outcome.NOT_VERIFIED,
            "the rotation was not seen to its end: credentials from before may still work",
        ),
        (
            (*WHOLE, Failure(at=NOW, error="TryLater", step=LOOKING, message="nobody answers", remedy="try later")),
            Outcome.NOT_VERIFIED,
            "nobody answers",
        ),
        (
            (*WHOLE, tried(TOKEN, AFTER, 200)),
            Outcome.FAILED,
            "the static token from before still gets 200 after rotation",
        ),
        (
            (*WHOLE, tried(TOKEN, AFTER, 403)),
            Outcome.FAILED,
            "the static token from before still gets 403 after rotation",
        ),
        (
            (*WHOLE, tried(TOKEN, AFTER, None)),
            Outcome.NOT_VERIFIED,
            "the static token from before got no answer after rotation",
        ),
        (
            (*WHOLE, tried(TOKEN, AFTER, 503)),
            Outcome.NOT_VERIFIED,
            "the static token from before got no answer after rotation",
        ),
        (
            (*WHOLE, tried(CERTIFICATE, AFTER, 429)),
            Outcome.NOT_VERIFIED,
            "the client certificate from before got no answer after rotation",
        ),
    ],
)
def test_one_thing_otherwise(evidence: tuple[Evidence, ...], outcome: Outcome, said: str) -> None:
    verdict = judge(MIGRATE, evidence)
    assert verdict.outcome is outcome
    assert said in verdict.because
    assert verdict.grade is None


def test_a_token_that_lives_on_is_said_with_what_to_do() -> None:
    verdict = judge(MIGRATE, (*WHOLE, tried(TOKEN, AFTER, 200)))
    assert verdict.next == "treat the old credential as live: rotate again, and open a ticket with Azure"
    assert not verdict.sound


@pytest.mark.parametrize(
    ("credentials", "said"),
    [
        ((), "grade 2: no old credential was at hand to try"),
        (
            (tried(CERTIFICATE, BEFORE, 200), tried(TOKEN, BEFORE, 200)),
            "grade 2: the client certificate was not at hand any more after rotation",
        ),
        (
            (tried(CERTIFICATE, BEFORE, 401), tried(CERTIFICATE, AFTER, 401)),
            "client certificate: refused before the rotation already (expired?), and after it",
        ),
        ((tried(TOKEN, BEFORE, None), tried(TOKEN, AFTER, None)), "grade 2: the static token could not be tried"),
        (
            (tried(TOKEN, AFTER, 401, issued_under="77aa" * 16),),  # a kubeconfig of another cluster
            "grade 2: the static token is refused, but was not seen to work before",
        ),
    ],
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


def finished(debt: Debt) -> ClusterPlan:
    old = OldCredentials(debt=debt, because="rotated on 2026-03-02")
    later = target(rotation=RotationPolicy.LATER)
    return plan_cluster(managed(local_accounts=False, ca=NEW_CA), later, facts(old_credentials=old))


LOOKED = without(CertificatesRotated, CredentialTried, WorkloadsSeen)


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
    assert "local accounts are kept on: old credentials live" in verdict.because
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
    assert verdict.next.startswith("treat the old credential as live")


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
        (ClusterCreated(at=NOW, changed=False), Outcome.NOT_VERIFIED, "it was there already"),
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
