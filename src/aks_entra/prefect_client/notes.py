"""How far a rollout is: when a gate was reached, when a stage began, which stages a run is through with.

A coordinator runs from the top again after every gate; what it must not do twice stands here. Times are ours, not the
server's: they are compared with gates.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from aks_entra.core.durations import moment, stamp
from aks_entra.core.gates import Side
from aks_entra.core.plan import FleetPlan
from aks_entra.prefect_client import store
from aks_entra.prefect_client.names import hexadecimal, key, short, stage_key


def now() -> datetime:
    """The clock that gates are read by."""
    return datetime.now(UTC)


async def reached(digest: str, stage: str, side: Side, *, anew: bool = False) -> datetime:
    """Since when a gate is waited at: noted at the first look, and again where the stage was worked on since."""
    name = _name("reached", digest, side, stage)
    found = None if anew else await store.get(name)
    if found is not None:
        return moment(found.text)
    at = stamp(now())
    await store.put(name, at, kind="note")
    return moment(at)


async def begin(digest: str, stage: str) -> None:
    """Note that a stage begins now: its gate was open."""
    await store.put(_name("begun", digest, stage), stamp(now()), kind="note")


async def begun(digest: str, stage: str) -> datetime | None:
    """When a stage began the last time."""
    found = await store.get(_name("begun", digest, stage))
    return moment(found.text) if found else None


async def leave(run: UUID, place: int, *, follows: str = "") -> None:
    """Note that a run is through with a stage and its gates. `follows`: which plan's second part it is in."""
    await store.put(_left(run, place, follows), stamp(now()), kind="note")


async def left(run: UUID, place: int, *, follows: str = "") -> bool:
    """Whether a run is through with a stage."""
    return await store.get(_left(run, place, follows)) is not None


async def soak_from(digest: str, first: FleetPlan) -> None:
    """Have the gates of a second part count from the ends of the first part's stages."""
    for stage in first.stages:
        at = await reached(first.digest, stage.name, "after")
        await store.put(_name("reached", digest, "before", stage.name), stamp(at), kind="note")


def _left(run: UUID, place: int, follows: str) -> str:
    return key("left", str(run), short(follows) if follows else "first", str(place))


def _name(what: str, digest: str, *parts: str) -> str:
    *before, stage = parts
    return key(what, hexadecimal(digest), *before, stage_key(stage))
