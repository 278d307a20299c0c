"""One cluster's way through the executor: every start, every failure, every wait."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.debt import Debt
from aks_entra.core.evidence import (
    AdminCredentialRefused,
    CertificatesRotated,
    Credential,
    CredentialTried,
    EntraSet,
    GroupEnsured,
    LocalAccountsDisabled,
    Moment,
    SignInProven,
)
from aks_entra.core.fleet import WantedGroup, WantedTarget
from aks_entra.core.steps import (
    DisableLocalAccounts,
    EnableEntra,
    RecordBaseline,
    RotateCertificates,
    VerifyOutcome,
)
from aks_entra.core.target import LocalAccounts, RotationPolicy
from aks_entra.core.verdict import Grade, Outcome
from aks_entra.errors import Diverged, Refused, Rejected, TryLater
from aks_entra.proofs import authority
from tests.unit.executor_desk import CREATED, STARTS, job_for, job_of, planned
from tests.unit.ports_world import (
    ADMINS,
    OTHERS,
    ROTATION,
    UPDATE,
    Group,
    World,
    posture_of,
)


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
    assert "local accounts are kept on: old credentials live" in verdict.because
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
        ("enable_entra", "ARM shows otherwise: Microsoft Entra ID: expected managed, found none"),
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


async def test_the_old_token_that_lives_on_is_a_loud_failure() -> None:
    world = World()
    world.add(token_outlives=True)

    verdict = await world.process().executor.migrate(await job_for(world))

    assert verdict.outcome is Outcome.FAILED
    assert "the static token from before still gets 200 after rotation" in verdict.because
    assert "treat the old credential as live" in verdict.next


async def test_nodes_that_stay_away_are_evidence_after_the_settling_time() -> None:
    world = World()
    world.add(never_settles=True)

    verdict = await world.process().executor.migrate(await job_for(world))

    assert verdict.outcome is Outcome.FAILED
    text = " ".join(verdict.because)
    assert "1 node Ready, 3 expected: pool system: 1 Ready, aks-system-0 not Ready" in text
    assert "less available than before: Deployment pay/ledger: 0 of 3 available" in text


async def test_old_credentials_without_an_answer_are_asked_again() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    job = await job_for(world)
    cluster.silent_until = world.now() + timedelta(seconds=200)

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    assert verdict.grade is Grade.CREDENTIAL_REFUSED


async def test_old_credentials_that_never_answer_are_no_proof() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    job = await job_for(world)
    cluster.silent_until = world.now() + timedelta(days=1)

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    assert verdict.grade is Grade.CA_REPLACED
    assert "grade 2: the static token could not be tried" in verdict.because


async def test_without_an_admin_group_nothing_is_closed() -> None:
    world = World()
    cluster = world.add()
    job = await job_for(world)
    world.groups[ADMINS].members = {"dana"}
    cluster.binding = True  # some other binding would let the prover do everything

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.FAILED
    assert "not as a member of an admin group" in verdict.because[0]
    assert "(after 15 minutes)" in verdict.because[0]
    assert "az aks update" in verdict.next
    assert cluster.local_accounts
    assert cluster.rotations == 0


async def test_an_admin_who_may_not_do_everything_is_no_proof() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED, limited=True)

    verdict = await world.process().executor.migrate(await job_for(world))

    assert verdict.outcome is Outcome.REFUSED
    assert "is not allowed everything (after 15 minutes)" in verdict.because[0]
    assert cluster.local_accounts
    assert world.writes == []


async def test_a_member_who_does_not_get_in_after_the_rotation_is_told_the_way_back() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    job = await job_for(world)
    process = world.process()
    for step in job.plan.steps[:-1]:
        await process.executor.apply(job, step)
    cluster.knows_tokens_at = world.now() + timedelta(days=1)
    with pytest.raises(TryLater):
        await process.executor.apply(job, job.plan.steps[-1])
    await world.clock.sleep(901)
    with pytest.raises(Diverged) as diverged:
        await process.executor.apply(job, job.plan.steps[-1])
    assert "`az aks update --enable-local-accounts` reopens a way in" in diverged.value.remedy


async def test_a_baseline_of_a_cluster_that_was_closed_meanwhile() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    job = await job_for(world)
    cluster.local_accounts = False
    process = world.process()
    evidence = await process.executor.apply(job, RecordBaseline(hold_credential=True))
    assert [type(one) for one in evidence] == [AdminCredentialRefused]
    (baseline,) = world.baselines.values()
    assert not baseline.credential_held
    await world.process().executor.apply(job, RecordBaseline(hold_credential=False))
    assert list(world.baselines.values()) == [baseline]  # the first one counts


async def test_a_posture_without_its_ca_proves_nothing() -> None:
    with pytest.raises(Rejected, match="CA was not read"):
        authority(posture_of(World().add()))


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


async def test_a_prover_without_a_token_is_refused_at_once() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    job = await job_for(world)
    world.faults["kubernetes.sign_in"] = [Refused("the secret expired", code="AADSTS7000222", status=401)]
    before = world.now()
    verdict = await world.process().executor.migrate(job)
    assert verdict.because == ("at prove-sign-in: the secret expired",)
    assert world.now() == before
    assert cluster.local_accounts


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
