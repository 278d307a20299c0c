"""Digests over content, and values that compute them only once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from aks_entra.core.storable import canonical

_T = TypeVar("_T")


class Memoized:
    """A base class for frozen dataclasses that caches what was computed. A copy (`replace`) has an empty cache."""

    __slots__ = ("_known",)
    _known: dict[str, Any]

    def once(self, name: str, compute: Callable[[], _T]) -> _T:
        """Compute something at the first call; return the same value at later calls."""
        try:
            known = self._known
        except AttributeError:
            known = {}
            object.__setattr__(self, "_known", known)
        if name not in known:
            known[name] = compute()
        found: _T = known[name]
        return found


def sha256(content: dict[str, Any]) -> str:
    """Return `sha256:` and 64 hex digits over the content as JSON with sorted keys."""
    return sha256_of_text(canonical(content))


def sha256_of_text(text: str) -> str:
    """Return `sha256:` and 64 hex digits over a text in UTF-8."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def without_empty(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """A `dict_factory` for `asdict` that leaves out empty fields, so that new fields do not change old digests."""
    return {name: value for name, value in fields if value}
