"""Random sequences of faults, kills and foreign writes at one cluster, with a check for a lockout at every call.

A failure prints the sequence that led to it, and a blob (`@reproduce_failure`) that replays it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.prefect_client.names import hexadecimal
from tests.matrix.faults import KINDS, Kind
from tests.matrix.migration import STARTING, Migration
from tests.matrix.statements.archive import HARMS, Archive, Harm
from tests.support.memory_model import Killed
from tests.support.record_places import REACHES, BlobsInMemory, ChangeableFolder, Reach

THEIRS = {"the cluster is deleted", "a lock is placed", "tokens are refused for a while"}
"""Faults that lock everybody out whatever the job does. The fault matrix tests them separately."""
RANDOM_KINDS = tuple(kind for kind in KINDS if kind.name not in THEIRS)


class RandomFaults(RuleBasedStateMachine):
    """A random sequence of events at one cluster."""

    migration: Migration
    folder: TemporaryDirectory[str]

    @initialize(starting=st.sampled_from(STARTING), records=st.sampled_from(("world", "memory", "folder")))
    def begin(self, starting: str, records: str) -> None:
        self.folder = TemporaryDirectory()
        place = ChangeableFolder(Path(self.folder.name)) if records == "folder" else BlobsInMemory()
        self.migration = asyncio.run(Migration.begin(starting, None if records == "world" else place))
        self.harmed = False  # a record was lost or damaged, so the run after it may know too little
        self.disturbed = False  # somebody permanently changed something that the plan depends on
        self.failed_operations = 0
        self.ineffective = False  # a rotation changes nothing, so each run may start one
        self.verdict: Verdict | None = None
        self.looked = 0

    @rule(kind=st.sampled_from(RANDOM_KINDS), ahead=st.integers(1, 60))
    def fault(self, kind: Kind, ahead: int) -> None:
        """Add a fault at one of the next calls."""
        for call in ("arm.set_local_accounts", "arm.operation", "arm.cluster", "kubernetes.sign_in"):
            happening = kind.make(self.migration, call)
            if happening is not None:
                self.migration.world.happenings[len(self.migration.world.calls) + ahead] = happening
                self.disturbed |= not kind.transient and happening.event is not None
                self.failed_operations += kind.name.startswith("the operation ends")
                self.ineffective |= kind.name == "the CA is unchanged after the rotation"
                return

    @rule(seconds=st.integers(1, 4000))
    def time_passes(self, seconds: int) -> None:
        asyncio.run(self.migration.world.clock.sleep(seconds))

    @rule(moment=st.integers(1, 250))
    def a_run_is_killed(self, moment: int) -> None:
        self.migration.world.kill_at = self.migration.world.moments + moment
        try:
            self._judge(asyncio.run(self.migration.migrate()))
        except Killed:
            pass
        finally:
            self.migration.world.kill_at = None

    @rule()
    def a_run_comes_to_its_end(self) -> None:
        self._judge(asyncio.run(self.migration.migrate()))

    @precondition(lambda self: self.migration.archive is not None)
    @rule(harm=st.sampled_from(HARMS))
    def records_come_to_harm(self, harm: Harm) -> None:
        self.harmed = True
        asyncio.run(self.archive.harm_under(hexadecimal(self.migration.job.digest), harm))

    @precondition(lambda self: self.migration.archive is not None)
    @rule(reach=st.sampled_from(REACHES))
    def the_store_of_records(self, reach: Reach) -> None:
        self.archive.place.reach = reach

    @precondition(lambda self: self.migration.archive is not None)
    @rule()
    def another_process_opens_the_store(self) -> None:
        self.archive.forget()

    @property
    def archive(self) -> Archive:
        """Return the store of records of this migration."""
        assert self.migration.archive is not None
        return self.migration.archive

    @invariant()
    def nobody_is_locked_out(self) -> None:
        if hasattr(self, "migration"):
            assert self.migration.observer.lockouts == []
            assert dict(self.migration.cluster.tags) == {"env": "prod"}
            assert self.ineffective or self.migration.cluster.rotations <= 1 + self.failed_operations

    def teardown(self) -> None:
        """After all faults, one more run ends well, or says what it found."""
        if not hasattr(self, "migration"):
            return
        self.migration.world.happenings.clear()
        self.migration.world.ends.clear()
        self.migration.world.lost_urls = False
        if self.migration.archive is not None:
            self.archive.place.reach = "readable"
        verdict = asyncio.run(self.migration.migrate())
        assert self.migration.claims_nothing_false(verdict), verdict.because
        assert self.disturbed or self.harmed or verdict.outcome is Outcome.VERIFIED, verdict.because
        assert self.migration.observer.lockouts == []
        self.folder.cleanup()

    def _judge(self, verdict: Verdict) -> None:
        """Check the verdict. An event after the run's final check is left to the next run."""
        if not self.disturbed:
            assert self.migration.claims_nothing_false(verdict), verdict.because
        assert verdict.outcome is Outcome.VERIFIED or verdict.because


@pytest.mark.parametrize(
    "sequences", [pytest.param(60, id="a sample"), pytest.param(400, marks=pytest.mark.long, id="all of them")]
)
def test_random_faults(sequences: int) -> None:
    run_state_machine_as_test(
        RandomFaults,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=10,
            deadline=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
