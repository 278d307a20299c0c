"""Stages, and how they end."""

from __future__ import annotations

from aks_entra.core.planning.rollout import MemberGroup, Stage, stage_result
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
