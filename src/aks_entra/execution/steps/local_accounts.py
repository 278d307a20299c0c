"""The steps that close local accounts, and the way back that opens them."""

from __future__ import annotations

from aks_entra.core.evidence.observations import (
    AdminCredentialRefused,
    Evidence,
    LocalAccountsDisabled,
    LocalAccountsEnabled,
    Moment,
)
from aks_entra.core.planning.job import Job
from aks_entra.core.steps import DisableLocalAccounts, EnableLocalAccounts, RemoveDenyPolicy, VerifyRestored
from aks_entra.execution import write_guards
from aks_entra.execution.engine import Engine
from aks_entra.execution.reopening import past_policy
from aks_entra.execution.steps import sign_in
from aks_entra.probes import checks, old_credentials
from aks_entra.probes import sign_in as sign_in_probe


async def disable_local_accounts(engine: Engine, job: Job, step: DisableLocalAccounts) -> tuple[Evidence, ...]:
    """Prove sign-in, disable local accounts, and check that Azure refuses admin credentials."""
    cluster, arm = job.plan.cluster, engine.ports.arm
    proven: tuple[Evidence, ...] = ()
    posture = await engine.observe(cluster, recent=True)
    if posture.local_accounts:
        expected = await engine.expected_before(job, step)
        write_guards.as_expected(expected, posture)
        before = engine.of(cluster).proven
        if before is None or not await sign_in_probe.still_in(engine.ports, job, posture, before):
            engine.membership_lost()
            proven = (await sign_in.prove(engine, job, posture, Moment.BEFORE),)
        await engine.ask_again(job, step, posture)
        await engine.finish(job, step, await arm.set_local_accounts(cluster, expected, enabled=False))
        posture = await engine.at_rest(cluster)
        write_guards.effect_seen(
            ("local accounts are on",) if posture.local_accounts else (), "the update ended well, but"
        )
    refused = await arm.hold_admin_credential(cluster)
    if not isinstance(refused, AdminCredentialRefused):
        engine.of(cluster).held = refused
        text = "ARM shows local accounts off, but still hands out admin credentials"
        engine.deadlines.later(cluster, "refusal", engine.timeouts.refusal, text, remedy=write_guards.AGAIN)
    engine.deadlines.arrived(cluster, "refusal")
    changed, correlation_id = engine.own_write(job, step)
    at = engine.stamp()
    return (*proven, LocalAccountsDisabled(at=at, changed=changed, correlation_id=correlation_id), refused)


async def enable_local_accounts(engine: Engine, job: Job, step: EnableLocalAccounts) -> tuple[Evidence, ...]:
    """Open local accounts again. Opening a way in needs no proof first."""
    cluster = job.plan.cluster
    posture = await engine.observe(cluster)
    if not posture.local_accounts:
        expected = write_guards.expected_before(job.plan, step, {})
        write_guards.as_expected(expected, posture)
        arm, released = engine.ports.arm, any(isinstance(one, RemoveDenyPolicy) for one in job.plan.steps)
        operation = await past_policy(
            arm,
            (engine.deadlines, engine.timeouts),
            cluster,
            lambda: arm.set_local_accounts(cluster, expected, enabled=True),
            released=released,
        )
        await engine.finish(job, step, operation)
        posture = await engine.watch.at_rest(cluster)
        write_guards.effect_seen(
            () if posture.local_accounts else ("local accounts are off",), "the update ended well, but"
        )
    changed, correlation_id = engine.own_write(job, step)
    at = engine.stamp()
    return (LocalAccountsEnabled(at=at, changed=changed, correlation_id=correlation_id),)


async def verify_restored(engine: Engine, job: Job, step: VerifyRestored) -> tuple[Evidence, ...]:
    """Prove the way in that a rollback leaves: an admin credential from Azure works, or a member gets in."""
    cluster = job.plan.cluster
    posture = await engine.observe(cluster)
    if step.local_accounts:
        seen = await old_credentials.admin_credential_works(engine.ports, engine.deadlines, engine.timeouts, posture)
        engine.forget(cluster)
    else:
        seen = (await sign_in.prove(engine, job, posture, Moment.AFTER),)
    return (*seen, await checks.seen_state(engine.ports.clock, lambda: engine.read(cluster)))
