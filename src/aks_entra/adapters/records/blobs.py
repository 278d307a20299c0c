"""What a store of records needs from the place where its bytes are: create, read, list, and remove what is archived.

Nothing is ever changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Blobs(Protocol):
    """Named bytes, written once. A name has `/` between its parts; a prefix is the beginning of names.

    Each method raises Refused or TryLater if the place cannot be reached, or does not allow it.
    """

    where: str
    """The place, as people write it."""

    async def create(self, name: str, content: bytes) -> None:
        """Write new bytes. If the name is there already, nothing changes: its name contains the digest of its bytes.

        When it returns, the bytes survive a power cut. Nobody ever reads a part of them.
        """

    async def read(self, name: str) -> bytes | None:
        """Return the bytes under a name, or None if there are none."""

    async def remove(self, name: str) -> None:
        """Remove the bytes under a name. If there are none, nothing changes."""

    async def names(self, prefix: str) -> list[str]:
        """Return the names that begin with the prefix, in order."""

    async def folders(self, prefix: str) -> list[str]:
        """Return the names up to the next `/` after the prefix, with that `/`, each once and in order."""

    async def leftovers(self) -> Iterable[str]:
        """Return the names of writes that were never finished. No other method shows them."""

    async def close(self) -> None:
        """Close the connections."""
