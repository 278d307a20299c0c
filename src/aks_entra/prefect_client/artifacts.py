"""What must survive a process and is no secret: plans, evidence, verdicts, reports, and notes of living runs.

Each has a key, and the newest one under a key counts. Nothing is overwritten, so that a later reader sees what was
known at which time. With AKS_ENTRA_RECORDS, what `kept_records` names is stored there first, and read from there; the
artifact at Prefect's server is its view for people, if it has one. Everything else is an artifact alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final
from uuid import UUID
from weakref import WeakKeyDictionary

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.context import FlowRunContext, TaskRunContext
from prefect.settings import get_current_settings

from aks_entra.documents import pack
from aks_entra.prefect_client import artifact_requests
from aks_entra.prefect_client.artifact_requests import OURS, Stored, of_runs
from aks_entra.prefect_client.coalesced import CoalescedRequests
from aks_entra.prefect_client.kept_records import has_view, is_kept
from aks_entra.prefect_client.record_store import KeptRecords, kept_records
from aks_entra.text.safe import for_storage

__all__ = ["Stored", "of_runs"]  # both are asked for here


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
    kept = await _kept(key)
    if kept is not None:
        await kept.store.append(key, packed, kind=kind, flow_run=current_flow_run())
        if not has_view(key):
            return
    async with get_client() as client:
        await artifact_requests.create(client, key, packed, kind=kind, page=page, flow_run=current_flow_run())


async def _kept(key: str) -> KeptRecords | None:
    """Return the records where this key is kept. None: it is an artifact alone."""
    return await kept_records() if is_kept(key) else None


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
    kept = await _kept(key)
    return await (kept.newest(key) if kept else _keys_asked_for().ask(key))


_by_server: Final[
    WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str | None, CoalescedRequests[str, Stored | None]]]
] = WeakKeyDictionary()


def _keys_asked_for() -> CoalescedRequests[str, Stored | None]:
    """Return what reads keys in the present event loop at the present server."""
    here = _by_server.setdefault(asyncio.get_running_loop(), {})
    return here.setdefault(get_current_settings().api.url, CoalescedRequests(_read_keys))


async def _read_keys(keys: frozenset[str]) -> Mapping[str, Stored | None]:
    async with get_client() as client:
        return await artifact_requests.newest_of(client, keys)


async def versions(key: str) -> tuple[Stored, ...]:
    """Return every text that was stored under a key, newest first."""
    kept = await _kept(key)
    return await (kept.versions_of(key) if kept else artifact_requests.versions_of(key))


async def kept_versions(prefix: str) -> tuple[Stored, ...]:
    """Return every text that the store of records has under keys that begin with the prefix. Empty without a store."""
    kept = await _kept(prefix)
    return await kept.versions_under(prefix) if kept else ()


async def own_text(flow_run: UUID, key: str) -> str | None:
    """Return the newest text under a key that this flow run itself stored, or None. Texts of others do not count.

    Raises Refused, with the key, if the text is damaged.
    """
    return next((one.text for one in await versions(key) if one.flow_run == flow_run), None)


async def newest(prefix: str) -> tuple[Stored, ...]:
    """Return the newest text of every key that begins with the prefix, in the order of keys."""
    kept = await _kept(prefix)
    return await (kept.newest_under(prefix) if kept else artifact_requests.newest_under(prefix))


def own_flow_run() -> UUID:
    """Return the flow run of this process. Raises RuntimeError outside of one."""
    run = current_flow_run()
    if run is None:
        raise RuntimeError("this code runs only in a flow run")
    return run
