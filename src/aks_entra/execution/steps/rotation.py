"""The baseline and the rotation of the certificates, which ends credentials that were handed out before."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.core.cluster import Posture
from aks_entra.core.evidence.observations import Baseline, CertificatesRotated, CredentialTried, Evidence, Moment
from aks_entra.core.planning.job import Job
from aks_entra.core.steps import RecordBaseline, RotateCertificates
from aks_entra.errors import TryLater
from aks_entra.execution import write_guards
from aks_entra.execution.engine import Engine
from aks_entra.execution.steps import sign_in
from aks_entra.ports.migration import HeldCredential
from aks_entra.probes import checks, old_credentials


async def record_baseline(engine: Engine, job: Job, step: RecordBaseline) -> tuple[Evidence, ...]:
    """Hold the admin credential, then store the baseline. A baseline that this plan stored before is kept.

    A rotation returns what recognises the credentials from before, so that one note keeps both.
    """
    cluster = job.plan.cluster
    refused: tuple[Evidence, ...] = ()
    if step.hold_credential and not engine.ports.vault.holds(cluster):
        answer = await engine.ports.arm.hold_admin_credential(cluster)
        if isinstance(answer, HeldCredential):
            engine.of(cluster).held = answer
        else:
            refused = (answer,)
    baseline = await store_baseline(engine, job, await engine.read_lately(cluster))
    return refused if job.plan.rotates else (*baseline.issued, *refused)


async def store_baseline(engine: Engine, job: Job, posture: Posture, *, closed_at: str = "") -> Baseline:
    """Store the baseline once, and return it. Just before the rotation, add when local accounts were seen off."""
    there = await engine.ports.journal.baseline(job.digest, posture.cluster)
    if there is not None:
        if closed_at:
            there = replace(there, closed_at=closed_at)
            await engine.ports.journal.store_baseline(job.digest, there)
        return there
    baseline = Baseline(
        cluster=posture.cluster.key,
        at=engine.stamp(),
        ca=checks.authority(posture).fingerprint,
        nodes=await engine.ports.kubernetes.nodes(posture),
        workloads=await engine.ports.kubernetes.workloads(posture),
        credential_held=engine.ports.vault.holds(posture.cluster),
        closed_at=closed_at,
        authority=checks.authority_seen(engine.ports, posture),
        token=checks.token_held(engine.ports.clock, engine.of(posture.cluster).held),
    )
    await engine.ports.journal.store_baseline(job.digest, baseline)
    return baseline


async def rotate(engine: Engine, job: Job, step: RotateCertificates) -> tuple[Evidence, ...]:
    """Rotate while the CA is still the one in the plan. Wait for a rotation that runs already; never start a second."""
    cluster = job.plan.cluster
    found, posture = await engine.found_and_at_rest(cluster, recent=True)
    if found.rotating:
        engine.authorities.forget(cluster)
    attached, posture = found.rotating, await engine.with_ca(posture)
    if checks.authority(posture).fingerprint == step.ca_before:
        attached = False
        expected = await engine.expected_before(job, step)
        write_guards.as_expected(expected, posture)
        baseline = await store_baseline(engine, job, posture, closed_at=engine.stamp())
        proven = await sign_in.prove(engine, job, posture, Moment.BEFORE)
        engine.of(cluster).kept = (
            *baseline.issued,
            proven,
            *await try_credentials(engine, job, posture, Moment.BEFORE),
        )
        await engine.ask_ways_again(job, step, posture)
        now = await engine.with_ca(await engine.ports.arm.cluster(cluster), serving=True)
        write_guards.as_expected(expected, now)
        write_guards.same_ca(checks.authority(now), step.ca_before)
        await engine.still_ours(cluster)
        engine.of(cluster).asked_at = engine.stamp()
        engine.authorities.forget(cluster)
        await engine.finish(job, step, await engine.ports.arm.rotate_certificates(cluster))
        posture = await engine.observe(cluster)
        same = checks.authority(posture).fingerprint == step.ca_before
        write_guards.effect_seen(("the CA is the one from before",) if same else (), "the rotation ended well, but")
    ca = checks.authority(posture)
    changed, correlation_id = engine.own_write(job, step)
    memory = engine.of(cluster)
    memory.rotated, at = True, engine.stamp()
    running = engine.note_rotation_seen(cluster, at)
    kept, memory.kept = memory.kept, ()
    rotated = CertificatesRotated(
        at=at,
        ca_before=step.ca_before,
        ca_after=ca.fingerprint,
        ca_not_before=ca.not_before,
        changed=changed,
        attached=attached,
        correlation_id=correlation_id,
        etag=posture.etag or "",
        running=running,
    )
    closed = () if changed or attached else await checks.closed_before(engine.ports, job)
    issued = () if kept or closed else await checks.issued_before(engine.ports, job)
    return (*issued, *kept, *closed, rotated)


async def try_credentials(engine: Engine, job: Job, posture: Posture, moment: Moment) -> tuple[CredentialTried, ...]:
    """Try each held credential alone. One that gets no answer is tried again for a while, then recorded as silent."""
    tried = await old_credentials.tried(engine.ports, posture, moment, engine.of(posture.cluster).held)
    silent = [one.credential for one in tried if one.status is None]
    what = f"credentials {moment}"
    if silent and engine.deadlines.patient(job.plan.cluster, what, engine.timeouts.credential):
        raise TryLater(f"no answer to the {' and the '.join(silent)} from before", after=engine.timeouts.poll_interval)
    engine.deadlines.arrived(job.plan.cluster, what)
    return tried
