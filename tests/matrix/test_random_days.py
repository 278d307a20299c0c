"""Random days: faults, kills and foreign writes in any order over one cluster, with somebody at the door throughout.

A failure prints the sequence that led to it, and a blob (`@reproduce_failure`) that replays it.
"""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from aks_entra.core.verdict import Outcome, Verdict
from tests.matrix.faults import KINDS, Kind
from tests.matrix.main_job import STARTING, Day
from tests.unit.ports_world import Killed

THEIRS = {"the cluster is deleted", "a lock is placed", "tokens are refused for a while"}
"""What shuts the door by itself, whatever the job does: tried on its own in the fault matrix."""
DAYS = tuple(kind for kind in KINDS if kind.name not in THEIRS)


class RandomDay(RuleBasedStateMachine):
    """One cluster's day."""

    day: Day

    @initialize(starting=st.sampled_from(STARTING))
    def dawn(self, starting: str) -> None:
        self.day = asyncio.run(Day.begin(starting))
        self.disturbed = False  # somebody changed for good what the plan rests on
        self.failed_operations = 0
        self.verdict: Verdict | None = None
        self.looked = 0

    @rule(kind=st.sampled_from(DAYS), ahead=st.integers(1, 60))
    def fault(self, kind: Kind, ahead: int) -> None:
        """Something goes wrong at one of the next calls, whichever call that is."""
        for call in ("arm.set_local_accounts", "arm.operation", "arm.cluster", "kubernetes.sign_in"):
            happening = kind.make(self.day, call)
            if happening is not None:
                self.day.world.happenings[len(self.day.world.calls) + ahead] = happening
                self.disturbed |= not kind.transient and happening.event is not None
                self.failed_operations += kind.name.startswith("the operation ends")
                return

    @rule(seconds=st.integers(1, 4000))
    def time_passes(self, seconds: int) -> None:
        asyncio.run(self.day.world.clock.sleep(seconds))

    @rule(moment=st.integers(1, 250))
    def a_run_is_killed(self, moment: int) -> None:
        self.day.world.kill_at = self.day.world.moments + moment
        try:
            self._judge(asyncio.run(self.day.migrate()))
        except Killed:
            pass
        finally:
            self.day.world.kill_at = None

    @rule()
    def a_run_comes_to_its_end(self) -> None:
        self._judge(asyncio.run(self.day.migrate()))

    @invariant()
    def nobody_is_locked_out(self) -> None:
        if hasattr(self, "day"):
            assert self.day.door.shut == []
            assert dict(self.day.cluster.tags) == {"env": "prod"}
            assert self.day.cluster.rotations <= 1 + self.failed_operations

    def teardown(self) -> None:
        """When the day is over and nothing goes wrong any more, one more run ends well, or says what it found."""
        if not hasattr(self, "day"):
            return
        self.day.world.happenings.clear()
        self.day.world.ends.clear()
        self.day.world.lost_urls = False
        verdict = asyncio.run(self.day.migrate())
        assert self.day.right(verdict), verdict.because
        assert self.disturbed or verdict.outcome is Outcome.VERIFIED, verdict.because
        assert self.day.door.shut == []

    def _judge(self, verdict: Verdict) -> None:
        """What happened during a run may have come after its last look: then only the next run is asked."""
        if not self.disturbed:
            assert self.day.right(verdict), verdict.because
        assert verdict.outcome is Outcome.VERIFIED or verdict.because


@pytest.mark.parametrize(
    "days", [pytest.param(60, id="a few days"), pytest.param(400, marks=pytest.mark.long, id="a year and a bit")]
)
def test_random_days(days: int) -> None:
    run_state_machine_as_test(
        RandomDay,
        settings=settings(
            max_examples=days,
            stateful_step_count=10,
            deadline=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
