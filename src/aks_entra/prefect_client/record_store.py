"""The store of records of this process, and whether it is the one that the runs of a Prefect server use.

A note at Prefect's server has an id, and so has a record in the store of its runs. A process that has another store, or
none, would read nothing where there is something, and so it is refused.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Final
from uuid import uuid4
from weakref import WeakKeyDictionary

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.settings import get_current_settings

from aks_entra.adapters.records import open_store
from aks_entra.documents import pack
from aks_entra.errors import Refused
from aks_entra.host.server_auth import records_place
from aks_entra.ports.records import DAMAGED, RecordStore, StoredRecord
from aks_entra.prefect_client import artifact_requests
from aks_entra.prefect_client.artifact_requests import Stored
from aks_entra.prefect_client.coalesced import CoalescedRequests
from aks_entra.prefect_client.kept_records import KEPT, is_kept
from aks_entra.settings import Settings
from aks_entra.text.markdown import code

NOTE: Final = "record-store"
"""The key of the note at Prefect's server, and of the record that it names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a Prefect server says about the store of its runs.

    Attributes:
        place: how AKS_ENTRA_RECORDS named the store, in the process that noted it.
        server: an id for the server. A store that has no record of it is another one.
    """

    place: str
    server: str


class KeptRecords:
    """Reads records from the store, and those from before the store was set from Prefect's artifacts."""

    def __init__(self, store: RecordStore, *, whole: bool) -> None:
        """`whole`: the store has everything, so Prefect's artifacts are not read."""
        self.store = store
        self.whole = whole
        self._keys = CoalescedRequests(self._newest_of)

    async def newest(self, key: str) -> Stored | None:
        """Return the newest text under a key, or None. Keys that are asked for at the same time are read together."""
        return await self._keys.ask(key)

    async def _newest_of(self, keys: frozenset[str]) -> Mapping[str, Stored | None]:
        found = await self._in_store(keys)
        missing = frozenset(key for key, one in found.items() if one is None)
        if missing and not self.whole:
            async with get_client() as client:
                found |= await artifact_requests.newest_of(client, missing)
        return found

    async def _in_store(self, keys: frozenset[str]) -> dict[str, Stored | None]:
        try:
            found = await self.store.newest(keys)
        except Refused as error:
            if error.code != DAMAGED:
                raise
            if len(keys) > 1:  # one of them is damaged: the others are still read
                each = await asyncio.gather(*(self._in_store(frozenset({key})) for key in sorted(keys)))
                return {key: one for some in each for key, one in some.items()}
            return {key: _damaged(key, error) for key in keys}
        return {key: _stored(one) if (one := found[key]) else None for key in keys}

    async def newest_under(self, prefix: str) -> tuple[Stored, ...]:
        """Return the newest text of every key that begins with the prefix, in the order of keys."""
        kept = {key: one for key, one in (await self._in_store_under(prefix)).items() if one is not None}
        before = () if self.whole else await artifact_requests.newest_under(prefix)
        found = {one.key: one for one in before} | kept
        return tuple(found[key] for key in sorted(found))

    async def _in_store_under(self, prefix: str) -> dict[str, Stored | None]:
        try:
            return {one.key: _stored(one) for one in await self.store.newest_under(prefix)}
        except Refused as error:
            if error.code != DAMAGED:
                raise
            return await self._in_store(frozenset(await self.store.keys(prefix)))

    async def versions_of(self, key: str) -> tuple[Stored, ...]:
        """Return every text that was stored under a key, newest first."""
        kept = tuple(map(_stored, await self.store.versions(key)))
        before = () if self.whole else await artifact_requests.versions_of(key)
        return (*kept, *_missing(before, kept))

    async def versions_under(self, prefix: str) -> tuple[Stored, ...]:
        """Return every text that the store has under keys that begin with the prefix, of each key the newest first.

        A key with a damaged record is one text, which says so.
        """
        keys = await self.store.keys(prefix)
        return tuple(one for some in await asyncio.gather(*map(self._versions_in_store, keys)) for one in some)

    async def _versions_in_store(self, key: str) -> tuple[Stored, ...]:
        try:
            return tuple(map(_stored, await self.store.versions(key)))
        except Refused as error:
            if error.code != DAMAGED:
                raise
            return (_damaged(key, error),)


def _damaged(key: str, error: Refused) -> Stored:
    return Stored(key=key, packed="", at="", problem=error.message)


_by_server: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str | None, _Here]]] = WeakKeyDictionary()


async def kept_records() -> KeptRecords | None:
    """Return the records of this process at the present server. None: there is no store, and Prefect keeps them.

    Raises Refused if the runs of this server keep their records in another store, or if the store cannot be read.
    """
    here = _by_server.setdefault(asyncio.get_running_loop(), {})
    return await here.setdefault(get_current_settings().api.url, _Here()).records()


class _Here:
    """The store of this process at one server. It is looked for once."""

    def __init__(self) -> None:
        self._opening = asyncio.Lock()
        self._asked = False
        self._found: KeptRecords | None = None
        self._open: AsyncIterator[RecordStore] | None = None

    async def records(self) -> KeptRecords | None:
        if not self._asked:
            async with self._opening:
                if not self._asked:
                    self._found = await self._find()
                    self._asked = True
        return self._found

    async def _find(self) -> KeptRecords | None:
        place = place_here()
        async with get_client() as client:
            note = await _note(client)
            if not place:
                if note is not None:
                    raise _elsewhere(note, "AKS_ENTRA_RECORDS is not set here")
                return None
            store = await self._opened(place)
            if note is None:
                return await _begin(client, store, place)
            whole = await _is_whole(store, note)
            if whole is None:
                raise _elsewhere(note, f"{place}, which AKS_ENTRA_RECORDS names here, is another store")
        return KeptRecords(store, whole=whole)

    async def _opened(self, place: str) -> RecordStore:
        """Open the store. It is closed when the event loop ends, which ends its asynchronous generators."""

        async def until_the_end() -> AsyncIterator[RecordStore]:
            async with open_store(Settings(records=place)) as store:
                yield store

        self._open = until_the_end()
        return await anext(self._open)


@asynccontextmanager
async def without_server() -> AsyncIterator[RecordStore | None]:
    """Open the store that AKS_ENTRA_RECORDS names, on a day when no server can say whether its runs use it.

    Yields None if it names none.
    """
    settings = Settings()
    if not settings.records:
        yield None
        return
    async with open_store(settings) as store:
        yield store


def place_here() -> str:
    """Return the place of the store of records at the present server. Empty: there is none."""
    return records_place(Settings(), get_current_settings().api.url or "")


async def _begin(client: PrefectClient, store: RecordStore, place: str) -> KeptRecords:
    """Note at a server that its runs keep their records in this store from now on."""
    note = Note(place=place, server=str(uuid4()))
    whole = not await artifact_requests.exist(client, frozenset(KEPT))
    await _store_whole(store, note, whole=whole)
    page = f"records are kept in {code(place)}"
    await artifact_requests.create(client, NOTE, pack(json.dumps(asdict(note))), kind=NOTE, page=page)
    return KeptRecords(store, whole=whole)


async def _store_whole(store: RecordStore, note: Note, *, whole: bool) -> None:
    """Store whether the store has every record of a server. Who may only write artifacts cannot change that."""
    await store.append(NOTE, pack(json.dumps({"server": note.server, "whole": whole})), kind=NOTE)


async def _is_whole(store: RecordStore, note: Note) -> bool | None:
    """Return whether the store has every record of a server, or None if it is not the store of that server."""
    for one in await store.versions(NOTE):
        said = json.loads(_stored(one).text)
        if said["server"] == note.server:
            return bool(said["whole"])
    return None


async def _note(client: PrefectClient) -> Note | None:
    found = (await artifact_requests.newest_of(client, frozenset({NOTE})))[NOTE]
    if found is None:
        return None
    try:
        said = json.loads(found.text)
        return Note(place=str(said["place"]), server=str(said["server"]))
    except (Refused, ValueError, KeyError, TypeError):
        raise Refused(
            f"the artifact {NOTE}, which names the store of records of this Prefect server, cannot be read",
            remedy="check that AKS_ENTRA_RECORDS is the same for all workers and commands, and delete this artifact",
        ) from None


def _elsewhere(note: Note, but: str) -> Refused:
    return Refused(
        f"the records of this Prefect server are kept in {note.place}, but {but}",
        remedy=f"set AKS_ENTRA_RECORDS={note.place} for this process: all workers and commands of a server share it",
        code="OtherRecordStore",
    )


async def has_records_only_at_prefect() -> bool:
    """Return whether this server had records before its store, and nobody has copied them yet."""
    kept = await kept_records()
    return kept is not None and not kept.whole


async def import_from_prefect() -> int:
    """Copy to the store every record that only Prefect has, and return how many. A second time copies nothing.

    Older records of a key that the store has are added too, and the newest one once more after them, because the one
    that was added last counts. So no run may work meanwhile: Refused names one that does.
    """
    kept = await kept_records()
    if kept is None:
        raise Refused("AKS_ENTRA_RECORDS names no store of records", remedy="set it, for all workers too")
    async with get_client() as client:
        note = await _note(client)
        working = FlowRunFilterState(
            type=FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
        )
        for run in await client.read_flow_runs(flow_run_filter=FlowRunFilter(state=working), limit=1):
            raise Refused(
                f"the run {run.name} works, and could store a record meanwhile",
                remedy=f"wait until it ends or waits at a gate, or end it: aks-entra stop {str(run.id)[:8]}",
            )
    found = {one.key for beginning in KEPT for one in await artifact_requests.newest_under(f"{beginning}-")}
    copied = 0
    for key in sorted(filter(is_kept, found)):
        copied += await _copy(kept.store, key)
    if note is not None:
        await _store_whole(kept.store, note, whole=True)
    kept.whole = True
    return copied


async def _copy(store: RecordStore, key: str) -> int:
    there = await store.versions(key)
    missing = _missing(await artifact_requests.versions_of(key), map(_stored, there))
    for one in reversed(missing):
        await store.append(key, one.packed, kind=one.kind, flow_run=one.flow_run)
    if missing and there:
        await store.append(key, there[0].packed, kind=there[0].kind, flow_run=there[0].flow_run)
    return len(missing)


def _missing(at_prefect: Iterable[Stored], kept: Iterable[Stored]) -> tuple[Stored, ...]:
    known = {(one.packed, one.flow_run) for one in kept}
    return tuple(one for one in at_prefect if (one.packed, one.flow_run) not in known)


def _stored(one: StoredRecord) -> Stored:
    return Stored(key=one.key, packed=one.packed, at=one.at.isoformat(), flow_run=one.flow_run, kind=one.kind)
