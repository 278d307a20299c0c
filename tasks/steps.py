"""The approved steps of one cluster, one task each: observe, act, observe. What to do is decided in the plan."""

from __future__ import annotations

from typing import assert_never

from aks_entra.core.evidence import Evidence
from aks_entra.core.steps import (
    DisableLocalAccounts,
    EnableEntra,
    EnableLocalAccounts,
    EnsureAdminGroup,
    ProveSignIn,
    RecordBaseline,
    RotateCertificates,
    Step,
    UpdateEntra,
    VerifyOutcome,
    VerifyRestored,
)
from aks_entra.executor import Job
from aks_entra.wiring import current_session
from tasks.observable import observable


@observable("look")
async def look(job: Job) -> tuple[Step, ...]:
    """What is left of the approved steps, once the cluster is at rest. Refused when it moved since the approval."""
    return await current_session().executor.remaining(job)


@observable("ensure admin group")
async def ensure_admin_group(job: Job, step: EnsureAdminGroup) -> tuple[Evidence, ...]:
    """Create the group under its unique name unless it exists, and wait until it can be read everywhere."""
    return await current_session().executor.apply(job, step)


@observable("enable Entra")
async def enable_entra(job: Job, step: EnableEntra) -> tuple[Evidence, ...]:
    """Turn Microsoft Entra ID on, or upgrade a legacy integration. One way."""
    return await current_session().executor.apply(job, step)


@observable("update Entra")
async def update_entra(job: Job, step: UpdateEntra) -> tuple[Evidence, ...]:
    """Change admin groups or Azure RBAC of a cluster that has Microsoft Entra ID."""
    return await current_session().executor.apply(job, step)


@observable("prove sign-in")
async def prove_sign_in(job: Job, step: ProveSignIn) -> tuple[Evidence, ...]:
    """Get in at this API server with a fresh token, before anything is closed."""
    return await current_session().executor.apply(job, step)


@observable("record baseline")
async def record_baseline(job: Job, step: RecordBaseline) -> tuple[Evidence, ...]:
    """Hold the admin credential in memory where there is one, and store what runs on the cluster."""
    return await current_session().executor.apply(job, step)


@observable("disable local accounts")
async def disable_local_accounts(job: Job, step: DisableLocalAccounts) -> tuple[Evidence, ...]:
    """Disable local accounts, and see that Azure refuses admin credentials."""
    return await current_session().executor.apply(job, step)


@observable("rotate certificates")
async def rotate_certificates(job: Job, step: RotateCertificates) -> tuple[Evidence, ...]:
    """Rotate once, or attach to a rotation that runs already, and see that the CA is new."""
    return await current_session().executor.apply(job, step)


@observable("verify nodes")
async def verify_nodes(job: Job) -> tuple[Evidence, ...]:
    """See from outside that a member gets in, and that nodes and workloads are back as they were."""
    return await current_session().executor.verify_nodes(job)


@observable("prove old credentials dead")
async def prove_old_credentials_dead(job: Job) -> tuple[Evidence, ...]:
    """Try each held credential alone, beside a member, and see that Azure refuses new ones."""
    return await current_session().executor.verify_old_credentials(job)


@observable("enable local accounts")
async def enable_local_accounts(job: Job, step: EnableLocalAccounts) -> tuple[Evidence, ...]:
    """The way back: open local accounts again."""
    return await current_session().executor.apply(job, step)


@observable("verify what was restored")
async def verify_restored(job: Job, step: VerifyRestored) -> tuple[Evidence, ...]:
    """Look again from outside: an admin credential works where accounts are on, else a member gets in."""
    return await current_session().executor.apply(job, step)


async def perform(job: Job, step: Step) -> tuple[Evidence, ...]:  # noqa: C901, PLR0911 - one per kind of step
    """Run the task of a step, or, to verify, the two tasks that it has."""
    match step:
        case EnsureAdminGroup():
            return await ensure_admin_group(job, step)
        case EnableEntra():
            return await enable_entra(job, step)
        case UpdateEntra():
            return await update_entra(job, step)
        case ProveSignIn():
            return await prove_sign_in(job, step)
        case RecordBaseline():
            return await record_baseline(job, step)
        case DisableLocalAccounts():
            return await disable_local_accounts(job, step)
        case RotateCertificates():
            return await rotate_certificates(job, step)
        case VerifyOutcome():
            return (*await verify_nodes(job), *await prove_old_credentials_dead(job))
        case EnableLocalAccounts():
            return await enable_local_accounts(job, step)
        case VerifyRestored():
            return await verify_restored(job, step)
        case _:
            assert_never(step)
