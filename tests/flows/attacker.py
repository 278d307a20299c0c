"""An attacker who writes anything to Prefect's API and into the store of records, and starts runs by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import ArtifactSort
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Running, Scheduled

from aks_entra import __version__
from aks_entra.core.durations import stamp
from aks_entra.core.planning.approval import Approval
from aks_entra.documents import dump_signed_approval, pack, unpack
from aks_entra.prefect_client import artifact_requests, migration_records, names, progress
from aks_entra.prefect_client.decisions import answers_of, question_of
from aks_entra.prefect_client.kept_records import is_kept
from aks_entra.prefect_client.record_store import kept_records
from flows.migrate_batch import migrate_batch

if TYPE_CHECKING:
    from aks_entra.core.planning.plan import FleetPlan
    from aks_entra.core.planning.signed_approval import SignedApproval

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


async def post(key: str, text: str, *, kind: str, run: UUID | None = None) -> None:
    """Store a record in the name of a run, at Prefect's server, and in the store of records if there is one."""
    kept = await kept_records() if is_kept(key) else None
    if kept is not None:
        await kept.store.append(key, pack(text), kind=kind, flow_run=run)
    async with get_client() as client:
        await artifact_requests.create(client, key, pack(text), kind=kind, flow_run=run)


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


async def start_batch_on_worker(plan: FleetPlan, stage: str, coordinator: UUID | None = None) -> UUID | None:
    """Start a batch on a worker, with all tags of a genuine one."""
    members = [one.resource_id for found in plan.stages if found.name == stage for one in found.members]
    tags = [names.plan_tag(plan.digest), names.stage_tag(stage), names.batch_tag(1)]
    tags += [names.coordinator_tag(coordinator)] if coordinator else []
    return await start_by_hand(names.MIGRATE_BATCH, {"plan": plan.digest, "stage": stage, "members": members}, tags)


async def start_batch_here(plan: FleetPlan, stage: str) -> None:
    """Start a batch in this process as an attacker would, and ignore how it ends."""
    found = next(one for one in plan.stages if one.name == stage)
    await migrate_batch(plan.digest, stage, [one.resource_id for one in found.members], return_state=True)


async def seize(run: UUID, plan: FleetPlan, stage: str, signed: Sequence[SignedApproval]) -> UUID | None:
    """Make a run look as if it was approved and works on a stage, and start a batch in its name. Returns the batch.

    The run's gate was answered before, so that the server's own history shows an answer.
    """
    place = next(place for place, one in enumerate(plan.stages) if one.name == stage)
    question = question_of(plan, place, "before")
    async with get_client() as client:
        given = [one for one in await answers_of(client, run) if question.is_asked_by(one.question)]
        approval = Approval(
            plan=plan.digest,
            stage=stage,
            moment="before",
            decision="approve",
            approver="dana@contoso.com",
            reason="as read",
            at=stamp(given[-1].at),
            run=str(run),
            question=given[-1].question,
            facts=plan.facts_digest,
            signed=tuple(map(dump_signed_approval, signed)),
        )
        name = migration_records.approval_key("approval", plan.digest, "before", stage)
        await post(name, json.dumps(asdict(approval)), kind="approval", run=run)
        work = progress.Work(
            plan=plan.digest,
            facts=plan.facts_digest,
            place=place,
            writes=True,
            at=stamp(progress.now()),
            version=__version__,
        )
        await post(names.key("work-of", str(run)), json.dumps(asdict(work)), kind="note", run=run)
        await client.set_flow_run_state(run, Running(), force=True)
    return await start_batch_on_worker(plan, stage, run)


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
