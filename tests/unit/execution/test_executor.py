"""One cluster's way through the executor: every start, every end, and what stops it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.evidence.observations import (
    CertificatesRotated,
    Credential,
    CredentialTried,
    EntraSet,
    GroupEnsured,
    LocalAccountsDisabled,
    Moment,
    SignInProven,
)
from aks_entra.core.evidence.rotation_debt import Debt
from aks_entra.core.planning.fleet import WantedGroup, WantedTarget
from aks_entra.core.steps import DisableLocalAccounts, EnableEntra, RotateCertificates, VerifyOutcome
from aks_entra.core.target import LocalAccounts, RotationPolicy
from aks_entra.core.verdict.report import records_of_verdict
from aks_entra.core.verdict.verdict import Grade, Outcome
from aks_entra.errors import Refused, TryLater
from tests.support.executor_jobs import CREATED, STARTS, job_for, job_of, planned
from tests.support.memory_model import ADMINS, OTHERS, Group
from tests.support.memory_ports import World


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("group", [WantedGroup(id=ADMINS), CREATED], ids=["existing group", "created group"])
async def test_every_start_ends_verified(start: str, group: WantedGroup) -> None:
    world = World()
    world.groups[OTHERS] = Group(id=OTHERS, name="others", members={"eve"})
    cluster = world.add(**STARTS[start], tags=(("env", "prod"),))
    own = cluster.groups if cluster.identity is Identity.MANAGED else ()
    job = await job_for(world, WantedTarget(admin_groups=(group,)))
    assert world.writes == []

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    was_closed = start == "closed, never rotated"
    assert verdict.grade is (Grade.CA_REPLACED if was_closed else Grade.CREDENTIAL_REFUSED)
    assert cluster.rotations == 1
    assert cluster.identity is Identity.MANAGED
    assert not cluster.local_accounts
    assert set(own) <= set(cluster.groups)
    assert cluster.tags == (("env", "prod"),)
    again = await planned(world, WantedTarget(admin_groups=(group,), rotation=RotationPolicy.LATER))
    assert again.clusters[0].steps == ()


@pytest.mark.parametrize("planned_after", [60, 3600], ids=["at once", "once the activity log shows the hand-out"])
async def test_a_cluster_that_an_earlier_plan_migrated_is_verified_under_a_new_plan(planned_after: int) -> None:
    world = World()
    world.backdated = timedelta(minutes=10)  # as Azure dates a CA: our own credential seems to be handed out under it
    world.add()
    first = await world.process().executor.migrate(await job_for(world))
    world.records = records_of_verdict(first, "report 1")
    written = list(world.writes)

    await world.clock.sleep(planned_after)
    job = await job_for(world)
    assert job.plan.steps == ()
    await world.clock.sleep(60)  # the run waits for a place
    verdict = await world.process().executor.migrate(job)

    assert (verdict.outcome, verdict.grade) == (Outcome.VERIFIED, Grade.BY_RECORD), verdict.because
    assert world.writes == written


async def test_the_evidence_of_a_whole_way() -> None:
    world = World()
    cluster = world.add()
    before = cluster.ca.fingerprint
    process = world.process()

    verdict = await process.executor.migrate(await job_for(world, WantedTarget(admin_groups=(CREATED,))))

    seen = {type(one): one for one in verdict.evidence}
    group = seen[GroupEnsured]
    assert isinstance(group, GroupEnsured)
    assert group.created
    entra = seen[EntraSet]
    assert isinstance(entra, EntraSet)
    assert entra.changed
    assert entra.admin_group_ids == (group.group_id,)
    assert entra.correlation_id.startswith("c-")
    rotated = seen[CertificatesRotated]
    assert isinstance(rotated, CertificatesRotated)
    assert (rotated.ca_before, rotated.ca_after) == (before, cluster.ca.fingerprint)
    assert rotated.changed
    assert not rotated.attached
    tried = [one for one in verdict.evidence if isinstance(one, CredentialTried)]
    assert {(one.credential, one.moment): one.status for one in tried} == {
        (Credential.CERTIFICATE, Moment.BEFORE): 200,
        (Credential.STATIC_TOKEN, Moment.BEFORE): 200,
        (Credential.CERTIFICATE, Moment.AFTER): 401,
        (Credential.STATIC_TOKEN, Moment.AFTER): 401,
    }
    proofs = [one for one in verdict.evidence if isinstance(one, SignInProven)]
    assert all(one.by == f"admin group {group.group_id}" for one in proofs)
    assert proofs[-1].moment is Moment.AFTER
    assert proofs[-1].ca == cluster.ca.fingerprint
    assert not process.vault.held
    assert "certificate and static token from before: 401 each" in " ".join(verdict.because)


async def test_each_step_done_again_changes_nothing() -> None:
    world = World()
    world.add()
    job = await job_for(world)
    process = world.process()
    for step in job.plan.steps[:-1]:
        while True:
            try:
                await process.executor.apply(job, step)
                break
            except TryLater as error:
                await world.clock.sleep(error.after)
    writes = list(world.writes)
    again = world.process().executor

    for step in job.plan.steps:
        if isinstance(step, EnableEntra | DisableLocalAccounts | RotateCertificates):
            evidence = await again.apply(job, step)
            assert [one.changed for one in evidence if isinstance(one, EntraSet | LocalAccountsDisabled)] in (
                [],
                [False],
            )
            assert [one.changed for one in evidence if isinstance(one, CertificatesRotated)] in ([], [False])
    assert world.writes == writes


async def test_nothing_to_do_is_looked_at() -> None:
    world = World()
    world.add(identity=Identity.MANAGED, local_accounts=False)
    plan = await planned(world, WantedTarget(admin_groups=(WantedGroup(id=ADMINS),), rotation=RotationPolicy.LATER))
    job = job_of(replace(plan, clusters=(replace(plan.clusters[0], debt=Debt.NONE, debt_because="created closed"),)))
    now = world.now().isoformat()
    job = replace(job, plan=replace(job.plan, debt_through=now))
    assert job.plan.disposition == "nothing to do"

    assert await world.process().executor.remaining(job) == (VerifyOutcome(rotated=False),)
    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    assert verdict.grade is Grade.BY_RECORD
    assert world.writes == []


async def test_rotation_later_stays_owed() -> None:
    world = World()
    cluster = world.add()
    target = WantedTarget(admin_groups=(WantedGroup(id=ADMINS),), rotation=RotationPolicy.LATER)

    verdict = await world.process().executor.migrate(await job_for(world, target))

    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert "rotation owed: credentials from before still work" in verdict.because
    assert cluster.rotations == 0
    assert not cluster.local_accounts


async def test_local_accounts_kept_on_are_said() -> None:
    world = World()
    cluster = world.add()
    target = WantedTarget(admin_groups=(WantedGroup(id=ADMINS),), local_accounts=LocalAccounts.KEEP)

    verdict = await world.process().executor.migrate(await job_for(world, target))

    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert "local accounts are kept on: old credentials work" in verdict.because
    assert cluster.local_accounts
    assert cluster.identity is Identity.MANAGED


async def test_refused_and_stopped_clusters_are_not_touched() -> None:
    world = World()
    world.add("batch-01", kubernetes_rbac=False)
    world.add("batch-02", power_state="Stopped", fqdn="two.hcp.westeurope.azmk8s.io")
    plan = await planned(world)

    for index, outcome in enumerate((Outcome.REFUSED, Outcome.SKIPPED)):
        job = job_of(plan, index)
        verdict = await world.process().executor.migrate(job)
        assert verdict.outcome is outcome
        assert verdict.because
        with pytest.raises(Refused):
            await world.process().executor.remaining(job)
    assert world.writes == []


async def test_a_moved_world_is_refused() -> None:
    world = World()
    cluster = world.add()
    job = await job_for(world)
    cluster.generation += 1  # somebody rotated

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.REFUSED
    assert "not as it was when the plan was approved: CA: expected" in verdict.because[0]
    assert "plan again" in verdict.next
    assert world.writes == []


@pytest.mark.parametrize("step", [EnableEntra, DisableLocalAccounts, RotateCertificates])
async def test_a_foreign_writer_between_steps_is_refused(step: type) -> None:
    world = World()
    cluster = world.add()
    job = await job_for(world)
    process = world.process()
    for one in job.plan.steps:
        if isinstance(one, step):
            break
        while True:
            try:
                await process.executor.apply(job, one)
                break
            except TryLater as error:
                await world.clock.sleep(error.after)
    if step is EnableEntra:
        cluster.identity, cluster.tenant_id, cluster.groups = Identity.LEGACY, "another", ()
    elif step is DisableLocalAccounts:
        cluster.groups = (*cluster.groups, OTHERS)
    else:
        cluster.local_accounts = True
    writes = list(world.writes)

    with pytest.raises(Refused) as refused:
        await process.executor.apply(job, next(one for one in job.plan.steps if isinstance(one, step)))

    assert "not as the approved plan expects it" in refused.value.message
    assert refused.value.step
    assert refused.value.cluster == "shop-weu/shop-01"
    assert world.writes == writes


async def test_a_way_that_ended_leaves_no_memory() -> None:
    """A second plan in the same process proves everything anew."""
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    process = world.process()
    assert (await process.executor.migrate(await job_for(world))).outcome is Outcome.VERIFIED
    cluster.local_accounts = True

    verdict = await process.executor.migrate(await job_for(world))

    assert verdict.outcome is Outcome.VERIFIED
    assert cluster.rotations == 2
    proofs_before = [one for one in verdict.evidence if isinstance(one, SignInProven) and one.moment is Moment.BEFORE]
    assert len(proofs_before) == 2
