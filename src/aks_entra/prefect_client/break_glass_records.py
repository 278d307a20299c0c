"""Our own records of break-glass openings at Prefect's server: stored before the write that opens, ended after a close.

The sweep acts on these alone. A tag on the cluster is for people, because many may write tags.
"""

from __future__ import annotations

from aks_entra import documents
from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import when
from aks_entra.core.evidence.break_glass import OpeningRecord
from aks_entra.documents.unreadable import Unread
from aks_entra.errors import Refused
from aks_entra.prefect_client import artifacts, events, record_store
from aks_entra.prefect_client.leases import Hold
from aks_entra.prefect_client.names import SWEEP_BREAK_GLASS, key, slug
from aks_entra.prefect_client.scheduled_sweeps import announce_end
from aks_entra.prefect_client.stored_documents import read
from aks_entra.text.markdown import for_markdown


async def store_opening(record: OpeningRecord) -> None:
    """Store a record. The newest record of a cluster counts."""
    cluster, opening = ClusterId.parse(record.cluster), record.opening
    state = f"ended {record.ended}: {record.because}" if record.ended else f"open until {opening.until}"
    page = for_markdown(f"break-glass of {cluster}: {state}")
    await artifacts.put(_key(cluster), documents.dump_opening(record), kind="opening", page=page)
    await events.emit(events.opening_recorded(record))


async def announce_opening(record: OpeningRecord, *, attended: bool) -> None:
    """Schedule the sweep for the end of an opening, then store its record. Call it before the write that opens.

    `attended`: the process that opens waits for the end. Raises as `announce_end` does.
    """
    await announce_end(SWEEP_BREAK_GLASS, when(record.opening.until), lambda: store_opening(record), attended=attended)


async def opening_of(cluster: ClusterId) -> OpeningRecord | None:
    """Return the newest record of a cluster, ended or not. Raises Refused if it cannot be read."""
    found = await artifacts.get(_key(cluster))
    return documents.load_opening(found.text) if found else None


async def store_opening_without_server(record: OpeningRecord) -> bool:
    """Store a record in the store of records alone, when Prefect's server does not answer. False: there is no store.

    The sweep reads it there once the server runs again. Raises as the store does.
    """
    async with record_store.without_server() as store:
        if store is None:
            return False
        text = documents.pack(documents.dump_opening(record))
        await store.append(_key(ClusterId.parse(record.cluster)), text, kind="opening")
        return True


async def opening_without_server(cluster: ClusterId) -> OpeningRecord | None:
    """Return the newest record of a cluster in the store of records. None if there is no record, or no store."""
    async with record_store.without_server() as store:
        found = (await store.newest((_key(cluster),)))[_key(cluster)] if store is not None else None
        return documents.load_opening(documents.unpack(found.packed)) if found is not None else None


async def open_records() -> tuple[tuple[OpeningRecord, ...], tuple[Unread, ...]]:
    """Return the records of openings that have not ended, and the unreadable records."""
    found = read(await artifacts.newest("opening-"), documents.load_opening)
    return tuple(record for _, record in found.read if not record.ended), found.unread


async def still_free(hold: Hold, cluster: ClusterId) -> None:
    """Check before a write that the lease is held and break-glass is closed. Raises Refused or TryLater."""
    record = await opening_of(cluster)
    if record is not None and not record.ended:
        raise Refused(
            f"local accounts are open by break-glass until {record.opening.until}: {record.opening.reason}",
            remedy=f"wait for its end, or close it: `aks-entra break-glass {cluster} --close`",
            cluster=str(cluster),
            code="BreakGlassOpen",
        )
    await hold.still_held()


def _key(cluster: ClusterId) -> str:
    return key("opening", slug(cluster))
