"""Read one fact about a cluster. A read that fails becomes the reason why the fact is not known."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aks_entra.core.doors.facts import Unread
from aks_entra.errors import AksEntraError, unexpected
from aks_entra.ports.migration import Clock
from aks_entra.retry import persist

_T = TypeVar("_T")
LONGEST: Final = 60.0
"""Seconds after which a read is given up. A look must not hold a migration up."""

_AGAIN: Final = "look again later: `aks-entra doors`"
_PATIENCE: Final = 20.0  # seconds for which a read waits for a service that throttles
_FORBIDDEN: Final = 403


async def read(clock: Clock, right: str, call: Callable[[], Awaitable[_T]], *, longest: float = LONGEST) -> _T | Unread:
    """Read one fact. `right` is the remedy if the service forbids the read. Empty: the error names the right.

    The read ends after `longest` seconds, also if the service accepts a connection and never answers.
    """
    try:
        async with asyncio.timeout(longest):
            return await persist(clock, _PATIENCE, call)
    except TimeoutError:
        return Unread(why=f"no answer came within {longest:g} s", remedy=_AGAIN)
    except AksEntraError as error:
        remedy = f"grant {right}" if right and error.status == _FORBIDDEN else error.remedy
        return Unread(why=error.message, remedy=remedy or _AGAIN)
    except Exception as error:  # noqa: BLE001 - a look at a door must not end a migration
        return Unread(why=unexpected(error), remedy="report it as a bug in aks-entra")
