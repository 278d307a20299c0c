"""Every kind of fault at every call of the main job: no false "verified", nobody locked out, every fault consumed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from aks_entra.core.verdict.verdict import Outcome
from tests.matrix.faults import GROUP_DELETED, KINDS, Kind
from tests.matrix.migration import Migration, calls_of

STARTING = ("none · created group", "managed, accounts on · existing group", "closed, never rotated · existing group")
EVERY = pytest.param(1, marks=pytest.mark.long, id="every call")
SAMPLE = pytest.param(5, id="a sample of the calls")
NOTHING_HAPPENS = {"a stale read"}  # before the first write there is no older state to show


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """The numbered calls of a job without a fault, and the number of the first call of its final check."""

    starting: str
    calls: tuple[tuple[int, str], ...]
    last_look: int

    def different_calls(self) -> list[tuple[int, str]]:
        """Return the calls without polling: a call is left out if it came before between the same two calls."""
        names = ["", *(call for _, call in self.calls), ""]
        first: dict[tuple[str, ...], tuple[int, str]] = {}
        for number, call in self.calls:
            first.setdefault(tuple(names[number - 1 : number + 2]), (number, call))
        return list(first.values())


def test_there_are_enough_kinds() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 40


async def met(kind: Kind, starting: str, number: int, call: str, last_look: int) -> bool:
    """Run a job with one fault at one call. Returns whether the fault applies to this call."""
    migration = await Migration.begin(starting)
    happening = kind.make(migration, call)
    if happening is None:
        return False
    migration.world.happenings[number] = happening
    verdict = await migration.migrate()
    where = f"{kind.name} at call {number} ({call}) of {starting}: {verdict.outcome}: {verdict.because}"
    assert happening.met, where
    assert not any(migration.world.ends.values()), where
    forced = kind.name == "the cluster is deleted"
    if happening.event is None or number < last_look:
        assert migration.claims_nothing_false(verdict), where
    if not forced:
        lost = [one for one in migration.observer.lockouts if not _theirs(kind)]
        assert lost == [], where
    assert dict(migration.cluster.tags) == {"env": "prod"}, where
    if verdict.outcome is not Outcome.VERIFIED:
        assert verdict.because, where
        assert verdict.next or verdict.outcome is Outcome.REFUSED or "unexpected error" in verdict.because[0], where
    if kind.transient and verdict.outcome is not Outcome.VERIFIED:
        migration.world.happenings.clear()
        migration.world.lost_urls = False
        again = await migration.migrate()
        assert again.outcome is Outcome.VERIFIED, f"{where} · resumed: {again.outcome}: {again.because}"
        assert migration.is_verified, where
        assert migration.observer.lockouts == [], where
    assert migration.cluster.rotations <= 1 or "operation ends" in kind.name, where
    return True


def _theirs(kind: Kind) -> bool:
    """Whether somebody else locked everybody out, and not our program."""
    return kind.name in {"tokens are refused for a while", "a lock is placed"}


@pytest.fixture(name="undisturbed", scope="module", params=STARTING)
def an_undisturbed_job(request: pytest.FixtureRequest) -> Undisturbed:
    calls, last_look = asyncio.run(calls_of(request.param))
    return Undisturbed(starting=request.param, calls=tuple(enumerate(calls, start=1)), last_look=last_look)


@pytest.mark.parametrize("pace", [SAMPLE, EVERY])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_one_fault(kind: Kind, undisturbed: Undisturbed, pace: int) -> None:
    migration = await Migration.begin(undisturbed.starting)
    calls = undisturbed.calls if pace == 1 else undisturbed.different_calls()
    fitting = [(number, call) for number, call in calls if kind.make(migration, call) is not None]
    assert fitting or "created" not in undisturbed.starting, f"{kind.name} fits no call"
    offset = KINDS.index(kind) % max(1, min(pace, len(fitting)))
    for number, call in fitting[offset::pace]:
        assert await met(kind, undisturbed.starting, number, call, undisturbed.last_look)


@pytest.mark.parametrize("starting", STARTING[:2])
async def test_the_admin_group_is_deleted_before_anything_is_closed(starting: str) -> None:
    """We lock nobody out: if the group is deleted before local accounts are off, they stay on."""
    calls, _ = await calls_of(starting)
    closing = calls.index("arm.set_local_accounts") + 1
    proof = max(number for number, call in enumerate(calls[:closing], start=1) if call == "kubernetes.sign_in")
    made = calls.index("directory.ensure_group") + 2 if "created" in starting else 1
    for number in range(made, proof + 1):
        migration = await Migration.begin(starting)
        happening = GROUP_DELETED.make(migration, calls[number - 1])
        assert happening is not None
        migration.world.happenings[number] = happening
        verdict = await migration.migrate()
        assert verdict.outcome in {Outcome.FAILED, Outcome.REFUSED}, (number, verdict.because)
        assert migration.cluster.local_accounts, number
        assert migration.observer.lockouts == [], number
