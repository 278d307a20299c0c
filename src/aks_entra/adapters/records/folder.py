"""Records in a folder: one file for each, which is never changed, and whose name has its number and its digest.

A file appears under its name when it is whole and on the disk. Two writers at the same time take the same number: the
greater digest counts, and the next record names those that it knows.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID, uuid4

from aks_entra.errors import Refused
from aks_entra.host.file_trust import private_folder
from aks_entra.ports.records import StoredRecord

_NAME: Final = re.compile(r"(\d{12})-([0-9a-f]{64})")
_KEY: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_T = TypeVar("_T")


class FolderRecords:
    """The port `RecordStore` on a folder. Only this user can read what it writes."""

    def __init__(self, root: Path) -> None:
        """`root`: the folder. It is made if it is missing."""
        self._root = root
        self._records = private_folder(root) / "records"
        private_folder(self._records)

    async def append(self, key: str, packed: str, *, kind: str, flow_run: UUID | None = None) -> StoredRecord:
        """Add a record after the newest ones of its key. When it returns, the record survives a power cut."""
        return await self._reaching(lambda: self._append(key, packed, kind=kind, flow_run=flow_run))

    async def newest(self, keys: Collection[str]) -> Mapping[str, StoredRecord | None]:
        """Return the newest record under each of these keys, or None where there is none."""
        return await self._reaching(lambda: {key: self._newest(key) for key in keys})

    async def newest_under(self, prefix: str) -> tuple[StoredRecord, ...]:
        """Return the newest record of every key that begins with the prefix, in the order of keys."""
        found = await self._reaching(lambda: [self._newest(key) for key in self._keys(prefix)])
        return tuple(one for one in found if one is not None)

    async def keys(self, prefix: str) -> tuple[str, ...]:
        """Return every key that begins with the prefix and has a record, damaged ones included, in order."""
        return await self._reaching(lambda: tuple(key for key in self._keys(prefix) if self._files(key)))

    async def versions(self, key: str) -> tuple[StoredRecord, ...]:
        """Return every record under a key, newest first."""
        return await self._reaching(lambda: tuple(_read(file, key) for file in reversed(self._files(key))))

    async def _reaching(self, work: Callable[[], _T]) -> _T:
        """Work on the folder in a thread. Raises Refused if the folder cannot be reached."""

        def reach() -> _T:
            self._records.stat()  # a folder that is gone is no empty one
            return work()

        try:
            return await asyncio.to_thread(reach)
        except OSError as error:
            raise Refused(
                f"the record store {self._root} cannot be used: {error.strerror or type(error).__name__}",
                remedy="check that AKS_ENTRA_RECORDS names the folder of this Prefect server, and that it is mounted",
                code="RecordsUnreachable",
            ) from error

    def _append(self, key: str, packed: str, *, kind: str, flow_run: UUID | None) -> StoredRecord:
        folder = self._folder(key)
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            _sync(self._records)
        names = [_parts(file) for file in self._files(key)]
        last = names[-1][0] if names else 0
        record = {
            "version": 1,
            "key": key,
            "kind": kind,
            "sequence": last + 1,
            "at": datetime.now(UTC).isoformat(),
            "before": [f"sha256:{digits}" for number, digits in names if number == last],
            "flow_run": str(flow_run) if flow_run else None,
            "packed": packed,
        }
        content = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
        digits = hashlib.sha256(content).hexdigest()
        file, draft = folder / f"{last + 1:012}-{digits}", folder / f".{uuid4().hex}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        draft.rename(file)  # its name is its content, so nothing else can have it
        _sync(folder)
        return _of(content, digits, key)

    def _newest(self, key: str) -> StoredRecord | None:
        files = self._files(key)
        return _read(files[-1], key) if files else None

    def _keys(self, prefix: str) -> list[str]:
        return sorted(entry.name for entry in os.scandir(self._records) if entry.name.startswith(prefix))

    def _files(self, key: str) -> list[Path]:
        """Return the files of a key, oldest first. Files that are not yet whole have another form of name."""
        try:
            return sorted(file for file in self._folder(key).iterdir() if _NAME.fullmatch(file.name))
        except FileNotFoundError:
            return []

    def _folder(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise Refused(f"{key!r} is no key of a record", remedy="keys are lower case, digits and dashes")
        return self._records / key


def _parts(file: Path) -> tuple[int, str]:
    number, _, digits = file.name.partition("-")
    return int(number), digits


def _read(file: Path, key: str) -> StoredRecord:
    """Return the record in a file. Raises Refused if its bytes are not those of its name, or not of this key."""
    content = file.read_bytes()
    digits = hashlib.sha256(content).hexdigest()
    if digits != _parts(file)[1]:
        raise _damaged(file)
    return _of(content, digits, key)


def _of(content: bytes, digits: str, key: str) -> StoredRecord:
    said = json.loads(content)
    if said["key"] != key:
        raise Refused(f"the record sha256:{digits} belongs to {said['key']}, not to {key}", code="RecordDamaged")
    return StoredRecord(
        key=key,
        kind=said["kind"],
        packed=said["packed"],
        at=datetime.fromisoformat(said["at"]),
        digest=f"sha256:{digits}",
        before=tuple(said["before"]),
        flow_run=UUID(said["flow_run"]) if said["flow_run"] else None,
    )


def _damaged(file: Path) -> Refused:
    return Refused(
        f"the record {file} was changed or is not whole", remedy="restore this file from a backup", code="RecordDamaged"
    )


def _sync(folder: Path) -> None:
    """Write the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
