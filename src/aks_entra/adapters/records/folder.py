"""A store of records in a folder of this machine, or in one that several machines mount."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from aks_entra.errors import Refused
from aks_entra.host.file_trust import POSIX, open_private

_T = TypeVar("_T")


def flush_folder(folder: Path) -> None:
    """Make a new name in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FolderBlobs:
    """`Blobs` as files. Only their owner can read them (files 0600, folders 0700).

    Links are followed, so that a part of a store can be on another disk. `flush` makes the names in a folder survive a
    power cut.
    """

    def __init__(self, root: Path, flush: Callable[[Path], None] = flush_folder) -> None:
        self.where = str(root)
        self._root = root
        self._flush = flush

    async def create(self, name: str, content: bytes) -> None:
        """Write a temporary file beside the new one, flush it to the disk, and rename it."""
        await self._in_thread("written", lambda: self._create(self._root / name, content))

    async def read(self, name: str) -> bytes | None:
        """Return the bytes of a file, or None if there is none."""

        def found() -> bytes | None:
            try:
                return (self._root / name).read_bytes()
            except FileNotFoundError:
                return None

        return await self._in_thread("read", found)

    async def remove(self, name: str) -> None:
        """Remove a file, and its folder if that is empty."""
        await self._in_thread("changed", lambda: self._remove(self._root / name))

    async def names(self, prefix: str) -> list[str]:
        """Return the files whose path below the root begins with the prefix."""
        return await self._in_thread("read", lambda: sorted(one for one in self._walk(prefix) if not _unfinished(one)))

    async def folders(self, prefix: str) -> list[str]:
        """Return the folders beside each other whose path begins with the prefix."""
        parent = prefix.rpartition("/")[0]

        def found() -> list[str]:
            entries = _entries(self._root / parent)
            paths = (f"{parent}/{one.name}/".removeprefix("/") for one in entries if one.is_dir())
            return sorted(path for path in paths if path.startswith(prefix))

        return await self._in_thread("read", found)

    async def leftovers(self) -> list[str]:
        """Return the temporary files of writes that ended in between."""
        return await self._in_thread("read", lambda: sorted(one for one in self._walk("") if _unfinished(one)))

    async def close(self) -> None:
        """Nothing is open."""

    def _create(self, path: Path, content: bytes) -> None:
        new = [one for one in (path.parent, *path.parent.parents) if not one.exists()]
        if not path.exists():
            self._write(path, content, new)
        if POSIX:
            self._flush_above(path, new)

    def _write(self, path: Path, content: bytes, new: list[Path]) -> None:
        for one in reversed(new):
            one.mkdir(mode=0o700, exist_ok=True)
        unfinished = path.parent / f".{path.name}.{secrets.token_hex(6)}"
        try:
            with os.fdopen(open_private(unfinished), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError:  # a full disk: what was written there would fill it more with each attempt
            unfinished.unlink(missing_ok=True)
            raise

    def _flush_above(self, path: Path, new: list[Path]) -> None:
        """Flush all folders from the record up to the one that holds the store.

        Another writer may have made one of them, or renamed this record, and may not have flushed it yet.
        """
        inside = [one for one in path.parents if one.is_relative_to(self._root)]
        for folder in dict.fromkeys((*inside, *(one.parent for one in new))):
            self._flush(folder)
        with suppress(PermissionError):  # somebody else made the store in a folder that only they may read
            self._flush(self._root.parent)

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        folder = path.parent
        with suppress(OSError):  # it has other records
            folder.rmdir()
            folder = folder.parent
        if POSIX and folder.exists():
            self._flush(folder)

    def _walk(self, prefix: str) -> Iterator[str]:
        folder = prefix.rpartition("/")[0]
        queue = [folder]
        seen = set[Path]()
        while queue:
            parent = queue.pop()
            if (real := (self._root / parent).resolve()) in seen:  # links lead back here
                continue
            seen.add(real)
            for one in _entries(self._root / parent):
                path = f"{parent}/{one.name}".removeprefix("/")
                if one.is_dir():
                    if path.startswith(prefix) or prefix.startswith(f"{path}/"):
                        queue.append(path)
                elif path.startswith(prefix):
                    yield path

    async def _in_thread(self, what: str, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise Refused(
                f"the store of records {self.where} cannot be {what}: {error.strerror or error}",
                remedy="check the folder that AKS_ENTRA_RECORDS names: its owner, its mode and the space on its disk",
                code="RecordsUnreadable",
            ) from None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _unfinished(path: str) -> bool:
    return path.rpartition("/")[2].startswith(".")
