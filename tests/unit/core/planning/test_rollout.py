"""Stages, and how they end."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.rollout import MemberGroup, Soak, Stage, needs_requester, stage_result
from tests.support.cases import SHOP
from tests.support.golden_files import approved


def test_a_stage_and_its_failures() -> None:
    stage = Stage(
        name="canary",
        groups=(MemberGroup(name="a", members=(SHOP,)), MemberGroup(name="b", members=())),
        max_allowed_failures=1,
    )
    assert stage.members == (SHOP,)
    assert stage_result(stage, 1).go_on
    over = stage_result(stage, 2)
    assert not over.go_on
    assert "2 failed, 1 allowed" in over.because


def test_golden_how_a_stage_ends() -> None:
    stage = Stage(name="canary", groups=(MemberGroup(name="all", members=(SHOP,)),), max_allowed_failures=1)
    approved("stages", [(f"{failed} failed", stage_result(stage, failed)) for failed in (0, 1, 2)])


def test_a_run_names_who_started_it_only_where_that_person_may_not_approve() -> None:
    someone = Approvers(tenant_id="t", client_id="c", groups=("g",))
    another = Gate(approvers=replace(someone, not_requester=True))
    plain = Stage(name="a", groups=(), gate_before=Gate(approvers=someone), gate_after=True)
    assert not needs_requester((plain,))
    assert not needs_requester((plain,), Soak(after=60, gate=False))
    assert needs_requester((plain, replace(plain, gate_before=another)))
    assert needs_requester((replace(plain, gate_after=another),))
    assert needs_requester((plain,), Soak(after=60, gate=another))
