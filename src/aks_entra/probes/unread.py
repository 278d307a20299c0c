"""Read one fact about a cluster. A read that fails becomes the reason why the fact is not known."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aks_entra.core.doors.facts import Unread
from aks_entra.errors import AksEntraError, unexpected
from aks_entra.ports.migration import Clock
from aks_entra.retry import persist

_T = TypeVar("_T")
_PATIENCE: Final = 20.0  # seconds for which a read waits for a service that throttles
_FORBIDDEN: Final = 403


async def read(clock: Clock, right: str, call: Callable[[], Awaitable[_T]]) -> _T | Unread:
    """Read one fact. `right` is the remedy if the service forbids the read. Empty: the error names the right."""
    try:
        return await persist(clock, _PATIENCE, call)
    except AksEntraError as error:
        remedy = f"grant {right}" if right and error.status == _FORBIDDEN else error.remedy
        return Unread(why=error.message, remedy=remedy or "look again later: `aks-entra doors`")
    except Exception as error:  # noqa: BLE001 - a look at a door must not end a migration
        return Unread(why=unexpected(error), remedy="report it as a bug in aks-entra")
