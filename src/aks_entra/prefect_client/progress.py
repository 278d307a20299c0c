"""How far a rollout is: when a gate was reached, when a stage began, which stages a run has passed.

A coordinator starts again from the top after every gate. These notes keep it from doing anything twice. The times come
from our clock, not from the server's, because gates are compared with our clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client

from aks_entra import __version__
from aks_entra.core.durations import moment, stamp
from aks_entra.core.planning.gates import Side
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.errors import Refused
from aks_entra.prefect_client import artifacts
from aks_entra.prefect_client.names import hexadecimal, key, short, stage_key

SIDES: Final[tuple[Side, ...]] = ("before", "after")


def now() -> datetime:
    """Return the time that gates are compared with."""
    return datetime.now(UTC)


async def reached(digest: str, stage: str, side: Side, *, anew: bool = False) -> datetime:
    """Return when a gate was reached. The first call stores the time; `anew` stores it again."""
    name = _name("reached", digest, side, stage)
    known = None if anew else _moment_in(await artifacts.get(name))
    if known is not None:
        return known
    at = stamp(now())
    await artifacts.put(name, at, kind="note")
    return moment(at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a coordinator works on: a stage (its place) of a plan (its digests), since when, and if it may write.

    `version` is the coordinator's version of aks-entra, or empty in a note of an earlier version. A batch of a version
    that does not know one of these fields takes the note for unreadable, and is refused.
    """

    plan: str
    facts: str
    place: int
    writes: bool
    at: str
    version: str = ""

    @property
    def began(self) -> datetime:
        """When the stage began."""
        return moment(self.at)


async def work_on(run: UUID, plan: FleetPlan, place: int, *, writes: bool) -> None:
    """Note that a coordinator begins a stage now: its gate is open, or no step writes and it only reads."""
    at = stamp(now())
    work = Work(plan=plan.digest, facts=plan.facts_digest, place=place, writes=writes, at=at, version=__version__)
    await artifacts.put(_work(run), json.dumps(asdict(work)), kind="note")


async def rest(run: UUID) -> None:
    """Note that a coordinator works on no stage."""
    await artifacts.put(_work(run), "", kind="note")


async def work_of(run: UUID) -> Work | None:
    """Return what a coordinator itself noted that it works on, or None for nothing or an unreadable note."""
    try:
        text = await artifacts.own_text(run, _work(run))
        return Work(**json.loads(text)) if text else None
    except (Refused, TypeError, ValueError):
        return None


async def begun(client: PrefectClient, runs: tuple[UUID, ...], digest: str) -> dict[int, datetime]:
    """Return when these runs first worked on each stage (its place) of a plan. Unreadable notes are left out."""
    found: dict[int, datetime] = {}
    for one in await artifacts.of_runs(client, runs, key("work-of")):
        try:
            work = Work(**json.loads(one.text or "{}"))
            at = work.began
        except (Refused, TypeError, ValueError):
            continue
        if work.plan == digest:
            found[work.place] = min(found.get(work.place, at), at)
    return found


async def passed(client: PrefectClient, runs: Iterable[UUID], *, follows: str = "") -> dict[int, datetime]:
    """Return when these runs first passed each stage (its place) and its gates. Unreadable notes are left out."""
    found: dict[int, datetime] = {}
    for run in runs:
        prefix = f"{_finished(run, follows)}-"
        for one in await artifacts.of_runs(client, (run,), prefix):
            place, at = one.key.removeprefix(prefix), _moment_in(one)
            if place.isdecimal() and at is not None:
                found[int(place)] = min(found.get(int(place), at), at)
    return found


async def finish(run: UUID, place: int, *, follows: str = "") -> None:
    """Store that a run has passed a stage and its gates. `follows`: the plan whose second part the run carries out."""
    await artifacts.put(key(_finished(run, follows), str(place)), stamp(now()), kind="note")


async def finished(run: UUID, *, follows: str = "") -> frozenset[int]:
    """The places of the stages that a run itself noted as passed. Notes of other runs do not count."""
    prefix = f"{_finished(run, follows)}-"
    async with get_client() as client:
        found = await artifacts.of_runs(client, (run,), prefix)
    places = (one.key.removeprefix(prefix) for one in found)
    return frozenset(int(place) for place in places if place.isdecimal())


async def all_reached(plan: FleetPlan) -> dict[tuple[str, Side], datetime]:
    """When the gates of a plan were reached, by the name of the stage and the side. Unreadable notes are left out."""
    stored = {one.key: one for one in await artifacts.newest(key("reached", hexadecimal(plan.digest)))}
    found: dict[tuple[str, Side], datetime] = {}
    for stage in plan.stages:
        for side in SIDES:
            at = _moment_in(stored.get(_name("reached", plan.digest, side, stage.name)))
            if at is not None:
                found[stage.name, side] = at
    return found


async def soak_from(digest: str, first: FleetPlan) -> None:
    """Let the gates of a rotation's plan count from the ends of the first plan's stages."""
    for stage in first.stages:
        at = await reached(first.digest, stage.name, "after")
        await artifacts.put(_name("reached", digest, "before", stage.name), stamp(at), kind="note")


def _work(run: UUID) -> str:
    return key("work-of", str(run))


def _moment_in(stored: artifacts.Stored | None) -> datetime | None:
    """Return when something was noted, or None for an unreadable note: the wait then begins again."""
    try:
        return moment(stored.text) if stored else None
    except (Refused, ValueError):
        return None


def _finished(run: UUID, follows: str) -> str:
    return key("left", str(run), short(follows) if follows else "first")


def _name(what: str, digest: str, *parts: str) -> str:
    *before, stage = parts
    return key(what, hexadecimal(digest), *before, stage_key(stage))
