"""Looking again: what is seen, what is missing, and that nothing is ever written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.cluster import Identity, Pool
from aks_entra.core.evidence.observations import (
    LOOKING,
    AuthoritySeen,
    CredentialTried,
    Evidence,
    Failure,
    Moment,
    TokenHeld,
)
from aks_entra.core.evidence.sightings import records_in
from aks_entra.core.planning.job import Job
from aks_entra.core.target import RotationPolicy
from aks_entra.core.verdict.verdict import Grade, Outcome, judge
from aks_entra.errors import Rejected, TryLater
from aks_entra.ports.migration import HeldCredential
from aks_entra.verification.verifier import verify
from tests.support.executor_jobs import job_for
from tests.support.memory_model import ADMINS, Cluster
from tests.support.memory_ports import Process, World


async def migrated(world: World) -> Job:
    job = await job_for(world)
    verdict = await world.process().executor.migrate(job)
    assert verdict.outcome is Outcome.VERIFIED
    world.writes.clear()
    world.records = records_in(job.plan.cluster.key, verdict.evidence, "report")
    return job


async def look(process: Process, job: Job, held: HeldCredential | None = None) -> tuple[Evidence, ...]:
    return await verify(process.ports, process.timeouts, job, held=held)


async def test_a_migrated_cluster_is_verified_again() -> None:
    world = World()
    world.add()
    job = await migrated(world)

    verdict = judge(job.plan, await look(world.process(), job), world.records)

    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    assert verdict.grade is Grade.CA_REPLACED
    assert "workloads as before" in verdict.because
    assert world.writes == []


async def test_an_old_kubeconfig_makes_it_the_first_grade() -> None:
    world = World()
    cluster = world.add()
    job = await migrated(world)
    process = world.process()
    held = process.ports.vault.hand_in(cluster.id, "generation 0")

    verdict = judge(job.plan, await look(process, job, held), world.records)

    assert verdict.grade is Grade.CREDENTIAL_REFUSED
    assert {one.ca for one in verdict.evidence if isinstance(one, TokenHeld)} == {held.ca.fingerprint}
    assert cluster.ca.fingerprint in {one.ca for one in verdict.evidence if isinstance(one, AuthoritySeen)}


async def test_an_old_kubeconfig_that_works_is_the_loudest_failure() -> None:
    world = World()
    cluster = world.add()
    job = await migrated(world)
    cluster.token_outlives = True
    process = world.process()
    held = process.ports.vault.hand_in(cluster.id, "generation 0")

    verdict = judge(job.plan, await look(process, job, held), world.records)

    assert verdict.outcome is Outcome.FAILED
    assert "the static token from before still gets 200 after rotation" in verdict.because


async def test_a_cluster_that_was_not_migrated() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    job = await job_for(world)
    process = world.process()
    held = process.ports.vault.hand_in(cluster.id, "generation 0")

    evidence = await look(process, job, held)

    verdict = judge(job.plan, evidence)
    assert verdict.outcome is Outcome.FAILED
    assert "local accounts are on" in verdict.because
    assert {one.moment for one in evidence if isinstance(one, CredentialTried)} == {Moment.BEFORE}
    assert "arm.hold_admin_credential" not in world.calls  # it would have fetched one
    assert world.writes == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("arm.cluster", "broken"),
        ("kubernetes.sign_in", "broken"),
        ("kubernetes.nodes", "broken"),
        ("kubernetes.workloads", "broken"),
        ("journal.baseline", "broken"),
    ],
)
async def test_what_cannot_be_seen_hides_nothing_else(fault: str, said: str) -> None:
    world = World()
    world.add()
    job = await migrated(world)
    world.faults[fault] = [Rejected(said, status=400)]

    evidence = await look(world.process(), job)

    verdict = judge(job.plan, evidence)
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert said in verdict.because
    failures = [one for one in evidence if isinstance(one, Failure)]
    assert [one.step for one in failures] == [LOOKING]
    assert world.consumed()


async def test_an_unexpected_error_is_reported_too() -> None:
    world = World()
    world.add()
    job = await migrated(world)
    world.faults["kubernetes.nodes"] = [ZeroDivisionError("by accident")]
    verdict = judge(job.plan, await look(world.process(), job), world.records)
    assert any("unexpected error: ZeroDivisionError" in text for text in verdict.because)


async def test_an_api_server_that_does_not_answer_is_given_a_minute() -> None:
    world = World()
    cluster = world.add()
    job = await migrated(world)
    cluster.reachable = False
    before = world.now()

    verdict = judge(job.plan, await look(world.process(), job), world.records)

    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert "the API server does not answer" in verdict.because
    assert (world.now() - before).total_seconds() < 300


async def test_where_entra_id_is_off_no_sign_in_is_waited_for() -> None:
    world = World()
    world.add(identity=Identity.NONE)
    job = await job_for(world)
    before = world.now()

    evidence = await look(world.process(), job)

    assert [one.code for one in evidence if isinstance(one, Failure)]
    assert world.now() == before


async def test_throttling_is_waited_out() -> None:
    world = World()
    world.add()
    job = await migrated(world)
    world.faults["arm.cluster"] = [TryLater("throttled", after=30)]
    assert judge(job.plan, await look(world.process(), job), world.records).outcome is Outcome.VERIFIED


async def test_accounts_that_azure_reopened_behind_its_own_field() -> None:
    world = World()
    cluster = world.add()
    job = await migrated(world)
    cluster.refuses_at = world.now().replace(year=2030)
    process = world.process()

    verdict = judge(job.plan, await look(process, job), world.records)

    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert "ARM shows local accounts off, but hands out admin credentials" in verdict.because
    assert not process.vault.held


async def test_without_a_baseline_workloads_are_not_compared() -> None:
    world = World()
    world.add()
    job = await migrated(world)
    verdict = judge(job.plan, await look(world.process(), replace(job, digest="another")))
    assert "workloads were not compared with a baseline" in verdict.because


@pytest.mark.parametrize(
    ("workloads", "worse"),
    [
        ({"ledger": (1, 1)}, ()),  # scaled down since
        ({"ledger": (3, 2)}, ("Deployment pay/ledger: 2 of 3 available",)),
        ({"idle": (2, 0)}, ("Deployment pay/ledger is gone",)),
        ({"ledger": (3, 3)}, ()),  # what was never available is not missed
    ],
)
async def test_workloads_beside_the_baseline(workloads: dict[str, tuple[int, int]], worse: tuple[str, ...]) -> None:
    world = World()
    cluster = world.add()
    job = await migrated(world)
    cluster.workloads = workloads
    verdict = judge(job.plan, await look(world.process(), job), world.records)
    assert verdict.outcome is (Outcome.FAILED if worse else Outcome.VERIFIED)
    assert all(any(text in reason for reason in verdict.because) for text in worse)


async def test_too_many_nodes_are_said() -> None:
    world = World()
    cluster = world.add(pools=(Pool(name="a", count=3),))
    job = await migrated(world)

    def grown(found: Cluster) -> None:
        found.pools = (Pool(name="a", min_count=1, max_count=2, count=2),)

    grown(cluster)
    assert judge(job.plan, await look(world.process(), job), world.records).outcome is Outcome.VERIFIED
    cluster.extra_nodes = 4
    verdict = judge(job.plan, await look(world.process(), job), world.records)
    assert "5 nodes Ready, 1 to 2 expected: pool a: 5 Ready" in verdict.because


async def test_owed_rotation_with_a_witness() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED, local_accounts=False)
    job = await job_for(world)
    later = replace(job.plan.target, rotation=RotationPolicy.LATER)
    job = replace(job, plan=replace(job.plan, steps=(), target=later))
    process = world.process()
    held = process.ports.vault.hand_in(cluster.id, "generation 0")
    verdict = judge(job.plan, await look(process, job, held), world.records)
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert "the static token from before still works" in verdict.because
    assert ADMINS in str(verdict.evidence)
