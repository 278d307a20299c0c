"""A plan says if the approvers of its gates are too few to sign. Each group is read once for all clusters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.fleet import ONE_STAGE, GroupSpec, StageSpec
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.rollout import Soak
from aks_entra.errors import Refused
from aks_entra.planning.planner import plan_again
from tests.support.memory_fleets import fleet_world, planned
from tests.support.memory_model import TENANT, Group
from tests.support.memory_ports import World

SIGNERS, OTHERS = "00000000-0000-4000-8000-00000000aaaa", "00000000-0000-4000-8000-00000000bbbb"
TWO = Approvers(tenant_id=TENANT, client_id="app", groups=(SIGNERS, OTHERS), at_least=2)


def world_of(signers: set[str], others: set[str]) -> World:
    world = fleet_world()
    world.users |= {"dana": "dana", "olive": "olive"}
    world.groups[SIGNERS] = Group(id=SIGNERS, name="signers", members=signers)
    world.groups[OTHERS] = Group(id=OTHERS, name="others", members=others)
    return world


def staged(approvers: Approvers) -> tuple[StageSpec, ...]:
    return (replace(ONE_STAGE[0], gate_before=Gate(approvers=approvers)),)


def said(plan: FleetPlan) -> list[set[str]]:
    """Return what rule 166 says of each cluster."""
    return [{one.rule for one in cluster.findings if one.rule.endswith("66")} for cluster in plan.clusters]


@pytest.mark.parametrize(
    ("signers", "others", "approvers", "rules"),
    [
        ({"dana"}, {"olive"}, TWO, set()),
        ({"dana"}, {"olive"}, replace(TWO, not_requester=True), {"W166"}),
        ({"dana"}, {"dana"}, TWO, {"B066"}),
        ({"dana"}, set(), TWO, {"B066"}),
        ({"dana"}, set(), replace(TWO, at_least=0), set()),
        (set(), set(), replace(TWO, tenant_id="another"), {"U166"}),
    ],
)
async def test_a_person_counts_once_and_too_few_people_refuse_every_cluster_of_the_stage(
    signers: set[str], others: set[str], approvers: Approvers, rules: set[str]
) -> None:
    plan = await planned(world_of(signers, others), stages=staged(approvers))
    assert said(plan) == [rules] * 3
    assert {one.disposition for one in plan.clusters} == {"refused" if rules == {"B066"} else "migrate"}


async def test_each_group_is_read_once_for_a_plan_and_without_approvers_none_is() -> None:
    plain, signed = world_of({"dana"}, {"olive"}), world_of({"dana"}, {"olive"})
    await planned(plain)
    plan = await planned(signed, stages=staged(TWO))
    more = signed.calls.count("directory.group") - plain.calls.count("directory.group")
    assert (more, signed.calls.count("directory.members_of"), plain.calls.count("directory.members_of")) == (2, 2, 0)
    signed.groups[OTHERS].members.clear()
    again = await plan_again(signed.process().ports, plan, {one.cluster: ("it changed",) for one in plan.clusters}, ())
    assert said(again) == [{"B066"}] * 3, "a plan that is made again at a gate looks again"


async def test_what_the_directory_refuses_is_unknown() -> None:
    world = world_of({"dana"}, {"olive"})
    world.faults["directory.members_of"] = [Refused("no", status=403)] * 3
    plan = await planned(world, stages=staged(TWO))
    assert said(plan) == [{"U166"}] * 3
    message = next(one.message for one in plan.clusters[0].findings if one.rule == "U166")
    assert f"the members of signers ({SIGNERS}), others ({OTHERS}) could not be read" in message


async def test_the_gate_of_the_rotation_counts_for_all_and_the_gate_of_a_stage_for_its_own_clusters() -> None:
    lonely = replace(TWO, at_least=3)
    canary = StageSpec(
        name="canary",
        groups=(GroupSpec(name="canary", clusters=("shop-01",)),),
        gate_after=Gate(approvers=lonely),
    )
    world = world_of({"dana"}, {"olive"})
    assert said(await planned(world, stages=(canary, *ONE_STAGE))) == [{"B066"}, set(), set()]
    soak = Soak(after=60, gate=Gate(approvers=lonely))
    assert said(await planned(world, stages=ONE_STAGE, rotation=soak)) == [{"B066"}] * 3
