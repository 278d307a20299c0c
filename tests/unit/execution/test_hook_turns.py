"""The loop of hooks: whatever ends it, each hook has a result, and none looks done that is not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from aks_entra.core.evidence.hook_runs import HookRan, HookStatus
from aks_entra.core.evidence.observations import CertificatesRotated
from aks_entra.core.hooks.model import EmitEvent
from aks_entra.core.hooks.results import AGAIN, DueHook, HookEnd, last_runs
from aks_entra.core.planning.plan import plan_cluster
from aks_entra.core.verdict.verdict import Outcome, Verdict, judge
from aks_entra.execution.hook_turns import run_hooks
from tests.support.cases import WHOLE, facts, managed, target
from tests.support.memory_ports import World

PLAN = plan_cluster(managed(), target(), facts())
VERIFIED = judge(PLAN, WHOLE)
AFTER = tuple(EmitEvent(event=f"contoso.{name}") for name in ("first", "second", "third"))
DONE, FAILED, NOT_RUN = HookStatus.DONE, HookStatus.FAILED, HookStatus.NOT_RUN


class Batch:
    """A batch in memory. `errors` are raised at a call: `kept`, `known`, `keep N`, `run N`."""

    def __init__(self, errors: Mapping[str, BaseException] | None = None, kept: tuple[HookRan, ...] = ()) -> None:
        self.errors, self.stored = dict(errors or {}), kept
        self.calls: list[str] = []
        self.verdict: Verdict | None = None

    def _at(self, call: str) -> None:
        self.calls.append(call)
        if error := self.errors.pop(call, None):
            raise error

    async def kept(self) -> tuple[HookRan, ...]:
        self._at("kept")
        return self.stored

    async def known(self, rotated: CertificatesRotated) -> Mapping[str, str]:
        self._at("known")
        return {"ca_fingerprint": rotated.ca_after}

    async def run(self, one: DueHook, rotated: CertificatesRotated, known: Mapping[str, str]) -> HookEnd:
        self._at(f"run {one.place}")
        assert known["ca_fingerprint"] == rotated.ca_after
        return HookEnd(status=DONE, detail="it was sent")

    async def keep(self, ran: tuple[HookRan, ...]) -> None:
        self._at(f"keep {ran[-1].place}")
        self.stored = ran

    async def stopped(self, verdict: Verdict) -> None:
        self.verdict = verdict

    def failed(self, error: Exception) -> HookEnd:
        return HookEnd(status=FAILED, detail=str(error), remedy="repair it")


async def turn(batch: Batch, verdict: Verdict = VERIFIED, *, may_write: bool = True) -> Verdict:
    return await run_hooks(AFTER, verdict, batch, World().clock, may_write=may_write)


def statuses(verdict: Verdict | None) -> list[HookStatus]:
    assert verdict is not None
    return [one.status for one in last_runs(verdict.evidence)]


async def test_each_hook_runs_once_and_its_result_is_stored_before_the_next() -> None:
    batch = Batch()
    verdict = await turn(batch)
    assert batch.calls == ["kept", "known", "run 0", "keep 0", "run 1", "keep 1", "run 2", "keep 2"]
    assert statuses(verdict) == [DONE] * 3
    assert not verdict.hooks_left
    again = Batch(kept=batch.stored)
    assert statuses(await turn(again)) == [DONE] * 3
    assert again.calls == ["kept"]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("kept", [NOT_RUN, NOT_RUN, NOT_RUN]),
        ("known", [NOT_RUN, NOT_RUN, NOT_RUN]),
        ("run 0", [FAILED, NOT_RUN, NOT_RUN]),
        ("keep 0", [DONE, NOT_RUN, NOT_RUN]),
        ("run 1", [DONE, FAILED, NOT_RUN]),
        ("run 2", [DONE, DONE, FAILED]),
    ],
)
async def test_a_hook_that_was_cancelled_is_named_in_the_verdict_and_never_green(
    call: str, expected: list[HookStatus]
) -> None:
    batch = Batch({call: asyncio.CancelledError()})
    with pytest.raises(asyncio.CancelledError):
        await turn(batch)
    assert statuses(batch.verdict) == expected
    assert batch.verdict is not None
    assert batch.verdict.outcome is Outcome.VERIFIED  # the proofs stand
    assert batch.verdict.hooks_left
    first = expected.index(next(one for one in expected if one is not DONE))
    why = "the run was stopped while it ran, and its end was not seen" if FAILED in expected else "the run was stopped"
    assert batch.verdict.because[0] == f"after the rotation, emit {AFTER[first].event}: {expected[first]}: {why}"
    assert batch.verdict.next == AGAIN


@pytest.mark.parametrize(
    ("call", "expected", "calls"),
    [
        ("kept", [FAILED, FAILED, FAILED], 1),
        ("known", [FAILED, FAILED, FAILED], 5),
        ("run 0", [FAILED, DONE, DONE], 8),
        ("keep 0", [DONE, FAILED, FAILED], 4),
    ],
)
async def test_an_error_is_the_result_of_its_hook_and_of_those_that_it_keeps_from_running(
    call: str, expected: list[HookStatus], calls: int
) -> None:
    batch = Batch({call: RuntimeError("no answer")})
    verdict = await turn(batch)
    assert statuses(verdict) == expected
    assert len(batch.calls) == calls
    assert verdict.because[0].endswith("failed: no answer")
    assert verdict.next == "repair it"


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"may_write": False}, "this run may only look"),
        ({"verdict": judge(PLAN, tuple(one for one in WHOLE if one.kind != "state-seen"))}, "not seen to serve"),
    ],
)
async def test_hooks_that_may_not_run_yet_are_stored_as_not_run(how: dict[str, Any], why: str) -> None:
    batch = Batch()
    verdict = await turn(batch, **how)
    assert statuses(verdict) == [NOT_RUN] * 3
    assert all(why in one.detail for one in last_runs(verdict.evidence))
    assert not any(call.startswith(("run", "known")) for call in batch.calls)


async def test_without_a_rotation_or_without_hooks_nothing_is_asked() -> None:
    batch = Batch()
    unrotated = judge(PLAN, tuple(one for one in WHOLE if not isinstance(one, CertificatesRotated)))
    assert await turn(batch, unrotated) is unrotated
    assert await run_hooks((), VERIFIED, batch, World().clock, may_write=True) is VERIFIED
    assert batch.calls == []
