"""The doors of a cluster as rows and words, for every report. It does no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, NamedTuple

from aks_entra.core.cluster import ClusterId
from aks_entra.core.doors.model import Door, DoorState
from aks_entra.core.doors.registry import complete, title_of
from aks_entra.core.evidence.observations import DoorsSeen, Evidence


class DoorRow(NamedTuple):
    """One door in words: `because` is the proof, who can use it, or why nobody looked."""

    title: str
    kind: str
    state: DoorState
    because: str
    remedy: str


def rows(doors: Iterable[Door]) -> tuple[DoorRow, ...]:
    """Return a row for every kind of door. One that is not among `doors` is "not looked at"."""
    return tuple(
        DoorRow(title_of(one.kind), one.kind, one.state, "; ".join(one.because), one.remedy) for one in complete(doors)
    )


def ways_in(evidence: Iterable[Evidence]) -> tuple[DoorRow, ...]:
    """Return the rows of the last look at the doors. Without one, every door is "not looked at"."""
    looks = [one.doors for one in evidence if isinstance(one, DoorsSeen)]
    return rows(looks[-1] if looks else ())


def summary(doors: Iterable[Door]) -> str:
    """Return one cell: how many doors are open, and how many nobody looked at."""
    states = Counter(door.state for door in complete(doors))
    counted = (DoorState.OPEN, DoorState.NOT_LOOKED_AT)
    return ", ".join(f"{states[state]} {state}" for state in counted if states[state]) or "closed"


def document(cluster: ClusterId, doors: Iterable[Door]) -> dict[str, Any]:
    """Return the doors of one cluster as a JSON document."""
    shown = [{"title": title_of(one.kind), **asdict(one)} for one in complete(doors)]
    return {"kind": "aks-entra/doors", "cluster": cluster.resource_id, "doors": shown}
