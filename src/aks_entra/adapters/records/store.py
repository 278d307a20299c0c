"""The store of records over named bytes: one blob for each record, with its digest in its name.

    records/<key>/<sequence>-<time>-<digest>

The names of one key sort by the order of its records. The sequence is a Lamport clock: it is higher than that of every
record that its writer had read, so that clocks which differ reorder nothing. Each record names in `before` what its
writer read or wrote since its last record, and the newest record of its key. So a verdict rests on evidence, a report
on verdicts, and whoever removes one of them leaves a name without a record (`check`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self
from uuid import UUID

from aks_entra.adapters.records.blobs import Blobs
from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.durations import moment
from aks_entra.errors import Refused
from aks_entra.ports.records import DAMAGED, StoredRecord

ROOT: Final = "records/"
VERSION: Final = 1
MOST_NAMED: Final = 2000
"""How many records one record names at most. Those that are left are named by the next one of the same process."""
AT_ONCE: Final = 32
_KEY: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,511}")
_NAME: Final = re.compile(
    rf"{ROOT}(?P<key>{_KEY.pattern})/(?P<sequence>\d{{12}})-(?P<at>\d{{8}}T\d{{12}}Z)-(?P<hex>[0-9a-f]{{64}})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """What the name of a record says."""

    key: str
    sequence: int
    digest: str

    @classmethod
    def parse(cls, path: str) -> Name | None:
        """Return what a path says, or None if it is not that of a record."""
        found = _NAME.fullmatch(path)
        if found is None:
            return None
        return cls(key=found["key"], sequence=int(found["sequence"]), digest=f"sha256:{found['hex']}")


class Records:
    """`aks_entra.ports.records.RecordStore`. `now` returns the present time, in UTC."""

    def __init__(self, blobs: Blobs, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.blobs = blobs
        self._now = now
        self._sequence = 0
        self._known: dict[str, None] = {}  # digests that the next record names, in the order of reading

    async def append(self, key: str, packed: str, *, kind: str, flow_run: UUID | None = None) -> StoredRecord:
        """Add a record: see the port. Raises Refused for a key that no store could hold."""
        if not _KEY.fullmatch(key):
            raise Refused(f"{key!r} is no key of a record", remedy="use small letters, digits and dashes")
        names = await self._names(key)
        newest = Name.parse(names[-1]) if names else None
        self._sequence = 1 + max(self._sequence, newest.sequence if newest else 0)
        before = tuple(dict.fromkeys((*((newest.digest,) if newest else ()), *self._known)))[:MOST_NAMED]
        at = self._now()
        content = json.dumps(
            {
                "version": VERSION,
                "key": key,
                "kind": kind,
                "sequence": self._sequence,
                "at": at.isoformat(),
                "flow_run": str(flow_run) if flow_run else None,
                "before": before,
                "packed": packed,
            },
            ensure_ascii=True,
            separators=(",", ":"),
        ).encode()
        hexadecimal = hashlib.sha256(content).hexdigest()
        path = f"{ROOT}{key}/{self._sequence:012d}-{at:%Y%m%dT%H%M%S%f}Z-{hexadecimal}"
        await self.blobs.create(path, content)
        for digest in before:
            self._known.pop(digest, None)
        return self._seen(path, content)

    async def newest(self, keys: Collection[str]) -> Mapping[str, StoredRecord | None]:
        """Return the newest record of each key: see the port."""

        async def one(key: str) -> StoredRecord | None:
            names = await self._names(key)
            return await self._read(names[-1]) if names else None

        wanted = tuple(dict.fromkeys(keys))
        return dict(zip(wanted, await bounded_gather(one, wanted, at_once=AT_ONCE), strict=True))

    async def newest_under(self, prefix: str) -> tuple[StoredRecord, ...]:
        """Return the newest record of each key that begins with the prefix: see the port."""
        newest = {}
        for path in await self._names_below(ROOT + prefix):
            newest[path.rpartition("/")[0]] = path
        return await bounded_gather(self._read, newest.values(), at_once=AT_ONCE)

    async def keys(self, prefix: str = "") -> tuple[str, ...]:
        """Return each key that begins with the prefix and has a record, damaged or not."""
        return tuple(one.removeprefix(ROOT).rstrip("/") for one in await self.blobs.folders(ROOT + prefix))

    async def versions(self, key: str) -> tuple[StoredRecord, ...]:
        """Return every record of a key, newest first."""
        return await bounded_gather(self._read, reversed(await self._names(key)), at_once=AT_ONCE)

    async def close(self) -> None:
        """Close the connections."""
        await self.blobs.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def _names(self, key: str) -> list[str]:
        return await self._names_below(f"{ROOT}{key}/")

    async def _names_below(self, prefix: str) -> list[str]:
        return [one for one in await self.blobs.names(prefix) if Name.parse(one)]

    async def _read(self, path: str) -> StoredRecord:
        content = await self.blobs.read(path)
        if content is None:
            raise _damaged(path, "it was removed while it was read")
        return self._seen(path, content)

    def _seen(self, path: str, content: bytes) -> StoredRecord:
        """Return the record in the bytes. The next record of this process names it."""
        record, sequence = parsed(path, content)
        self._sequence = max(self._sequence, sequence)
        self._known[record.digest] = None
        return record


def parsed(path: str, content: bytes) -> tuple[StoredRecord, int]:
    """Return the record in a blob, and its sequence. Raises Refused (code DAMAGED) if the bytes are others."""
    name = Name.parse(path)
    if name is None:
        raise _damaged(path, "this is not the name of a record")
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != name.digest:
        raise _damaged(path, "its bytes are not those that its name states")
    try:
        said: dict[str, Any] = json.loads(content)
        if said["version"] != VERSION:
            raise Refused(
                f"record {path.removeprefix(ROOT)} was stored by another version of aks-entra "
                f"(format {said['version']!r}; this one reads {VERSION})",
                remedy="read it with that version, or install it here: `aks-entra version` shows yours",
                code=DAMAGED,
            )
        record = StoredRecord(
            key=str(said["key"]),
            kind=str(said["kind"]),
            packed=str(said["packed"]),
            at=moment(said["at"]),
            digest=name.digest,
            before=tuple(str(one) for one in said["before"]),
            flow_run=UUID(said["flow_run"]) if said["flow_run"] else None,
        )
        sequence = int(said["sequence"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, "it does not contain what a record contains") from error
    if (record.key, sequence) != (name.key, name.sequence):
        raise _damaged(path, "it was moved here, and contains another key or sequence; remove this file")
    return record, sequence


def _damaged(path: str, why: str) -> Refused:
    return Refused(
        f"record {path.removeprefix(ROOT)} is damaged: {why}",
        remedy="see what else is: `aks-entra records check`; bring it back from an export: `aks-entra records import`",
        code=DAMAGED,
    )
