"""Stand-ins for objects that are imported and built when they are first used."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

_T = TypeVar("_T")


def on_first_use(make: Callable[[], _T]) -> _T:
    """Return a stand-in that calls `make` when one of its attributes is first read, and only then.

    An error of `make` is raised there. The next use calls `make` again.
    """
    return cast("_T", _StandIn(make))


class _StandIn:
    def __init__(self, make: Callable[[], object]) -> None:
        self._made = cache(make)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made(), name)
