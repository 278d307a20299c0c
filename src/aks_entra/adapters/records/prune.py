"""Removes records from a store, after an archive of the whole store was written, and stores what was removed.

A record under `pruned-…` names the archive and the records before the first one is removed, and once more afterwards.
So a process that dies in between leaves no gap that nobody can explain: see `check`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from aks_entra.adapters.records.archive import export, members
from aks_entra.adapters.records.folder import flush_folder
from aks_entra.adapters.records.store import AT_ONCE, ROOT, Name, Records, parsed
from aks_entra.bounded_gather import bounded_gather
from aks_entra.documents import pack, unpack
from aks_entra.errors import AksEntraError, Refused
from aks_entra.host.file_trust import POSIX
from aks_entra.ports.records import StoredRecord

KEY: Final = "pruned"
"""How the keys of records begin that say what was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What a record says about a removal.

    Attributes:
        older_than: records from before this moment were removed, ISO 8601 in UTC.
        by: who did it. It is a claim.
        archive: `sha256:<64 digits>` of the file that has every record of the store, as it was before.
        records: digests of the records that are removed.
        done: whether the removal ended. False: `records` says what was meant to go, and some of it may be there.
    """

    older_than: str
    by: str
    archive: str
    records: tuple[str, ...]
    done: bool

    @classmethod
    def of(cls, record: StoredRecord) -> Self | None:
        """Return what a record says about a removal, or None if it is about something else.

        Raises Refused if it cannot be read.
        """
        if not record.key.startswith(f"{KEY}-"):
            return None
        try:
            said: dict[str, Any] = json.loads(unpack(record.packed))
            return cls(
                older_than=str(said["older_than"]),
                by=str(said["by"]),
                archive=str(said["archive"]),
                records=tuple(str(one) for one in said["records"]),
                done=said["done"] is True,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"record {record.key} does not say what was removed", remedy="restore it") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many records were removed, and why a record could not be (with how many of its group stay with it)."""

    removed: int
    left: tuple[tuple[StoredRecord, AksEntraError, int], ...]


async def read_all(records: Records, tell: Callable[[str], None] = lambda _text: None) -> tuple[StoredRecord, ...]:
    """Return every record of a store, of each key the oldest first. Raises Refused if one is damaged."""
    paths = [path for path in await records.blobs.names(ROOT) if Name.parse(path)]
    done = 0

    async def read(path: str) -> StoredRecord:
        nonlocal done
        record, _ = parsed(path, await records.blobs.read(path) or b"")
        done += 1
        tell(f"read {done} of {len(paths)} records")
        return record

    return await bounded_gather(read, paths, at_once=AT_ONCE)


async def prune(
    records: Records,
    groups: Sequence[Sequence[StoredRecord]],
    pruning: Pruning,
    archive: Path,
    tell: Callable[[str], None] = lambda _text: None,
) -> Pruned:
    """Archive the whole store, then remove these records, group by group and each group in its order.

    If a record of a group cannot be removed, the rest of the group stays, and the other groups go on. A group that got
    or lost a record meanwhile stays.

    Args:
        records: the store.
        groups: what is removed; see `aks_entra.core.retention`.
        pruning: what is stored about it. Its `archive`, `records` and `done` are filled in here.
        archive: a new file.
        tell: is told how far it is.

    Raises:
        Refused: the archive is there already or cannot be written, or a record is damaged. Nothing was removed.
    """
    await export(records.blobs, archive, tell)
    paths = {name.digest: path for path in await records.blobs.names(ROOT) if (name := Name.parse(path))}
    groups = [group for group in groups if _is_unchanged(group, paths)]
    wanted = [one for group in groups for one in group]
    _require_all(archive, (paths[one.digest] for one in wanted))
    digest = _flushed(archive)
    key = f"{KEY}-{digest.removeprefix('sha256:')[:12]}"
    said = asdict(pruning) | {"archive": digest, "records": [one.digest for one in wanted], "done": False}
    await records.append(key, pack(json.dumps(said)), kind=KEY)
    removed: list[str] = []

    async def remove(group: Sequence[StoredRecord]) -> tuple[StoredRecord, AksEntraError, int] | None:
        for place, one in enumerate(group):
            try:
                await records.blobs.remove(paths[one.digest])
            except AksEntraError as error:
                return one, error, len(group) - place - 1
            removed.append(one.digest)
            tell(f"removed {len(removed)} of {len(wanted)} records")
        return None

    left = [one for one in await bounded_gather(remove, groups, at_once=AT_ONCE) if one is not None]
    await records.append(key, pack(json.dumps(said | {"records": sorted(removed), "done": True})), kind=KEY)
    return Pruned(removed=len(removed), left=tuple(left))


def _is_unchanged(group: Sequence[StoredRecord], paths: Mapping[str, str]) -> bool:
    keys = {f"{ROOT}{one.key}" for one in group}
    return {one.digest for one in group} == {
        digest for digest, path in paths.items() if path.rpartition("/")[0] in keys
    }


def _require_all(archive: Path, paths: Iterable[str]) -> None:
    there = {path for path, _ in members(archive)}
    if missing := next((path for path in paths if path not in there), None):
        raise Refused(f"{archive} lacks {missing.removeprefix(ROOT)}", remedy="name another FILE, and try again")


def _flushed(file: Path) -> str:
    """Return the digest of a file that survives a power cut from now on."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        os.fsync(opened.fileno())
    if POSIX:
        flush_folder(file.absolute().parent)
    return f"sha256:{digest}"
