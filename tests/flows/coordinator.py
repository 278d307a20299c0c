"""Runs a coordinator and the batch of one stage in the test's own process, so that coverage measures them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from prefect import flow, tags

from aks_entra.prefect_client import artifacts, migration_records, names, progress
from aks_entra.prefect_client.liveness import register
from aks_entra.prefect_client.names import key
from flows.migrate_batch import migrate_batch

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.schemas.objects import State

    from aks_entra.core.planning.plan import FleetPlan


async def note_again(run: UUID, fields: dict[str, str | None]) -> None:
    """Store again what a coordinator noted that it works on, with other fields. A field of None is left out."""
    stored = await artifacts.get(key("work-of", str(run)))
    assert stored is not None
    said = {**json.loads(stored.text), **fields}
    await artifacts.put(
        stored.key, json.dumps({name: one for name, one in said.items() if one is not None}), kind="note"
    )


async def batch_of(
    plan: FleetPlan,
    *,
    place: int = 0,
    at: int | None = None,
    through: int | None = None,
    writes: bool = True,
    note: dict[str, str | None] | None = None,
) -> State[Any]:
    """Run the batch of a stage under a coordinator that stores the same notes as the real one. Returns its state.

    `at` makes the coordinator note another stage as the present one. `through` is the number of stages that it notes as
    done. `note` holds fields of its note on the stage as another version of aks-entra writes them; None leaves one out.
    """
    stage = plan.stages[place]
    members = [member.resource_id for member in stage.members]
    ended: list[State[Any]] = []

    @flow(name=names.COORDINATOR, persist_result=False)
    async def coordinate() -> None:
        run = await register()
        await migration_records.note_plan(run, plan.digest, plan.facts_digest)
        for earlier in range(place if through is None else through):
            await progress.finish(run, earlier, follows=plan.follows)
        await progress.work_on(run, plan, place if at is None else at, writes=writes)
        if note:
            await note_again(run, note)
        with tags(names.coordinator_tag(run)):
            ended.append(await migrate_batch(plan.digest, stage.name, members, return_state=True))

    await coordinate()
    return ended[0]
