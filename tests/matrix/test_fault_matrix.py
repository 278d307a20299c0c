"""Every kind of fault at every call of the main job: no false "verified", nobody locked out, every fault consumed."""

from __future__ import annotations

import pytest

from aks_entra.core.verdict import Outcome
from tests.matrix.faults import GROUP_DELETED, KINDS, Kind
from tests.matrix.main_job import Day, calls_of

STARTING = ("none · created group", "managed, accounts on · existing group", "closed, never rotated · existing group")
EVERY = pytest.param(1, marks=pytest.mark.long, id="every call")
SAMPLE = pytest.param(9, id="a sample of the calls")
NOTHING_HAPPENS = {"a stale read"}  # before the first write there is nothing older to show


def test_there_are_enough_kinds() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 40


async def met(kind: Kind, starting: str, number: int, call: str, last_look: int) -> bool:
    """One job with one fault at one call. Whether the fault fits this call."""
    day = await Day.begin(starting)
    happening = kind.make(day, call)
    if happening is None:
        return False
    day.world.happenings[number] = happening
    verdict = await day.migrate()
    where = f"{kind.name} at call {number} ({call}) of {starting}: {verdict.outcome}: {verdict.because}"
    assert happening.met, where
    assert not any(day.world.ends.values()), where
    forced = kind.name == "the cluster is deleted"
    if happening.event is None or number < last_look:
        assert day.right(verdict), where
    if not forced:
        lost = [one for one in day.door.shut if not _theirs(kind)]
        assert lost == [], where
    assert dict(day.cluster.tags) == {"env": "prod"}, where
    if verdict.outcome is not Outcome.VERIFIED:
        assert verdict.because, where
        assert verdict.next or verdict.outcome is Outcome.REFUSED or "unforeseen" in verdict.because[0], where
    if kind.transient and verdict.outcome is not Outcome.VERIFIED:
        day.world.happenings.clear()
        day.world.lost_urls = False
        again = await day.migrate()
        assert again.outcome is Outcome.VERIFIED, f"{where} · resumed: {again.outcome}: {again.because}"
        assert day.true, where
        assert day.door.shut == [], where
    assert day.cluster.rotations <= 1 or "operation ends" in kind.name, where
    return True


def _theirs(kind: Kind) -> bool:
    """Whether somebody else shut the door: they took every way in away, and nothing of ours did."""
    return kind.name in {"tokens are refused for a while", "a lock is placed"}


@pytest.mark.parametrize("pace", [SAMPLE, EVERY])
@pytest.mark.parametrize("starting", STARTING)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_one_fault(kind: Kind, starting: str, pace: int) -> None:
    calls, last_look = await calls_of(starting)
    offset = KINDS.index(kind) % pace
    fitting = 0
    for number, call in enumerate(calls, start=1):
        day = await Day.begin(starting)
        if kind.make(day, call) is None:
            continue
        fitting += 1
        if (fitting - 1) % pace == offset % max(1, min(pace, fitting)) or pace == 1:
            assert await met(kind, starting, number, call, last_look)
    assert fitting or "created" not in starting, f"{kind.name} fits no call"


@pytest.mark.parametrize("starting", STARTING[:2])
async def test_the_admin_group_is_deleted_before_anything_is_closed(starting: str) -> None:
    """Nobody is locked out by us: where the group goes before the accounts do, they stay on."""
    calls, _ = await calls_of(starting)
    closing = calls.index("arm.set_local_accounts") + 1
    proof = max(number for number, call in enumerate(calls[:closing], start=1) if call == "kubernetes.sign_in")
    made = calls.index("directory.ensure_group") + 2 if "created" in starting else 1
    for number in range(made, proof + 1):
        day = await Day.begin(starting)
        happening = GROUP_DELETED.make(day, calls[number - 1])
        assert happening is not None
        day.world.happenings[number] = happening
        verdict = await day.migrate()
        assert verdict.outcome in {Outcome.FAILED, Outcome.REFUSED}, (number, verdict.because)
        assert day.cluster.local_accounts, number
        assert day.door.shut == [], number
