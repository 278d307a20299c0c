"""The runs whose approvals count for a coordinator: its own, and the dead runs that it resumes."""

from __future__ import annotations

from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from aks_entra.prefect_client import names


async def lineage(client: PrefectClient, run: UUID) -> tuple[FlowRun, ...]:
    """Return the run and those that it resumes, the newest first.

    A run resumes another one if it names it (by its tag), belongs to the same flow, was created later, and the other
    one ended without completing. The permission of a run that completed ended with that run.
    """
    found = [await client.read_flow_run(run)]
    while older_id := named(names.resumed_by(found[-1].tags)):
        try:
            older = await client.read_flow_run(*older_id)
        except ObjectNotFound:
            break
        if not _resumable(older, by=found[-1]) or older.id in {one.id for one in found}:
            break
        found.append(older)
    return tuple(found)


def named(run: str | None) -> tuple[UUID, ...]:
    """Return the run id in a tag. Empty if there is no tag, or if it holds no run id."""
    try:
        return (UUID(run),) if run else ()
    except ValueError:
        return ()


async def resumed(run: UUID) -> tuple[UUID, ...]:
    """Return the dead runs that a run resumes, the newest first."""
    async with get_client() as client:
        return tuple(one.id for one in (await lineage(client, run))[1:])


def _resumable(run: FlowRun, *, by: FlowRun) -> bool:
    over = run.state is not None and run.state.is_final() and not run.state.is_completed()
    before = run.created is not None and by.created is not None and run.created < by.created
    return over and before and run.flow_id == by.flow_id
