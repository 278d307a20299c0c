"""A coordinator refuses a plan that its batches would refuse for the approvers, before anybody signs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.rollout import Soak
from aks_entra.errors import Refused
from aks_entra.prefect_client.batch_permission import require_accepted
from tests.support.rollouts import FIRST, SECOND, plan_of, rollout, stage
from tests.support.signed_approvals import APPROVING, CLIENT, GATE, TENANT

OURS = frozenset({f"{TENANT}/{CLIENT}/{APPROVING}"})
THEIRS = frozenset({f"{TENANT}/{CLIENT}/other"})
CANARY, REST = stage("canary", FIRST, gate_before=GATE), stage("rest", SECOND)


def test_a_later_stage_that_the_workers_would_refuse_is_refused_before_the_first_is_asked_for() -> None:
    with pytest.raises(Refused, match=r"stage rest of plan .* this worker begins nothing that its approvers did not"):
        require_accepted(rollout(CANARY, REST), OURS)
    with pytest.raises(Refused, match=rf"stage canary of plan .* does not accept the approvers .*{APPROVING}"):
        require_accepted(rollout(CANARY, REST), THEIRS)


def test_what_the_workers_accept_and_what_writes_nothing_may_begin() -> None:
    require_accepted(rollout(CANARY, REST), frozenset())
    require_accepted(rollout(CANARY, replace(REST, gate_before=GATE)), OURS)
    require_accepted(rollout(CANARY, REST, plans=(plan_of(FIRST), replace(plan_of(SECOND), steps=()))), OURS)
    require_accepted(rollout(CANARY, REST, plans=(plan_of(FIRST), replace(plan_of(SECOND), stopped=True))), OURS)


def test_the_gate_of_a_rotation_that_follows_has_to_name_them_too() -> None:
    plan = replace(plan_of(FIRST), rotation_planned="a week later")
    later = rollout(CANARY, plans=(plan,), rotation=Soak(after=60, gate=Gate()))
    with pytest.raises(Refused, match="stage canary"):
        require_accepted(later, OURS)
    require_accepted(replace(later, rotation=Soak(after=60, gate=GATE)), OURS)
    require_accepted(replace(later, clusters=(replace(plan, rotation_planned=""),)), OURS)
