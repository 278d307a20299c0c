"""Which clusters one batch may have, and how people see work queues and provers of groups."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.prover import Prover
from aks_entra.core.planning.rollout import MemberGroup
from aks_entra.errors import Refused
from aks_entra.report.plan_view import limits, view_of
from flows.migrate_batch import the_prover
from tests.support.rollouts import FIRST, SECOND, THIRD, fleet_of, plan_of

OTHER = Prover(object_id="other")


def split() -> FleetPlan:
    plan = fleet_of(*map(plan_of, (FIRST, SECOND, THIRD)))
    groups = (
        MemberGroup(name="north", members=(FIRST,), work_queue="spoke-north"),
        MemberGroup(name="south", members=(SECOND, THIRD), work_queue="spoke-south", prover=OTHER),
    )
    return replace(plan, stages=(replace(plan.stages[0], groups=groups),))


def test_a_batch_has_one_work_queue_and_one_prover() -> None:
    plan = split()
    assert the_prover(plan, (FIRST,)) == plan.prover
    assert the_prover(plan, (THIRD, SECOND)) == OTHER
    for clusters in ((FIRST, SECOND), ()):
        with pytest.raises(Refused, match="groups with different work queues or provers"):
            the_prover(plan, clusters)


def test_a_plan_shows_work_queues_and_every_prover() -> None:
    plan = split()
    assert limits(plan.stages[0]) == ["on work queue spoke-north and spoke-south"]
    view = view_of(plan)
    assert view.prover == "p, other"
    assert "on work queue spoke-north and spoke-south" in view.stages[0].rules
