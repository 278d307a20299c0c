"""Exports a store of records to one file, and imports such a file. The same records make the same bytes."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    except OSError as error:
        _take_away(partly, file)
        raise Refused(
            f"{file} cannot be written: {error.strerror or error}", remedy="make room, and try again"
        ) from None
    except BaseException:
        _take_away(partly, file)
        raise
    return len(paths)


def _take_away(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """How many records of a file were added, were there already, and replaced a damaged one of the same name."""

    added: int
    known: int
    replaced: int


async def bring_in(blobs: Blobs, file: Path, tell: Callable[[str], None] = lambda _text: None) -> Imported:
    """Add the records of an exported file. One that is there already is read, and replaced if its bytes are others.

    Every record is checked before the first one is written. Raises Refused if the file or a record is damaged.
    """
    for _ in members(file):
        pass
    there = set(await blobs.names(ROOT))
    batch: list[tuple[str, bytes]] = []
    done, added, replaced = 0, 0, 0

    async def is_whole(one: tuple[str, bytes]) -> bool:
        path, content = one
        return path in there and await blobs.read(path) == content

    async def flush() -> None:
        nonlocal done, added, replaced
        whole = await bounded_gather(is_whole, batch, at_once=AT_ONCE)
        wanted = [one for one, is_there in zip(batch, whole, strict=True) if not is_there]
        damaged = [path for path, _ in wanted if path in there]
        await bounded_gather(blobs.remove, damaged, at_once=AT_ONCE)
        await bounded_gather(lambda one: blobs.create(*one), wanted, at_once=AT_ONCE)
        done, replaced, added = done + len(batch), replaced + len(damaged), added + len(wanted) - len(damaged)
        batch.clear()
        tell(f"imported {done} records")

    for one in members(file):
        batch.append(one)
        if len(batch) >= AT_ONCE:
            await flush()
    await flush()
    return Imported(added=added, known=done - added - replaced, replaced=replaced)


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
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise Refused(f"{file} cannot be read: {why}", remedy="name a file of `aks-entra records export`") from None
