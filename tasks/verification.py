"""Verify clusters without a migration, one task for each cluster. Nothing here writes to Azure."""

from __future__ import annotations

from aks_entra.core.evidence.observations import GroupSeen
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.verdict.verdict import Verdict
from aks_entra.planning.group_drift import groups_seen
from aks_entra.verification import fleet
from aks_entra.verification.fleet import Known
from aks_entra.wiring import current_session
from tasks.azure_task import observable


@observable("verify")
async def verify_cluster(job: Job, known: Known, groups: tuple[GroupSeen, ...] = ()) -> Verdict:
    """Look at one cluster now, and judge it by everything that is known about it.

    `groups` is what was seen of the groups that the fleet file declares for it.
    """
    session = current_session()
    return await fleet.verify_cluster(session.ports, session.timeouts, job, known, groups=groups)


@observable("look at declared groups", of="plan.name")
async def look_at_groups(plan: FleetPlan) -> dict[str, GroupSeen]:
    """Return what differs now in the groups that the fleet file declares, by the plan's name for each group."""
    return await groups_seen(current_session().ports, plan)


@observable("wait for the activity log", of=None)
async def wait_for_log(verdicts: tuple[Verdict, ...]) -> bool:
    """Wait until Azure's activity log is complete for the verdicts that lack only that. False if there are none."""
    clock, ready = current_session().ports.clock, fleet.complete_at(verdicts)
    if ready is None:
        return False
    await clock.sleep(max((ready - clock.now()).total_seconds(), 0))
    return True
