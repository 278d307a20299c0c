"""The last step: prove from outside that members get in and that old credentials do not."""

from __future__ import annotations

from aks_entra.core.cluster import Posture
from aks_entra.core.evidence.observations import AdminCredentialRefused, CertificatesRotated, Evidence, Moment
from aks_entra.core.planning.job import Job
from aks_entra.core.steps import VerifyOutcome
from aks_entra.errors import Diverged
from aks_entra.execution import node_recovery, write_guards
from aks_entra.execution.engine import Engine, closed
from aks_entra.execution.steps import sign_in
from aks_entra.execution.steps.rotation import try_credentials
from aks_entra.probes import checks, doors, old_credentials


async def verify_nodes(engine: Engine, job: Job, _: VerifyOutcome) -> tuple[Evidence, ...]:
    """Check that a member gets in, and that nodes and workloads are back after a settling time."""
    posture = await engine.observe(job.plan.cluster, recent=True)
    rotated = await _rotation_by_earlier_run(engine, job, posture)
    proven = await sign_in.prove_lately(engine, job, posture, Moment.AFTER)
    return (
        *rotated,
        *await node_recovery.settled(engine.ports, engine.deadlines, engine.timeouts, job, posture),
        proven,
    )


async def verify_old_credentials(engine: Engine, job: Job, _: VerifyOutcome) -> tuple[Evidence, ...]:
    """Try old credentials, then read the activity log up to that moment. The credentials are tried only once."""
    cluster, memory = job.plan.cluster, engine.of(job.plan.cluster)
    memory.ended = memory.ended or await _last_look(engine, job)
    evidence = memory.ended
    if closed(job):
        until = (old_credentials.only_by_log(evidence) if job.plan.rotates else "") or memory.log_until
        evidence += (
            await old_credentials.complete_log(engine.ports, engine.deadlines, engine.timeouts, cluster, until),
        )
    engine.forget(cluster)
    return evidence


async def _last_look(engine: Engine, job: Job) -> tuple[Evidence, ...]:
    """Try old credentials next to a member, check that ARM refuses new ones, and read the final state."""
    cluster, evidence = job.plan.cluster, list[Evidence]()
    posture = await engine.observe(cluster, recent=True)
    held = engine.of(cluster).held
    older = held is not None and held.ca != posture.ca
    tried = await try_credentials(engine, job, posture, Moment.AFTER if job.plan.rotates or older else Moment.BEFORE)
    if engine.ports.vault.holds(cluster):
        # a sign-in in the same minute shows that the API server refuses only the old credentials
        before, proven = engine.of(cluster).proven, await sign_in.prove_lately(engine, job, posture, Moment.AFTER)
        evidence += [] if proven is before else [proven]
    evidence += tried
    if closed(job):
        answer = await engine.ports.arm.hold_admin_credential(cluster)
        if not isinstance(answer, AdminCredentialRefused):
            engine.forget(cluster)
            raise Diverged(
                "Azure hands out admin credentials again",
                remedy="see who switched local accounts on, then plan again: a rotation is owed",
            )
        evidence.append(answer)
    evidence += await doors.look(engine.ports, posture, asked=job.plan.target.doors)
    evidence.append(await checks.seen_state(engine.ports.clock, lambda: engine.read(cluster)))
    kept = checks.authority_seen(engine.ports, posture)
    return (*evidence, *([kept] if kept else []))


async def _rotation_by_earlier_run(engine: Engine, job: Job, posture: Posture) -> tuple[Evidence, ...]:
    """Return evidence of a rotation that an earlier process finished. The new CA shows it."""
    rotates, ca, memory = job.plan.rotates, checks.authority(posture), engine.of(job.plan.cluster)
    if rotates is None or memory.rotated:
        return ()
    if ca.fingerprint == rotates.ca_before:
        raise Diverged("the CA is the one from before the rotation", remedy=write_guards.AGAIN)
    if not memory.found[0]:
        memory.found = (engine.stamp(), posture.etag or "")
    at, etag = memory.found
    running = engine.note_rotation_seen(job.plan.cluster, at)
    return (
        *await checks.closed_before(engine.ports, job),
        CertificatesRotated(
            at=at,
            ca_before=rotates.ca_before,
            ca_after=ca.fingerprint,
            ca_not_before=ca.not_before,
            changed=False,
            attached=memory.attached,
            etag=etag,
            running=running,
        ),
    )
