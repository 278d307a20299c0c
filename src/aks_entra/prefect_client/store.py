"""Prefect's artifacts as the place for what must survive a death and is no secret: plans, evidence, verdicts, reports.

An artifact carries its text gzipped as `data` and a page for people as `description`. The newest one under a key
counts; nothing is ever overwritten, so that a later reader sees what was known when.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import (
    ArtifactCollectionFilter,
    ArtifactCollectionFilterKey,
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.client.schemas.sorting import ArtifactCollectionSort, ArtifactSort
from prefect.context import FlowRunContext, TaskRunContext

from aks_entra.documents import pack, unpack

PAGE = 200
OURS = "aks-entra/"
"""The beginning of the types of artifacts that carry a packed text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One stored text: its key, when it was stored (ISO 8601) and by which flow run."""

    key: str
    text: str
    at: str
    flow_run: UUID | None = None


def current_flow_run() -> UUID | None:
    """The flow run in whose process this is; None outside of one."""
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        return context.flow_run.id
    task = TaskRunContext.get()
    return task.task_run.flow_run_id if task is not None else None


async def put(key: str, text: str, *, kind: str, page: str = "") -> None:
    """Store a text under a key; `page` (markdown) is what Prefect's UI shows of it."""
    async with get_client() as client:
        await client.create_artifact(
            ArtifactCreate(
                key=key,
                type=f"{OURS}{kind}",
                description=page or None,
                data=pack(text),
                flow_run_id=current_flow_run(),
            )
        )


async def show(key: str, *, kind: str, data: object, description: str = "") -> None:
    """Store what is for people only: `kind` is Prefect's own ("markdown", "table")."""
    async with get_client() as client:
        await client.create_artifact(
            ArtifactCreate(
                key=key, type=kind, description=description or None, data=data, flow_run_id=current_flow_run()
            )
        )


async def get(key: str) -> Stored | None:
    """The newest text under a key."""
    async with get_client() as client:
        found = await client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])),
            sort=ArtifactSort.CREATED_DESC,
            limit=1,
        )
    return next((_stored(one.key, one.data, one.created, one.flow_run_id) for one in found), None)


async def newest(prefix: str) -> tuple[Stored, ...]:
    """The newest text of every key that begins with the prefix, in the order of keys."""
    found: list[Stored] = []
    offset = 0
    async with get_client() as client:
        while True:
            page = await client.read_latest_artifacts(
                artifact_filter=ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(like_=f"{prefix}%")),
                sort=ArtifactCollectionSort.KEY_ASC,
                limit=PAGE,
                offset=offset,
            )
            found += [
                _stored(one.key, one.data, one.created, one.flow_run_id)
                for one in page
                if (one.type or "").startswith(OURS)  # beside pages that are for people only
                and (one.key or "").startswith(prefix)  # the server's "like" finds it anywhere in a key
            ]
            offset += PAGE
            if len(page) < PAGE:
                return tuple(found)


async def of_runs(client: PrefectClient, runs: tuple[UUID, ...], prefix: str) -> tuple[Stored, ...]:
    """Every text that these flow runs stored under keys that begin with the prefix, oldest first."""
    found: list[Stored] = []
    seen = 0
    while runs:
        page = await client.read_artifacts(
            artifact_filter=ArtifactFilter(
                key=ArtifactFilterKey(like_=f"{prefix}%"), flow_run_id=ArtifactFilterFlowRunId(any_=list(runs))
            ),
            sort=ArtifactSort.CREATED_DESC,
            limit=PAGE,
            offset=seen,
        )
        seen += len(page)
        found += [
            _stored(one.key, one.data, one.created, one.flow_run_id)
            for one in page
            if (one.key or "").startswith(prefix)
        ]
        if len(page) < PAGE:
            break
    return tuple(reversed(found))


def _stored(key: str | None, data: object, created: object, flow_run: UUID | None) -> Stored:
    return Stored(key=key or "", text=unpack(str(data)), at=str(created or ""), flow_run=flow_run)


def own_flow_run() -> UUID:
    """The flow run in whose process this is; for code that runs nowhere else."""
    run = current_flow_run()
    if run is None:
        raise RuntimeError("this belongs into a flow run")
    return run
