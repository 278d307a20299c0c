"""A store of records in memory, whose records can be damaged, and which can be out of reach."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from uuid import UUID

from aks_entra.errors import Refused
from aks_entra.ports.records import StoredRecord


class MemoryRecords:
    """`aks_entra.ports.RecordStore` in memory."""

    def __init__(self) -> None:
        self.records: list[StoredRecord] = []
        self.damaged: set[str] = set()
        self.unreachable = False
        self.reads: list[tuple[str, ...]] = []

    async def append(self, key: str, packed: str, *, kind: str, flow_run: UUID | None = None) -> StoredRecord:
        """Add a record."""
        self._reach()
        content = f"{len(self.records)} {key} {packed}"
        record = StoredRecord(
            key=key,
            kind=kind,
            packed=packed,
            at=datetime(2026, 11, 28, tzinfo=UTC),
            digest=f"sha256:{hashlib.sha256(content.encode()).hexdigest()}",
            before=tuple(one.digest for one in self.records[-1:]),
            flow_run=flow_run,
        )
        self.records.append(record)
        return record

    async def newest(self, keys: Collection[str]) -> Mapping[str, StoredRecord | None]:
        """Return the newest record under each of these keys."""
        self._reach()
        self.reads.append(tuple(sorted(keys)))
        self._whole(*sorted(keys))
        return {key: next((one for one in reversed(self.records) if one.key == key), None) for key in keys}

    async def newest_under(self, prefix: str) -> tuple[StoredRecord, ...]:
        """Return the newest record of every key that begins with the prefix."""
        found = await self.newest(await self.keys(prefix))
        return tuple(one for _, one in sorted(found.items()) if one is not None)

    async def keys(self, prefix: str) -> tuple[str, ...]:
        """Return every key that begins with the prefix."""
        self._reach()
        return tuple(sorted({one.key for one in self.records if one.key.startswith(prefix)}))

    async def versions(self, key: str) -> tuple[StoredRecord, ...]:
        """Return every record under a key, newest first."""
        self._reach()
        self._whole(key)
        return tuple(one for one in reversed(self.records) if one.key == key)

    def _whole(self, *keys: str) -> None:
        for key in keys:
            if key in self.damaged:
                raise Refused(f"the record {key} was changed", remedy="restore it", code="RecordDamaged")

    def _reach(self) -> None:
        if self.unreachable:
            raise Refused("the store of records cannot be reached", remedy="check the network")
