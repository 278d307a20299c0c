"""The executor in trouble: deaths, answers that do not come, a world that changed behind its back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.evidence.observations import CertificatesRotated, LocalAccountsDisabled, SignInProven
from aks_entra.core.planning.fleet import WantedTarget
from aks_entra.core.steps import DisableLocalAccounts, ProveSignIn, UpdateEntra
from aks_entra.core.target import AzureRbac
from aks_entra.core.verdict.verdict import Grade, Outcome
from aks_entra.errors import Diverged, Refused, Rejected, TryLater
from tests.support.executor_jobs import CREATED, job_for
from tests.support.memory_model import ADMINS, OTHERS, PROVER, Group, Killed
from tests.support.memory_ports import World


async def test_an_admin_by_role_who_lost_it_is_no_proof() -> None:
    world = World()
    cluster = world.add(azure_rbac=True, identity=Identity.MANAGED, roles={PROVER}, groups=())
    cluster.groups = ()
    job = await job_for(world, WantedTarget())
    cluster.roles.clear()

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.REFUSED  # nothing was written: a person decides
    assert cluster.local_accounts
    assert world.writes == []


async def test_a_token_that_the_api_server_never_accepts() -> None:
    world = World()
    cluster = world.add()
    job = await job_for(world)
    process = world.process()
    await process.executor.apply(job, job.plan.steps[0])
    world.faults["kubernetes.sign_in"] = [Rejected("forbidden", status=403)]
    prove = next(one for one in job.plan.steps if isinstance(one, ProveSignIn))

    with pytest.raises(TryLater, match="forbidden"):
        await process.executor.apply(job, prove)
    cluster.knows_tokens_at = world.now() + timedelta(days=1)
    await world.clock.sleep(901)
    with pytest.raises(Diverged, match="refuses the token"):
        await process.executor.apply(job, prove)
    world.faults["kubernetes.sign_in"] = [Rejected("broken", status=400)]
    with pytest.raises(Rejected, match="broken"):
        await process.executor.apply(job, prove)


async def test_the_prover_by_role() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED, azure_rbac=True, roles={PROVER})
    world.groups[ADMINS].members = {"dana"}

    verdict = await world.process().executor.migrate(await job_for(world))

    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    assert "member signed in by Azure RBAC Cluster Admin" in verdict.because
    assert cluster.rotations == 1


async def test_azure_goes_on_handing_out_credentials_for_a_while() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    job = await job_for(world)
    cluster.refuses_at = world.now() + timedelta(seconds=250)

    verdict = await world.process().executor.migrate(job)
    assert verdict.outcome is Outcome.VERIFIED, verdict.because

    disabled = next(one for one in verdict.evidence if isinstance(one, LocalAccountsDisabled))
    assert disabled.changed


async def test_azure_never_stops_handing_out_credentials() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    job = await job_for(world)
    cluster.refuses_at = world.now() + timedelta(days=1)

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.FAILED
    assert "still hands out admin credentials" in verdict.because[0]
    assert cluster.rotations == 0


async def test_credentials_handed_out_again_at_the_end_diverge() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    job = await job_for(world)
    process = world.process()
    for step in job.plan.steps[:-1]:
        await process.executor.apply(job, step)
    await world.clock.sleep(200)
    cluster.refuses_at = world.now() + timedelta(days=1)

    with pytest.raises(Diverged, match="hands out admin credentials again"):
        await process.executor.apply(job, job.plan.steps[-1])
    assert not process.vault.held


async def test_verification_of_a_rotation_that_never_was() -> None:
    world = World()
    world.add(identity=Identity.MANAGED, local_accounts=False)
    job = await job_for(world)

    with pytest.raises(Diverged, match="the CA is the one from before the rotation"):
        await world.process().executor.apply(job, job.plan.steps[-1])


@pytest.mark.parametrize(
    ("change", "error"),
    [({"security": False}, Refused), ({"deleted_on": "2026-11-02"}, Refused), ({"members": set()}, TryLater)],
)
async def test_a_group_that_appeared_otherwise(change: dict[str, object], error: type[Exception]) -> None:
    world = World()
    world.add()
    job = await job_for(world, WantedTarget(admin_groups=(CREATED,)))
    made = Group(id=OTHERS, name="cluster-admins", unique_name="cluster-admins", members={PROVER})
    for key, value in change.items():
        setattr(made, key, value)
    world.groups[OTHERS] = made

    with pytest.raises(error):
        await world.process().executor.apply(job, job.plan.steps[0])


async def test_a_group_that_vanished_between_steps() -> None:
    world = World()
    world.add()
    job = await job_for(world, WantedTarget(admin_groups=(CREATED,)))

    with pytest.raises(Refused, match="does not exist any more"):
        await world.process().executor.apply(job, job.plan.steps[1])


async def test_azure_rbac_and_groups_of_a_managed_cluster() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED, groups=(ADMINS.upper(),))
    target = WantedTarget(admin_groups=(CREATED,), azure_rbac=AzureRbac.ON)
    job = await job_for(world, target)
    assert any(isinstance(step, UpdateEntra) for step in job.plan.steps)

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    assert cluster.azure_rbac
    assert ADMINS in cluster.groups
    assert len(cluster.groups) == 2


async def test_an_old_kubeconfig_as_the_witness() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED, local_accounts=False)
    job = await job_for(world)
    process = world.process()
    held = process.executor.hand_in(cluster.id, "generation 0")
    assert held.ca == cluster.ca

    verdict = await process.executor.migrate(job)

    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    assert verdict.grade is Grade.CREDENTIAL_REFUSED


async def test_an_unexpected_error_becomes_a_verdict() -> None:
    world = World()
    world.add()
    job = await job_for(world)
    world.faults["arm.enable_entra"] = [ZeroDivisionError("by accident")]

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.FAILED
    assert "unexpected error: ZeroDivisionError: by accident" in verdict.because[0]


async def test_throttling_without_end_is_given_up() -> None:
    world = World()
    world.add()
    job = await job_for(world)
    world.faults["arm.certificate_authority"] = [TryLater("throttled", after=3000) for _ in range(20)]

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.FAILED
    assert "throttled" in verdict.because[0]


TARGET = WantedTarget(admin_groups=(CREATED,))


@pytest.mark.parametrize(
    "pace", [pytest.param(5, id="a sample"), pytest.param(1, marks=pytest.mark.long, id="every moment")]
)
async def test_killed_at_any_moment_and_resumed(pace: int) -> None:
    """A kill before or after the effect of a port call does not change the end, and there is one rotation."""
    reference = World()
    reference.add()
    job = await job_for(reference, TARGET)
    begin = reference.moments
    assert (await reference.process().executor.migrate(job)).outcome is Outcome.VERIFIED
    moments = reference.moments - begin
    assert moments > 50

    for moment in range(1, moments + 1, pace):
        world = World()
        cluster = world.add()
        job = await job_for(world, TARGET)
        world.kill_at = world.moments + moment
        with pytest.raises(Killed):
            await world.process().executor.migrate(job)

        verdict = await world.process().executor.migrate(job)

        assert verdict.outcome is Outcome.VERIFIED, (moment, verdict.because)
        assert cluster.rotations == 1, moment
        assert not cluster.local_accounts
        assert len([one for one in world.writes if one.startswith("group")]) == 1
        assert len(world.writes) == 4, (moment, world.writes)


async def test_a_rotation_found_running_is_attached_to() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    job = await job_for(world)
    first = world.process().executor
    for step in job.plan.steps[:-2]:
        await first.apply(job, step)
    await world.process().ports.arm.rotate_certificates(cluster.id)

    process = world.process()
    left = await process.executor.remaining(job)
    assert left == job.plan.steps[-1:]
    verdict = await process.executor.migrate(job)

    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    rotated = next(one for one in verdict.evidence if isinstance(one, CertificatesRotated))
    assert rotated.attached
    assert not rotated.changed
    assert cluster.rotations == 1


async def test_a_running_rotation_met_by_the_step_itself() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED, local_accounts=False)
    job = await job_for(world)
    rotate = job.plan.rotates
    assert rotate is not None
    await world.process().ports.arm.rotate_certificates(cluster.id)

    evidence = await world.process().executor.apply(job, rotate)

    assert [one.attached for one in evidence if isinstance(one, CertificatesRotated)] == [True]
    assert cluster.rotations == 1


async def test_disabling_proves_sign_in_first_when_this_run_has_not() -> None:
    world = World()
    world.add(identity=Identity.MANAGED)
    job = await job_for(world)

    evidence = await world.process().executor.apply(job, DisableLocalAccounts())

    assert isinstance(evidence[0], SignInProven)
    assert isinstance(evidence[1], LocalAccountsDisabled)


async def test_a_silent_api_server_after_the_rotation() -> None:
    world = World()
    world.add(identity=Identity.MANAGED)
    job = await job_for(world)
    process = world.process()
    for step in job.plan.steps[:-1]:
        await process.executor.apply(job, step)
    world.faults["kubernetes.nodes"] = [TryLater("no answer")]

    with pytest.raises(TryLater, match="no answer"):
        await process.executor.apply(job, job.plan.steps[-1])
    assert world.consumed()
