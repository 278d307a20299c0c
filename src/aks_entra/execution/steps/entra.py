"""The steps that turn Microsoft Entra ID on: the admin group, and the cluster's Entra profile."""

from __future__ import annotations

from aks_entra.core.evidence.observations import EntraSet, Evidence
from aks_entra.core.planning.job import Job
from aks_entra.core.steps import EnableEntra, EnsureAdminGroup, UpdateEntra
from aks_entra.errors import Refused
from aks_entra.execution import admin_group, write_guards
from aks_entra.execution.engine import Engine
from aks_entra.probes import checks


async def ensure_admin_group(engine: Engine, job: Job, step: EnsureAdminGroup) -> tuple[Evidence, ...]:
    """Create the group under its unique name unless it exists. One of the clusters that need it creates it for all."""
    group = step.group
    async with engine.group_lock(group.reference):
        ensured, facts = await admin_group.ensure(engine.ports, group, job.prover.object_id)
        if ensured.created:
            engine.group_written()
    if facts.members == 0:
        text = f"group {group.display_name} has no members yet"
        engine.deadlines.later(job.plan.cluster, "members", engine.timeouts.sign_in, text)
    return (ensured,)


async def set_entra(engine: Engine, job: Job, step: EnableEntra | UpdateEntra) -> tuple[Evidence, ...]:
    """Write the Entra profile that the plan names, unless ARM shows it already, and check that it took effect."""
    cluster = job.plan.cluster
    groups = await checks.existing_groups(engine.ports, job.plan)
    expected = write_guards.expected_before(job.plan, step, groups)
    wanted = expected.after(step).resolved(groups)
    unknown = [name for name in wanted.admin_groups if ":" in name]
    if unknown:
        raise Refused(f"admin group {unknown[0]} does not exist any more", remedy="plan again")
    posture = await engine.at_rest(cluster, recent=True)
    if write_guards.entra_differences(wanted, posture):
        write_guards.as_expected(expected, posture)
        await engine.ask_again(job, step, await engine.with_ca(posture))
        ids = checks.object_ids(step.admin_groups, groups)
        if isinstance(step, EnableEntra):
            call = engine.ports.arm.enable_entra(cluster, expected, step.tenant_id, ids, step.azure_rbac)
        else:
            call = engine.ports.arm.update_entra(cluster, expected, ids, step.azure_rbac)
        await engine.finish(job, step, await call)
        posture = await engine.at_rest(cluster)
        write_guards.effect_seen(
            write_guards.entra_differences(wanted, posture), "the update ended well, but ARM shows a difference"
        )
    changed, correlation_id = engine.own_write(job, step)
    at = engine.stamp()
    if changed:
        engine.of(cluster).groups_at = at
    return (
        EntraSet(
            at=at,
            changed=changed,
            admin_group_ids=posture.admin_group_ids,
            tenant_id=posture.tenant_id or "",
            azure_rbac=posture.azure_rbac,
            correlation_id=correlation_id,
        ),
    )
