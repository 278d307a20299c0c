"""Stages without an approval begin only if a person typed `--without-gates`."""

from __future__ import annotations

import pytest

from aks_entra.cli.without_gates import require_typed, token_for
from aks_entra.core.planning.fleet import StageSpec
from aks_entra.core.planning.plan import plan_cluster
from aks_entra.core.planning.rollout import Soak
from aks_entra.errors import Refused
from flows.migrate_fleet import require_gates
from tests.support.cases import facts, managed, target
from tests.support.rollouts import fleet_of

GATED = StageSpec(name="canary", groups=())
OPEN = StageSpec(name="rest", groups=(), gate_before=False)


def test_the_option_must_be_typed() -> None:
    with pytest.raises(Refused, match="no approval is asked for before stage rest") as refused:
        require_typed((GATED, OPEN), None, typed=False)
    assert "--without-gates" in refused.value.remedy
    assert require_typed((GATED, OPEN), None, typed=True)
    assert not require_typed((GATED,), Soak(after=60), typed=False)
    with pytest.raises(Refused, match="the rotation after the soak"):
        require_typed((GATED,), Soak(after=60, gate=False), typed=False)


async def test_nothing_is_recorded_if_every_stage_has_its_gate(capsys: pytest.CaptureFixture[str]) -> None:
    plan = fleet_of(plan_cluster(managed(), target(), facts()))
    assert await token_for(plan, typed=False, approver=None, reason="lab") == ""
    assert await token_for(plan, typed=True, approver=None, reason="lab") == ""
    assert "--without-gates changes nothing" in capsys.readouterr().err


def test_a_deployment_refuses_a_fleet_without_gates() -> None:
    with pytest.raises(Refused, match="no approval is asked for before stage rest") as refused:
        require_gates((GATED, OPEN), None)
    assert "AKS_ENTRA_ALLOW_UNGATED=true" in refused.value.remedy
    require_gates((GATED,), None)
