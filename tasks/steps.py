"""The approved steps of one cluster: one task that reads what is left, and one for each part of a step."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import cache
from typing import Any

from prefect import Task

from aks_entra.core.evidence.observations import Evidence
from aks_entra.core.planning.job import Job
from aks_entra.core.steps import KINDS, Step
from aks_entra.execution.executor import StillOurs
from aks_entra.execution.steps.registry import Part
from aks_entra.ports.read_only import nothing_to_write
from aks_entra.wiring import current_session
from tasks.azure_task import observable
from tasks.evidence import say_evidence

__all__ = ["Part", "StillOurs", "look", "perform"]


@observable("look")
async def look(job: Job) -> tuple[Step, ...]:
    """Return what is left of the approved steps, once the cluster is at rest.

    Raises:
        Refused: the cluster moved since the approval, or this run may only look and one of these steps writes.
    """
    session = current_session()
    left = await session.executor.remaining(job)
    session.ports.log.say(
        job.plan.cluster, f"these steps are left: {', '.join(KINDS[type(step)].title for step in left)}"
    )
    return nothing_to_write(left) if session.look_only else left


async def perform(job: Job, step: Step, part: Part) -> tuple[Evidence, ...]:
    """Run the task of one part of a step."""
    return await _task(part)(job, step)


@cache
def _task(part: Part) -> Task[[Job, Step], Coroutine[Any, Any, tuple[Evidence, ...]]]:
    @observable(part.title)
    async def perform_part(job: Job, step: Step) -> tuple[Evidence, ...]:
        session, cluster = current_session(), job.plan.cluster
        session.ports.log.say(cluster, "the step begins")
        seen = await session.executor.perform(job, step, part)
        say_evidence(cluster, seen)
        return seen

    return perform_part
