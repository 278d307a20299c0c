"""The parts of a fleet that others plan, and how they become one plan again."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.core.cluster import ClusterId
from aks_entra.core.hooks.model import EmitEvent
from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.fleet import ONE_STAGE, Fleet, GroupSpec, Selector, StageSpec, WantedTarget, arrange
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.parts import parts_of, put_together, with_provers
from aks_entra.core.planning.plan import Change
from aks_entra.core.planning.prover import Prover, ProverSpec
from aks_entra.core.planning.rollout import approvers_of, as_gate
from tests.support.cases import posture
from tests.support.rollouts import FIRST, SECOND, THIRD, fleet_of, plan_of

OWN, OTHER = ProverSpec(client_id="own", managed_identity=True), ProverSpec(client_id="other", managed_identity=True)


def group(name: str, cluster: ClusterId, *, work_queue: str = "", prover: ProverSpec | None = None) -> GroupSpec:
    return GroupSpec(name=name, clusters=(cluster.name,), work_queue=work_queue, prover=prover)


def fleet(*groups: GroupSpec) -> Fleet:
    stages = (StageSpec(name="canary", groups=groups[:1]), StageSpec(name="rest", groups=groups[1:]))
    return Fleet(name="prod", selectors=(Selector(subscription="s"),), target=WantedTarget(), prover=OWN, stages=stages)


POSTURES = tuple(replace(posture(), cluster=one) for one in (FIRST, SECOND, THIRD))


def test_clusters_of_this_queue_and_this_prover_are_in_no_part() -> None:
    plain = fleet(group("a", FIRST), group("b", SECOND, prover=OWN), group("c", THIRD))
    assert parts_of(plain, arrange(plain.stages, POSTURES)) == ()


def test_a_part_has_the_clusters_of_one_queue_and_one_prover_in_all_stages() -> None:
    split = fleet(
        group("a", FIRST, work_queue="north"),
        group("b", SECOND, work_queue="north", prover=OWN),
        group("c", THIRD, work_queue="north", prover=OTHER),
    )
    first, second = parts_of(split, arrange(split.stages, POSTURES))
    assert (first.work_queue, first.clusters, first.fleet.prover) == ("north", (FIRST, SECOND), OWN)
    assert (second.work_queue, second.clusters, second.fleet.prover) == ("north", (THIRD,), OTHER)
    (selector,) = second.fleet.selectors
    assert [selector.matches(one) for one in POSTURES] == [False, False, True]
    assert selector.subscription == THIRD.subscription_id
    assert second.fleet == replace(split, selectors=(selector,), stages=ONE_STAGE, prover=OTHER)


def test_another_prover_alone_makes_a_part_without_a_queue() -> None:
    split = fleet(group("a", FIRST, prover=OTHER), group("b", SECOND), group("c", THIRD))
    (part,) = parts_of(split, arrange(split.stages, POSTURES))
    assert (part.work_queue, part.clusters, part.fleet.prover) == ("", (FIRST,), OTHER)


def test_a_part_has_the_hooks_of_its_stage() -> None:
    split = fleet(
        group("a", FIRST, work_queue="north"), *(group(one.name, one, work_queue="north") for one in (SECOND, THIRD))
    )
    canary = replace(split.stages[0], after=(EmitEvent(event="contoso.canary"),))
    split = replace(split, after=(EmitEvent(event="contoso.all"),), stages=(canary, *split.stages[1:]))
    first, rest = parts_of(split, arrange(split.stages, POSTURES))
    assert (first.clusters, first.fleet.after) == ((FIRST,), (*split.after, *canary.after))
    assert (rest.clusters, rest.fleet.after) == ((SECOND, THIRD), split.after)


def test_a_part_has_the_approvers_of_its_stage_and_no_other_gate() -> None:
    split = fleet(*(group(one.name, one, work_queue="north") for one in (FIRST, SECOND, THIRD)))
    one, two = (Approvers(tenant_id="t", client_id="c", groups=(name,)) for name in ("one", "two"))
    canary = replace(split.stages[0], gate_before=Gate(approvers=one, wait=60), gate_after=Gate(approvers=two))
    split = replace(split, stages=(canary, *split.stages[1:]))
    first, rest = parts_of(split, arrange(split.stages, POSTURES))
    assert approvers_of(first.fleet.stages) == (one, two)
    assert as_gate(first.fleet.stages[0].gate_before) == Gate(approvers=one)
    assert rest.fleet.stages == ONE_STAGE


def test_a_large_part_is_cut() -> None:
    split = fleet(*(group(one.name, one, work_queue="north") for one in (FIRST, SECOND, THIRD)))
    found = parts_of(split, arrange(split.stages, POSTURES), largest=2)
    assert [part.clusters for part in found] == [(FIRST, SECOND), (THIRD,)]


def test_a_group_keeps_the_prover_that_planned_it() -> None:
    split = fleet(group("a", FIRST), group("b", SECOND, work_queue="north"), group("c", THIRD, work_queue="south"))
    here, north = Prover(object_id="here"), Prover(object_id="north")
    stages = with_provers(arrange(split.stages, POSTURES), {SECOND.key: north, THIRD.key: here}, here)
    assert [one.prover for stage in stages for one in stage.groups] == [None, north, None]


def test_what_the_parts_planned_again_becomes_one_plan() -> None:
    plan = fleet_of(*map(plan_of, (FIRST, SECOND, THIRD)))
    changed = [replace(plan_of(one), tier="Premium") for one in (FIRST, SECOND)]
    halves = [
        plan.planned_again((one,), (Change(cluster=str(one.cluster), differences=("tier",)),), at=at)
        for one, at in zip(changed, ("2026-11-24T09:00:00Z", "2026-11-24T08:30:00Z"), strict=True)
    ]
    whole = put_together(plan, tuple(halves))
    assert whole.clusters == (*changed, plan_of(THIRD))
    assert [one.cluster for one in whole.changes] == [str(FIRST), str(SECOND)]
    assert (whole.created_at, whole.replaces) == ("2026-11-24T09:00:00Z", plan.digest)
    assert put_together(plan, (halves[0],)) == halves[0]
