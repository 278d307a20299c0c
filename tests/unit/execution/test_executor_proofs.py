"""What the executor needs to see: who signs in, old credentials that are refused, nodes that come back."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from aks_entra.core.cluster import CertificateAuthority, Identity
from aks_entra.core.evidence.observations import (
    AdminCredentialRefused,
    AuthoritySeen,
    CredentialTried,
    Moment,
    SignInProven,
    TokenHeld,
)
from aks_entra.core.evidence.sightings import records_in
from aks_entra.core.steps import RecordBaseline
from aks_entra.core.verdict.verdict import Grade, Outcome
from aks_entra.errors import Diverged, Refused, Rejected, TryLater
from aks_entra.probes.checks import authority, authority_seen, read
from tests.support.executor_jobs import STARTS, job_for
from tests.support.memory_model import ADMINS, OTHERS, Group, posture_of
from tests.support.memory_ports import World


async def test_the_old_token_that_lives_on_is_a_loud_failure() -> None:
    world = World()
    world.add(token_outlives=True)

    verdict = await world.process().executor.migrate(await job_for(world))

    assert verdict.outcome is Outcome.FAILED
    assert "the static token from before still gets 200 after rotation" in verdict.because
    assert "assume that the old credential works" in verdict.next


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


@pytest.mark.parametrize("start", STARTS)
async def test_each_old_credential_is_refused_within_a_minute_of_a_sign_in_under_the_new_authority(start: str) -> None:
    world = World()
    world.groups[OTHERS] = Group(id=OTHERS, name="others", members={"eve"})
    world.add(**STARTS[start])
    job = await job_for(world)
    world.calls.clear()

    verdict = await world.process().executor.migrate(job)

    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    refused = [one for one in verdict.evidence if isinstance(one, CredentialTried) and one.moment is Moment.AFTER]
    members = [one for one in verdict.evidence if isinstance(one, SignInProven) and one.moment is Moment.AFTER]
    assert bool(refused) is ("closed" not in start)
    for one in refused:
        beside = [each for each in members if each.ca == one.ca and seconds_between(each.at, one.at) <= 60]
        assert beside, (one, members)
    assert world.calls.count("kubernetes.sign_in") <= 9  # the API server knows no token for a while, and nodes settle


def seconds_between(one: str, other: str) -> float:
    return abs((datetime.fromisoformat(one) - datetime.fromisoformat(other)).total_seconds())


@pytest.mark.parametrize("killed", [False, True])
async def test_a_migration_keeps_what_recognises_credentials_from_before_even_if_its_process_is_killed(
    killed: bool,
) -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    before = cluster.ca.fingerprint
    job = await job_for(world)
    if killed:
        process = world.process()
        for step in job.plan.steps[:-1]:
            await process.executor.apply(job, step)
    verdict = await world.process().executor.migrate(job)
    after = cluster.ca.fingerprint
    kept = [one for one in verdict.evidence if isinstance(one, AuthoritySeen)]
    assert [(one.ca, one.certificate) for one in kept] == [
        (before, "CA of generation 0"),
        (after, "CA of generation 1"),
    ]
    (token,) = (one for one in verdict.evidence if isinstance(one, TokenHeld))
    assert (token.ca, token.salt, token.token_hash) == (before, "5a" * 16, before)
    records = records_in(cluster.id.key, verdict.evidence)
    assert {one.ca for one in records if one.certificate} == {before, after}
    assert [(one.ca, one.token_hash) for one in records if one.salt] == [(before, before)]


async def test_a_ca_that_was_read_before_another_one_is_not_kept_under_its_name() -> None:
    world = World()
    cluster = world.add()
    ports = world.process().ports
    posture = await read(ports, cluster.id)
    assert authority_seen(ports, posture) is not None
    other = posture.with_ca(CertificateAuthority(fingerprint="other", not_before=""))
    assert authority_seen(ports, other) is None
    assert authority_seen(world.process().ports, posture) is None
