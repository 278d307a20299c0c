"""The steps that assign the policy that keeps local accounts off, and take it away again."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from aks_entra.core.deny_policy import NOT_OURS, assignment_id, how_to_assign
from aks_entra.core.evidence.observations import DenyPolicySeen, Evidence
from aks_entra.core.planning.job import Job
from aks_entra.core.steps import AssignDenyPolicy, RemoveDenyPolicy
from aks_entra.errors import Diverged, Refused, Rejected
from aks_entra.execution import write_guards
from aks_entra.execution.engine import Engine
from aks_entra.probes import deny_policy

_SHOWN: Final = "deny policy"


async def assign_deny_policy(engine: Engine, job: Job, step: AssignDenyPolicy) -> tuple[Evidence, ...]:
    """Assign the policy, unless an assignment denies local accounts already. A missing right is only reported."""
    cluster = job.plan.cluster
    seen = await deny_policy.look(engine.ports, cluster)
    if not seen.assignment:
        if (await engine.watch.at_rest(cluster)).local_accounts:
            raise Diverged("local accounts are on: the policy would refuse every change", remedy=write_guards.AGAIN)
        await engine.still_ours(cluster)
        try:
            trace = await engine.ports.deny_policies.assign(cluster, job.digest)
        except (Refused, Rejected) as error:
            if error.code == "LookOnly":
                raise
            taken = error.code == NOT_OURS  # the command would replace what somebody else made
            remedy = error.remedy if taken else how_to_assign(cluster)
            return (DenyPolicySeen(at=engine.stamp(), assignment="", problem=error.message, remedy=remedy),)
        engine.of(cluster).written[step.kind] = trace
        seen = await deny_policy.look(engine.ports, cluster)
        if not seen.assignment:  # a list of Azure may show an assignment late
            text = f"the policy was assigned, but {seen.problem}"
            engine.deadlines.later(cluster, _SHOWN, engine.timeouts.refusal, text, remedy=write_guards.AGAIN)
    engine.deadlines.arrived(cluster, _SHOWN)
    changed, trace = engine.own_write(job, step)
    return (replace(seen, changed=changed, correlation_id=trace),)


async def remove_deny_policy(engine: Engine, job: Job, _: RemoveDenyPolicy) -> tuple[Evidence, ...]:
    """Remove our own assignment. Those of others stay."""
    cluster = job.plan.cluster
    await engine.still_ours(cluster)
    removed = await engine.ports.deny_policies.remove(cluster)
    said = f"{assignment_id(cluster)} was removed" if removed else "no assignment of ours was there"
    return (DenyPolicySeen(at=engine.stamp(), assignment="", changed=removed, problem=said),)
