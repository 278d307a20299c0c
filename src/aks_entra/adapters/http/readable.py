"""Turns a read that is not permitted into None, which means unknown and never "nothing"."""

from __future__ import annotations

from collections.abc import Awaitable, Collection
from typing import Final, TypeVar

from aks_entra.errors import Refused

FORBIDDEN: Final = 403
_T = TypeVar("_T")


async def readable(reading: Awaitable[_T], unreadable: Collection[int] = (FORBIDDEN,)) -> _T | None:
    """Await a read.

    Args:
        reading: the read.
        unreadable: the HTTP statuses with which the service says that the caller may not, or cannot, read this.

    Returns:
        What was read. None means unknown: the service refused with one of these statuses.

    Raises:
        Refused: with any other status. Other errors of the read pass through.
    """
    try:
        return await reading
    except Refused as refused:
        if refused.status not in unreadable:
            raise
        return None
