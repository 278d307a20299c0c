"""Prefect's artifacts keep what must survive a process and is no secret: plans, evidence, verdicts, reports.

An artifact holds its text gzipped as `data` and a page for people as `description`. The newest one under a key counts.
Nothing is overwritten, so that a later reader sees what was known at which time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID
from weakref import WeakKeyDictionary

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import (
    ArtifactCollectionFilter,
    ArtifactCollectionFilterKey,
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.client.schemas.objects import ArtifactCollection
from prefect.client.schemas.sorting import ArtifactCollectionSort, ArtifactSort
from prefect.context import FlowRunContext, TaskRunContext
from prefect.settings import get_current_settings

from aks_entra.documents import pack, unpack
from aks_entra.errors import Refused
from aks_entra.prefect_client.coalesced import CoalescedRequests
from aks_entra.text.safe import for_storage

PAGE = 200
OURS = "aks-entra/"
"""The beginning of the types of artifacts that carry a packed text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One stored text: its key, when it was stored (ISO 8601) and by which flow run."""

    key: str
    packed: str
    at: str
    flow_run: UUID | None = None

    @property
    def text(self) -> str:
        """The text. Raises Refused, with its key, if it is damaged; others can still be read."""
        try:
            return unpack(self.packed)
        except Refused as error:
            error.message = f"{self.key}: {error.message}"
            raise


def current_flow_run() -> UUID | None:
    """Return the flow run of this process, or None outside of one."""
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        return context.flow_run.id
    task = TaskRunContext.get()
    return task.task_run.flow_run_id if task is not None else None


async def put(key: str, text: str, *, kind: str, page: str = "") -> None:
    """Store a text under a key; `page` (markdown) is what Prefect's UI shows of it."""
    await _put(key, pack(text), kind=kind, page=page)


async def copy(stored: Stored, key: str, *, kind: str, page: str = "") -> None:
    """Copy a stored text to another key, unchanged: a damaged text stays damaged."""
    await _put(key, stored.packed, kind=kind, page=page)


async def _put(key: str, packed: str, *, kind: str, page: str) -> None:
    async with get_client() as client:
        await client.create_artifact(
            ArtifactCreate(
                key=key,
                type=f"{OURS}{kind}",
                description=for_storage(page) or None,
                data=packed,
                flow_run_id=current_flow_run(),
            )
        )


async def show(key: str, *, kind: str, data: str, description: str = "") -> None:
    """Store a page for people. `kind` is one of Prefect's own ("markdown", "table")."""
    async with get_client() as client:
        await client.create_artifact(
            ArtifactCreate(
                key=key,
                type=kind,
                description=for_storage(description) or None,
                data=for_storage(data),
                flow_run_id=current_flow_run(),
            )
        )


class Renewed:
    """One artifact that is written again in its place, for what matters only in its newest state.

    With a `kind` of ours it holds a packed text, with one of Prefect's a page for people.
    """

    def __init__(self, key: str, *, kind: str, ours: bool = True) -> None:
        self._key, self._type, self._ours = key, f"{OURS}{kind}" if ours else kind, ours
        self._id: UUID | None = None

    async def put(self, text: str) -> None:
        """Write the text. The first time makes the artifact."""
        data = pack(text) if self._ours else for_storage(text)
        async with get_client() as client:
            if self._id is None:
                made = await client.create_artifact(
                    ArtifactCreate(key=self._key, type=self._type, data=data, flow_run_id=current_flow_run())
                )
                self._id = made.id
            else:  # the client's `update_artifact` also sends an event with the whole text
                await client.request("PATCH", "/artifacts/{id}", path_params={"id": self._id}, json={"data": data})


async def get(key: str) -> Stored | None:
    """Return the newest text under a key, or None. Keys that are asked for at the same time share a request."""
    return await _keys_asked_for().ask(key)


_by_server: Final[
    WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str | None, CoalescedRequests[str, Stored | None]]]
] = WeakKeyDictionary()


def _keys_asked_for() -> CoalescedRequests[str, Stored | None]:
    """Return what reads keys in the present event loop at the present server."""
    here = _by_server.setdefault(asyncio.get_running_loop(), {})
    return here.setdefault(get_current_settings().api.url, CoalescedRequests(_read_keys))


async def _read_keys(keys: frozenset[str]) -> Mapping[str, Stored | None]:
    async with get_client() as client:
        return await newest_of(client, keys)


async def newest_of(client: PrefectClient, keys: frozenset[str]) -> dict[str, Stored | None]:
    """Return the newest text under each of these keys, or None where there is none."""
    wanted = sorted(keys)
    found: dict[str, Stored | None] = dict.fromkeys(wanted)
    for start in range(0, len(wanted), PAGE):
        some = ArtifactCollectionFilterKey(any_=wanted[start : start + PAGE])
        page = await client.read_latest_artifacts(artifact_filter=ArtifactCollectionFilter(key=some), limit=PAGE)
        found |= {one.key: _latest(one) for one in page}
    return found


async def versions(key: str) -> tuple[Stored, ...]:
    """Return every text that was stored under a key, newest first."""
    found: list[Stored] = []
    offset = 0
    async with get_client() as client:
        while True:
            page = await client.read_artifacts(
                artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])),
                sort=ArtifactSort.CREATED_DESC,
                limit=PAGE,
                offset=offset,
            )
            found += [_stored(one.key, one.data, one.created, one.flow_run_id) for one in page]
            offset += PAGE
            if len(page) < PAGE:
                return tuple(found)


async def own_text(flow_run: UUID, key: str) -> str | None:
    """Return the newest text under a key that this flow run itself stored, or None. Texts of others do not count.

    Raises Refused, with the key, if the text is damaged.
    """
    return next((one.text for one in await versions(key) if one.flow_run == flow_run), None)


async def newest(prefix: str) -> tuple[Stored, ...]:
    """Return the newest text of every key that begins with the prefix, in the order of keys."""
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
                _latest(one)
                for one in page
                if (one.type or "").startswith(OURS)  # not the pages for people
                and (one.key or "").startswith(prefix)  # the server's "like" finds it anywhere in a key
            ]
            offset += PAGE
            if len(page) < PAGE:
                return tuple(found)


async def of_runs(client: PrefectClient, runs: tuple[UUID, ...], prefix: str) -> tuple[Stored, ...]:
    """Return every text that these flow runs stored under keys that begin with the prefix, oldest first."""
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


def _latest(one: ArtifactCollection) -> Stored:
    return _stored(one.key, one.data, one.updated, one.flow_run_id)  # it was created with the first text of its key


def _stored(key: str | None, data: object, created: object, flow_run: UUID | None) -> Stored:
    return Stored(key=key or "", packed=str(data), at=str(created or ""), flow_run=flow_run)


def own_flow_run() -> UUID:
    """Return the flow run of this process. Raises RuntimeError outside of one."""
    run = current_flow_run()
    if run is None:
        raise RuntimeError("this code runs only in a flow run")
    return run
