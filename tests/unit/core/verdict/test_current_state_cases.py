"""A cluster beside its target when no plan was carried out: what is left to do is "not verified", never "failed"."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.core.cluster import Identity
from aks_entra.core.evidence.observations import (
    AdminCredentialRefused,
    Evidence,
    Moment,
    NodesSeen,
    SignInProven,
    StateSeen,
    by_group,
)
from aks_entra.core.evidence.rotation_debt import Debt
from aks_entra.core.target import GroupTarget
from aks_entra.core.verdict.current_state import judge_current_state
from aks_entra.core.verdict.verdict import Grade, Outcome
from tests.support.report_samples import ADMINS, AT, OLD_CA, planned, posture

NEW = GroupTarget(display_name="aks-new", unique_name="aks-new")
STATE = StateSeen(
    at=AT,
    identity="managed",
    local_accounts=False,
    admin_group_ids=(ADMINS,),
    azure_rbac=False,
    ca=OLD_CA,
    ca_not_before=AT,
)
CLOSED: tuple[Evidence, ...] = (
    SignInProven(at=AT, username="p", by=by_group(ADMINS), everything=True, moment=Moment.AFTER, ca=OLD_CA),
    NodesSeen(at=AT, ready=3, fewest=3, most=3),
    AdminCredentialRefused(at=AT, status=400, code="BadRequest", message="Getting static credential is not allowed"),
    STATE,
)
OPEN = (CLOSED[0], CLOSED[1], replace(STATE, local_accounts=True))


def test_a_cluster_that_is_as_it_should_be() -> None:
    plan = planned(posture("a", local_accounts=False), debt=Debt.NONE, because="rotated on 2026-03-02")

    verdict = judge_current_state(plan, CLOSED)

    assert (verdict.outcome, verdict.grade) == (Outcome.VERIFIED, Grade.BY_RECORD)


def test_what_went_wrong_on_a_finished_cluster_has_failed() -> None:
    plan = planned(posture("a", local_accounts=False), debt=Debt.NONE, because="rotated on 2026-03-02")

    verdict = judge_current_state(
        plan, (*CLOSED[:1], NodesSeen(at=AT, ready=1, fewest=3, most=3, missing=("x",)), *CLOSED[2:])
    )

    assert verdict.outcome is Outcome.FAILED


def test_open_accounts_are_left_to_do() -> None:
    verdict = judge_current_state(planned(posture("a")), OPEN)

    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert verdict.because[:2] == ("left to do: disable local accounts, rotate certificates", "local accounts are on")
    assert verdict.grade is None
    assert verdict.next == "plan and migrate: `aks-entra plan` shows the steps"
    assert verdict.evidence == OPEN


def test_without_entra_there_is_nothing_to_look_at() -> None:
    plan = planned(posture("a", identity=Identity.NONE), admin_groups=(NEW,))

    assert judge_current_state(plan, ()).because == (
        "left to do: create group aks-new, enable Microsoft Entra ID, disable local accounts, rotate certificates",
        "Microsoft Entra ID: none",
        "local accounts are on",
    )


def test_a_group_to_add_is_left_to_do() -> None:
    plan = planned(posture("a", local_accounts=False), debt=Debt.NONE, because="rotated", admin_groups=(NEW,))

    assert (
        judge_current_state(plan, CLOSED).because[0]
        == "left to do: create group aks-new, update admin groups or Azure RBAC"
    )


def test_a_cluster_that_is_refused_stays_refused() -> None:
    plan = planned(posture("a", identity=Identity.NONE, kubernetes_rbac=False))

    assert judge_current_state(plan, ()).outcome is Outcome.REFUSED
