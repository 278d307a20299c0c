"""What a batch notes about its clusters, and how often."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from aks_entra.core.durations import stamp
from aks_entra.core.rollout.progress import BatchProgress, StepProgress, StepState
from aks_entra.core.verdict.verdict import Outcome, Reason
from aks_entra.prefect_client.batch_progress import BatchTracker, write_changes
from tests.support.rollouts import FIRST, NOW, PLAN, SECOND, proven, said


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


def steps(progress: BatchProgress) -> list[list[StepProgress]]:
    return [list(one.steps) for one in progress.clusters]


def test_steps_are_noted_when_they_begin_and_when_they_end() -> None:
    clock = Watch()
    tracker = BatchTracker(PLAN, (FIRST, SECOND), clock=clock)
    assert tracker.changed.is_set()
    tracker.changed.clear()
    with tracker.step(FIRST, "look"):
        assert steps(tracker.progress) == [[StepProgress(title="look", began=stamp(NOW))], []]
        assert tracker.changed.is_set()
        tracker.changed.clear()
        clock.at = NOW + timedelta(seconds=7)
    look = StepProgress(title="look", began=stamp(NOW), state=StepState.DONE, seconds=7)
    assert steps(tracker.progress) == [[look], []]
    assert tracker.changed.is_set()
    assert tracker.progress.plan == PLAN.digest


@pytest.mark.parametrize(
    ("error", "state"), [(RuntimeError("x"), StepState.FAILED), (asyncio.CancelledError(), StepState.STOPPED)]
)
def test_a_step_that_fails_or_is_stopped_is_noted_as_that(error: BaseException, state: StepState) -> None:
    tracker = BatchTracker(PLAN, (FIRST,), clock=Watch())
    with pytest.raises(type(error)), tracker.step(FIRST, "look"):
        raise error
    assert [one.state for one in tracker.progress.clusters[0].steps] == [state]


def test_verdicts_are_noted_with_their_first_reason() -> None:
    tracker = BatchTracker(PLAN, (FIRST, SECOND))
    tracker.changed.clear()
    tracker.give(proven(FIRST), said(SECOND, Outcome.SKIPPED, Reason.BUDGET_SPENT))
    assert tracker.changed.is_set()
    first, second = tracker.progress.clusters
    assert (first.outcome, first.counts_against) == (Outcome.VERIFIED, False)
    assert (second.outcome, second.because, second.counts_against) == (Outcome.SKIPPED, "so it is", True)


async def test_changes_are_written_together_and_a_write_that_failed_is_repeated() -> None:
    changed, told = asyncio.Event(), list[str]()
    changed.set()

    async def write() -> None:
        told.append("write")
        if told.count("write") == 1:
            raise ConnectionError("no server")

    async def sleep(seconds: float) -> None:
        told.append(f"sleep {seconds:.0f}")
        if told.count("write") == 2:  # many changes during one pause are one write
            changed.set()
            changed.set()
        if told.count("write") == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await write_changes(changed, write, every=4, sleep=sleep)
    assert told == ["write", "sleep 4"] * 3
