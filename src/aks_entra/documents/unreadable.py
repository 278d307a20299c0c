"""Records of ours that are there and cannot be read: each is named, and makes its own clusters unknown, no others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.rotation_debt import Record, Sighting
from aks_entra.errors import Refused

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """One document that cannot be read. `key` is its file's name or its artifact's key.

    `clusters` (`ClusterId.key`) are those that it is about; empty: that cannot be told, so it may be about any.
    """

    key: str
    why: str
    clusters: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.key} cannot be read: {self.why}"

    @property
    def records(self) -> tuple[Record, ...]:
        """What rotation debt is weighed by: the record of each of its clusters is lost."""
        return tuple(
            Record(cluster=cluster, sighting=Sighting.UNREADABLE, at="", source=self.key)
            for cluster in sorted(self.clusters or {""})
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[_T]):
    """What was read, each under its key, and what could not be read."""

    read: tuple[tuple[str, _T], ...] = ()
    unread: tuple[Unread, ...] = ()


def read_each(texts: Iterable[tuple[str, Callable[[], str]]], load: Callable[[str], _T]) -> Found[_T]:
    """Read documents under their keys. One that cannot be read, or not be unpacked, does not stop the others."""
    read: list[tuple[str, _T]] = []
    unread: list[Unread] = []
    for key, unpacked in texts:
        text = ""
        try:
            text = unpacked()
            read.append((key, load(text)))
        except Refused as error:
            why = error.message.removeprefix(f"{key}: ")
            unread.append(Unread(key=key, why=why, clusters=clusters_in(text)))
    return Found(read=tuple(read), unread=tuple(unread))


def clusters_in(text: str) -> frozenset[str]:
    """The clusters (`ClusterId.key`) that a whole JSON document names; empty for a text that is not whole."""
    try:
        return frozenset(_named(json.loads(text)))
    except (ValueError, RecursionError):
        return frozenset()


def _named(value: Any) -> Iterator[str]:
    match value:
        case {"subscription_id": str(subscription), "resource_group": str(group), "name": str(name)}:
            yield ClusterId(subscription_id=subscription, resource_group=group, name=name).key
        case dict():
            for inner in value.values():
                yield from _named(inner)
        case list():
            for inner in value:
                yield from _named(inner)
        case str() if value.startswith("/"):
            try:
                yield ClusterId.parse(value).key
            except ValueError:
                return
        case _:
            return
