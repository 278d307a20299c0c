"""How a cluster stands when nothing was carried out."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.core.evidence.observations import CertificatesRotated, CredentialTried, Workload
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.planning.plan import plan_cluster
from aks_entra.core.target import AzureRbac, RotationPolicy
from aks_entra.core.verdict.current_state import judge_current_state
from aks_entra.core.verdict.verdict import Outcome
from tests.support.cases import CREATE, NEW_CA, NOW, WHOLE, facts, managed, posture, target


def test_what_is_left_to_do_comes_first() -> None:
    verdict = judge_current_state(plan_cluster(posture(), target(CREATE), facts()), WHOLE)
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert verdict.because[0] == (
        "left to do: create group cluster-admins, enable Microsoft Entra ID, disable local accounts, "
        "rotate certificates"
    )
    assert verdict.grade is None
    changed = judge_current_state(plan_cluster(managed(), target(azure_rbac=AzureRbac.ON), facts()), WHOLE)
    assert changed.because[0].startswith("left to do: update admin groups or Azure RBAC")


def test_nothing_left_is_judged_like_any_other() -> None:
    gone = facts(old_credentials=OldCredentials(debt=Debt.NONE, because="rotated", through=NOW))
    plan = plan_cluster(managed(local_accounts=False, ca=NEW_CA), target(rotation=RotationPolicy.LATER), gone)
    seen = tuple(one for one in WHOLE if not isinstance(one, CertificatesRotated | CredentialTried))
    assert judge_current_state(plan, seen).outcome is Outcome.VERIFIED


def test_a_credential_that_outlived_its_ca_is_never_merely_left_to_do() -> None:
    alive = tuple(replace(one, status=200) if isinstance(one, CredentialTried) else one for one in WHOLE)
    assert judge_current_state(plan_cluster(posture(), target(CREATE), facts()), alive).outcome is Outcome.FAILED


def test_a_workload_says_what_it_is() -> None:
    assert Workload(kind="Deployment", namespace="pay", name="ledger", desired=1, available=1).label == (
        "Deployment pay/ledger"
    )
