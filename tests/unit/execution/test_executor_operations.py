"""What the executor does about ARM's operations: of others, refused, lost, without effect."""

from __future__ import annotations

import asyncio

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.planning.fleet import WantedTarget
from aks_entra.core.verdict.verdict import Grade, Outcome
from aks_entra.errors import TryLater
from tests.support.executor_jobs import CREATED, job_for, job_of, planned
from tests.support.memory_model import ROTATION, UPDATE
from tests.support.memory_ports import World


async def test_an_operation_of_somebody_else_is_waited_for() -> None:
    world = World()
    cluster = world.add()
    job = await job_for(world)
    world.start(cluster, "Scaling", 400)

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    assert world.writes[0] == "shop-01 Scaling"


async def test_a_conflict_is_waited_out_and_the_write_not_lost() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    job = await job_for(world)
    conflict = TryLater("another operation is in progress", code="OperationNotAllowed", status=409)
    world.faults["arm.set_local_accounts"] = [conflict]
    world.faults["arm.rotate_certificates"] = [TryLater("busy", code="OperationNotAllowed", status=409)]

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    assert verdict.grade is Grade.CREDENTIAL_REFUSED
    assert cluster.rotations == 1
    assert world.consumed()


async def test_a_lost_operation_url_is_no_loss() -> None:
    world = World()
    cluster = world.add()
    job = await job_for(world)
    world.faults["url lost"] = [TryLater("for the first write")]
    world.lost_urls = True

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    assert cluster.rotations == 1


@pytest.mark.parametrize("ends", ["Failed", "Canceled"])
async def test_a_rotation_that_ended_badly_is_said_and_repeated_by_the_next_run(ends: str) -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    job = await job_for(world)
    world.ends["RotatingClusterCertificates"] = [ends]

    verdict = await world.process().executor.migrate(job)
    assert verdict.outcome is Outcome.FAILED
    assert f"the operation ended {ends}" in verdict.because[0]
    assert "run the plan again" in verdict.next
    assert cluster.rotations == 1
    assert world.consumed()

    cluster.state = "Succeeded" if ends == "Canceled" else ends
    verdict = await world.process().executor.migrate(job)
    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    assert verdict.grade is Grade.CA_REPLACED  # accounts were off by then: nothing could be held
    assert cluster.rotations == 2


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("enable_entra", "ARM shows a difference: Microsoft Entra ID: expected managed, found none"),
        ("set_local_accounts", "the update ended well, but: local accounts are on"),
        ("rotate_certificates", "the rotation ended well, but: the CA is the one from before"),
    ],
)
async def test_an_operation_that_ends_well_without_effect_diverges(operation: str, said: str) -> None:
    world = World()
    world.add()
    job = await job_for(world)
    world.without_effect = {operation}

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.FAILED
    assert said in verdict.because[0]


async def test_clusters_side_by_side_share_a_group_and_the_lists() -> None:
    world = World()
    for number in range(8):
        world.add(f"shop-{number}", fqdn=f"{number}.azmk8s.io")
    plan = await planned(world, WantedTarget(admin_groups=(CREATED,)))
    process = world.process()
    world.calls.clear()

    verdicts = await asyncio.gather(
        *(process.executor.migrate(job_of(plan, index)) for index in range(len(plan.clusters)))
    )

    assert {verdict.outcome for verdict in verdicts} == {Outcome.VERIFIED}
    assert {verdict.grade for verdict in verdicts} == {Grade.CREDENTIAL_REFUSED}
    assert world.writes.count("group cluster-admins") == 1
    assert len(world.writes) == 1 + 3 * 8
    assert world.calls.count("arm.list_clusters") < 3 * (ROTATION + 2 * UPDATE) / 30
    assert not process.vault.held
