"""An attacker with access to Prefect's API, who starts runs by hand and posts changed copies of approvals."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import ArtifactSort
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Scheduled

from aks_entra.documents import pack, unpack
from aks_entra.prefect_client import names
from flows.migrate_batch import migrate_batch

if TYPE_CHECKING:
    from aks_entra.core.planning.plan import FleetPlan

_LEFT_ALONE: Final = ("plan", "verdict", "evidence", "baseline", "report", "verification", "grant")
"""Kinds of artifacts that are not copied, because they are not approvals."""
_AT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^\"]*")


async def approvals_of(run: UUID) -> list[tuple[Artifact, str]]:
    """Return the artifacts of a run that the program may read as decisions or progress, with their texts."""
    async with get_client() as client:
        found = await _of(client, run)
    return [
        (one, unpack(str(one.data)))
        for one in found
        if (one.type or "").startswith("aks-entra/") and (one.type or "").rpartition("/")[2] not in _LEFT_ALONE
    ]


async def replay(
    genuine: Sequence[tuple[Artifact, str]], changes: Mapping[str, str], *, run: UUID | None = None, at: str = ""
) -> int:
    """Post copies of artifacts with other words (digests, runs, stages), and return how many were posted.

    `at` replaces every moment in them. `run` is the run to which the copies are attached.
    """
    async with get_client() as client:
        for artifact, told in genuine:
            key, text = artifact.key or "", told
            for old, new in changes.items():
                key, text = key.replace(names.key(old), names.key(new)), text.replace(old, new)
            await client.create_artifact(
                ArtifactCreate(
                    key=key,
                    type=artifact.type,
                    description=artifact.description,
                    data=pack(_AT.sub(at, text) if at else text),
                    flow_run_id=run,
                )
            )
    return len(genuine)


async def start_by_hand(deployment: str, parameters: Mapping[str, Any], tags: Sequence[str] = ()) -> UUID | None:
    """Start a deployment, as anybody can. Returns None if Prefect's server refuses the parameters."""
    async with get_client() as client:
        found = await client.read_deployment_by_name(deployment)
        try:
            made = await client.create_flow_run_from_deployment(found.id, parameters=dict(parameters), tags=list(tags))
        except PrefectHTTPStatusError:
            return None
    return made.id


async def start_batch_here(plan: FleetPlan, stage: str) -> None:
    """Start a batch in this process as an attacker would, and ignore how it ends."""
    found = next(one for one in plan.stages if one.name == stage)
    await migrate_batch(plan.digest, stage, [one.resource_id for one in found.members], return_state=True)


async def push(run: UUID) -> None:
    """Schedule a run that waits at its gate, as if it needed no approval."""
    async with get_client() as client:
        await client.set_flow_run_state(run, Scheduled(), force=True)


async def _of(client: PrefectClient, run: UUID) -> list[Artifact]:
    return await client.read_artifacts(
        artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run])),
        sort=ArtifactSort.CREATED_DESC,
        limit=200,
    )
