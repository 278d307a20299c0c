"""Places of a store of records that come to harm: in memory, and in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from aks_entra.adapters.records.blobs import Blobs
from aks_entra.adapters.records.folder import FolderBlobs
from aks_entra.adapters.records.store import ROOT
from aks_entra.errors import Refused

Reach = Literal["readable", "slow", "refusing"]
REACHES: tuple[Reach, ...] = ("readable", "slow", "refusing")
SLOW = 20
"""How many seconds a slow place takes for each answer."""


def nothing_waits(_seconds: float) -> None:
    """Let no time pass."""


@dataclass(slots=True)
class BlobsInMemory:
    """`Blobs` in a dictionary."""

    where: str = "memory"
    content: dict[str, bytes] = field(default_factory=dict)

    async def create(self, name: str, content: bytes) -> None:
        """Write new bytes."""
        self.content.setdefault(name, content)

    async def read(self, name: str) -> bytes | None:
        """Return the bytes under a name."""
        return self.content.get(name)

    async def names(self, prefix: str) -> list[str]:
        """Return the names that begin with the prefix."""
        return sorted(one for one in self.content if one.startswith(prefix))

    async def folders(self, prefix: str) -> list[str]:
        """Return the names up to the next `/` after the prefix."""
        return sorted({one[: one.index("/", len(prefix)) + 1] for one in await self.names(prefix)})

    async def leftovers(self) -> list[str]:
        """Return nothing: no write ends in between."""
        return []

    async def close(self) -> None:
        """Nothing is open."""

    def change(self, name: str, content: bytes | None) -> None:
        """Change what is under a name, or remove it, as nobody may."""
        if content is None:
            del self.content[name]
        else:
            self.content[name] = content


class ChangeableFolder(FolderBlobs):
    """A folder in which somebody changes and removes files, as nobody may."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._files = root

    def change(self, name: str, content: bytes | None) -> None:
        """Change a file, or remove it."""
        file = self._files / name
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)


@dataclass(slots=True)
class HarmedPlace:
    """`Blobs` at a place that is sometimes slow or refuses, and whose records are cut short or removed.

    `wait` lets a number of seconds pass.
    """

    place: BlobsInMemory | ChangeableFolder = field(default_factory=BlobsInMemory)
    wait: Callable[[float], None] = nothing_waits
    reach: Reach = "readable"
    where: str = "a place that comes to harm"

    async def create(self, name: str, content: bytes) -> None:
        """Write new bytes."""
        await self._reached().create(name, content)

    async def read(self, name: str) -> bytes | None:
        """Return the bytes under a name."""
        return await self._reached().read(name)

    async def names(self, prefix: str) -> list[str]:
        """Return the names that begin with the prefix."""
        return await self._reached().names(prefix)

    async def folders(self, prefix: str) -> list[str]:
        """Return the names up to the next `/` after the prefix."""
        return await self._reached().folders(prefix)

    async def leftovers(self) -> Iterable[str]:
        """Return the names of writes that were never finished."""
        return await self._reached().leftovers()

    async def close(self) -> None:
        """Nothing is open."""

    async def newest_is_cut_short(self, key: str) -> None:
        """Leave half of the newest record under a key, as a broken disk does."""
        for name in (await self._names_of(key))[-1:]:
            content = await self.place.read(name) or b""
            self.place.change(name, content[: len(content) // 2])

    async def newest_is_removed(self, key: str) -> None:
        """Remove the newest record under a key, so that the one before it is the newest."""
        for name in (await self._names_of(key))[-1:]:
            self.place.change(name, None)

    async def all_are_removed(self, key: str) -> None:
        """Remove every record under a key."""
        for name in await self._names_of(key):
            self.place.change(name, None)

    async def _names_of(self, key: str) -> list[str]:
        return await self.place.names(f"{ROOT}{key}/")

    def _reached(self) -> Blobs:
        if self.reach == "refusing":
            raise Refused("the store of records cannot be read", remedy="check the place", code="RecordsUnreadable")
        if self.reach == "slow":
            self.wait(SLOW)
        return self.place
