"""An admin group that differs from the approved plan makes nobody a cluster admin."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.planning.fleet import WantedGroup, WantedTarget
from aks_entra.core.target import RotationPolicy
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.execution.gate_recheck import changes
from aks_entra.planning.planner import plan_again
from tests.support.executor_jobs import CREATED, job_for, job_of, planned
from tests.support.memory_model import ADMINS, OTHERS, PROVER, Group, Happening
from tests.support.memory_ports import World

NEW_GROUP = WantedTarget(admin_groups=(CREATED,))


def stranger_made(world: World, **how: object) -> Group:
    made = Group(
        id="99999999-9999-9999-9999-999999999999",
        name="cluster-admins",
        unique_name="cluster-admins",
        **how,  # type: ignore[arg-type]  # a test's own table
    )
    world.groups[made.id] = made
    return made


STRANGERS: list[tuple[dict[str, object], str]] = [
    ({"members": {PROVER, "mallory"}}, "member mallory"),
    ({"members": {PROVER}, "owners": {"mallory"}}, "owner mallory"),
    ({"members": {"mallory"}, "owners": {"mallory"}}, "owner mallory; member mallory"),
    ({"members": {PROVER, OTHERS}, "owners": {PROVER}}, f"member {OTHERS}"),
]


@pytest.mark.parametrize(("how", "words"), STRANGERS)
async def test_a_group_that_a_stranger_made_meanwhile_is_not_taken(how: dict[str, object], words: str) -> None:
    world = World()
    cluster = world.add()
    plan = await planned(world, NEW_GROUP)
    stranger_made(world, **how)
    [differences] = (await changes(world.process().ports, plan.clusters, ())).values()
    assert differences == (f"admin group cluster-admins exists by now: {words}",)
    verdict = await world.process().executor.migrate(job_of(plan))
    assert verdict.outcome is Outcome.REFUSED
    assert words in verdict.because[0]
    assert cluster.identity is Identity.NONE
    assert world.writes == []


async def test_a_group_of_that_name_with_nobody_but_ours_is_our_own_from_an_earlier_attempt() -> None:
    world = World()
    world.add()
    plan = await planned(world, NEW_GROUP)
    made, _, _ = await world.process().ports.directory.ensure_group(plan.clusters[0].target.admin_groups[0], PROVER)
    assert await changes(world.process().ports, plan.clusters, ()) == {}
    verdict = await world.process().executor.migrate(job_of(plan))
    assert verdict.outcome is Outcome.VERIFIED
    assert made in world.groups


@pytest.mark.parametrize("call", ["owners", "members"])
async def test_a_group_whose_owners_or_members_cannot_be_read_is_not_taken_for_ours(call: str) -> None:
    world = World()
    world.add()
    plan = await planned(world, NEW_GROUP)
    stranger_made(world, members={PROVER}, owners={PROVER})
    process = world.process()
    reads = process.ports.directory.contents

    class Partly:
        async def contents(self, group_id: str) -> object:
            return replace(await reads(group_id), **{call: None})  # type: ignore[arg-type]  # a test's own table

        def __getattr__(self, name: str) -> object:
            return getattr(process.ports.directory, name)

    executor = type(process.executor)(replace(process.ports, directory=Partly()), process.watch, process.timeouts)  # type: ignore[arg-type]  # one answer differs
    verdict = await executor.migrate(job_of(plan))
    assert verdict.outcome is Outcome.REFUSED
    assert f"its {call} could not be read" in verdict.because[0]


async def test_a_stranger_who_comes_in_before_the_group_becomes_cluster_admin_stops_it() -> None:
    calls: list[str] = []
    for happens in (False, True):
        world = World()
        cluster = world.add()
        job = await job_for(world, NEW_GROUP)
        if happens:

            def joins(world: World = world) -> None:
                next(one for one in world.groups.values() if one.unique_name).owners.add("mallory")

            world.happenings[calls.index("arm.policies", calls.index("directory.ensure_group")) + 1] = Happening(
                event=joins
            )
        verdict = await world.process().executor.migrate(job)
        calls = world.calls
        assert cluster.identity is (Identity.NONE if happens else Identity.MANAGED)
        assert ("owner mallory" in verdict.because[0]) is happens


async def test_a_new_group_that_replicates_is_waited_for() -> None:
    world = World()
    world.add()
    plan = await planned(world, NEW_GROUP)
    stranger_made(world, members={PROVER}, owners={PROVER})
    process = world.process()
    reads, answers = process.ports.directory.contents, [False, True, True, True]

    class Late:
        async def contents(self, group_id: str) -> object:
            return replace(await reads(group_id), exists=answers.pop(0) if answers else True)

        def __getattr__(self, name: str) -> object:
            return getattr(process.ports.directory, name)

    executor = type(process.executor)(replace(process.ports, directory=Late()), process.watch, process.timeouts)  # type: ignore[arg-type]  # one answer differs
    assert (await executor.migrate(job_of(plan))).outcome is Outcome.VERIFIED


async def test_a_declared_group_must_be_as_the_plan_showed_it() -> None:
    world = World()
    world.add()
    world.groups[ADMINS].unique_name = "aks-admins"
    declared = WantedGroup(name="aks-admins", create=True, unique_name="aks-admins", members=("dana",))
    plan = await planned(world, WantedTarget(admin_groups=(declared,), rotation=RotationPolicy.LATER))
    assert "I150" in {one.rule for one in plan.clusters[0].findings}
    assert await changes(world.process().ports, plan.clusters, ()) == {}
    world.groups[ADMINS].members.add("mallory")
    [differences] = (await changes(world.process().ports, plan.clusters, ())).values()
    also = "also has 2 members that the fleet file does not declare: they stay"
    assert differences == (f"I150 admin group aks-admins {also}",)
    verdict = await world.process().executor.migrate(job_of(plan))
    assert verdict.outcome is Outcome.REFUSED
    assert world.writes == []


async def test_a_plan_that_was_made_again_shows_the_group_as_it_is_now_and_has_not_moved() -> None:
    world = World()
    world.add()
    plan = await planned(world, NEW_GROUP)
    made = stranger_made(world, members={PROVER, "mallory"}, owners={"mallory"})
    ports = world.process().ports
    fresh = await plan_again(ports, plan, await changes(ports, plan.clusters, ()), ())
    [group] = fresh.clusters[0].target.admin_groups
    assert group.id == made.id
    said = [one.message for one in fresh.clusters[0].findings if one.rule.endswith("150")]
    assert said
    assert await changes(world.process().ports, fresh.clusters, ()) == {}
