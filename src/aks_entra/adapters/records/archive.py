"""Exports a store of records to one file, and imports such a file. The same records make the same bytes."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from aks_entra.adapters.records.blobs import Blobs
from aks_entra.adapters.records.store import AT_ONCE, ROOT, Name, parsed
from aks_entra.bounded_gather import bounded_gather
from aks_entra.errors import Refused

_LARGEST = 64 * 1024 * 1024


async def export(blobs: Blobs, file: Path, tell: Callable[[str], None] = lambda _text: None) -> int:
    """Write every record to a new tar.gz. Returns how many there are.

    Raises Refused if the file is there already, or if a record is damaged: then nothing is written.
    """
    paths = [path for path in await blobs.names(ROOT) if Name.parse(path)]
    partly = file.with_name(f".{file.name}.part")
    try:
        with file.open("xb"):
            pass
    except OSError as error:
        raise Refused(f"{file}: {error.strerror}", remedy="name a new file in a folder that is there") from None
    try:
        with (
            partly.open("wb") as raw,
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for done, path in enumerate(paths, 1):
                content = await blobs.read(path) or b""
                parsed(path, content)
                member = tarfile.TarInfo(path)
                member.size, member.mode = len(content), 0o600
                tar.addfile(member, io.BytesIO(content))
                tell(f"exported {done} of {len(paths)} records")
        partly.chmod(0o600)
        partly.replace(file)
    except BaseException:
        _take_away(partly, file)
        raise
    return len(paths)


def _take_away(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)


async def bring_in(blobs: Blobs, file: Path, tell: Callable[[str], None] = lambda _text: None) -> tuple[int, int]:
    """Add the records of an exported file. Returns how many were added, and how many were there already.

    Every record is checked before the first one is written. Raises Refused if the file or a record is damaged.
    """
    for _ in members(file):
        pass
    there = set(await blobs.names(ROOT))
    added = 0
    batch: list[tuple[str, bytes]] = []

    async def flush() -> None:
        await bounded_gather(lambda one: blobs.create(*one), batch, at_once=AT_ONCE)
        batch.clear()

    found = 0
    for path, content in members(file):
        found += 1
        if path not in there:
            added += 1
            batch.append((path, content))
        if len(batch) >= AT_ONCE:
            await flush()
            tell(f"imported {added} records")
    await flush()
    return added, found - added


def members(file: Path) -> Iterator[tuple[str, bytes]]:
    """Return the path and the bytes of each record in an exported file, checked."""
    try:
        with tarfile.open(file, mode="r:gz") as tar:
            for member in tar:
                if not member.isfile() or member.size > _LARGEST or not Name.parse(member.name):
                    raise Refused(f"{file}: {member.name} is no record", remedy="name a file of `records export`")
                opened = tar.extractfile(member)
                content = opened.read() if opened else b""
                parsed(member.name, content)
                yield member.name, content
    except (OSError, EOFError, tarfile.TarError) as error:
        raise Refused(f"{file} cannot be read: {error}", remedy="name a file of `aks-entra records export`") from None
