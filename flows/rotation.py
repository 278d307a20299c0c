"""The second part of a rollout: rotations that the first part left owed, after a soak, under a plan of their own."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from aks_entra.core.durations import in_words
from aks_entra.core.plan import FleetPlan
from aks_entra.core.rollout import StageResult
from aks_entra.prefect_client import archive, notes, runs
from aks_entra.prefect_client.waiting import postpone
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from flows.outcome import close, owing
from tasks.surveys import plan_rotations


async def next_part(run: UUID, plan: FleetPlan, results: list[StageResult]) -> FleetPlan | None:
    """The plan of what is owed, stored and noted as the run's; None: nothing is. Until the soak is over it ends here.

    The first part's report is stored before the waiting begins: what is owed stands in it.
    """
    if plan.rotation is None or not (clusters := await owing(plan)):
        return None
    ends = [await notes.reached(plan.digest, stage.name, "after") for stage in plan.stages]
    begins = min(ends) + timedelta(seconds=plan.rotation.after)
    if notes.now() < begins:
        await close(run, plan, results)
        soak = in_words(plan.rotation.after)
        await postpone(begins, f"soak of {soak}; then the rotation of {len(clusters)} clusters is planned")
    async with open_session(Settings(), prover=plan.prover.spec):
        second = await plan_rotations(plan, clusters)
    await archive.store_plan(second)
    await notes.soak_from(second.digest, plan)
    await archive.note_plan(run, second.digest)
    await runs.tag_run(run, second.digest)
    await archive.show_plan(second)
    return second
