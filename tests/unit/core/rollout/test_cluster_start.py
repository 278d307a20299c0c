"""Whether a cluster begins: one line per case."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.planning.gates import Gate, Hours
from aks_entra.core.planning.rollout import MemberGroup, Stage
from aks_entra.core.rollout.cluster_start import StartFacts, not_begun
from aks_entra.core.rollout.quiet import Listened
from aks_entra.core.verdict.verdict import Reason
from tests.support.audit_logs import caller
from tests.support.cases import SHOP

TUESDAY = datetime(2026, 11, 24, 12, tzinfo=UTC)
SATURDAY = MaintenanceWindow(
    name="nodes", schedule="weekly", day_of_week="Saturday", duration_hours=4, start_time="02:00"
)
NOON = Gate(approval=False, window=Hours(start="11:00", end="13:00"))
NIGHT = Gate(approval=False, window=Hours(start="02:00", end="03:00"))
QUIET = Gate(approval=False, quiet=3600)
CALLED = Listened(cluster=SHOP, callers=(caller(),))
MAINTENANCE = Gate(approval=False, maintenance_window=True)


@pytest.mark.parametrize(
    ("gate", "at_start", "reason"),
    [
        (True, StartFacts(failures=0), None),
        (False, StartFacts(failures=0), None),
        (True, StartFacts(failures=1), None),  # one failure is allowed
        (True, StartFacts(failures=2), Reason.BUDGET_SPENT),
        (True, StartFacts(failures=2, skipped="by dana"), Reason.BUDGET_SPENT),
        (True, StartFacts(failures=0, skipped="by dana"), Reason.LEFT_OUT),
        (NOON, StartFacts(failures=0), None),
        (NIGHT, StartFacts(failures=0), Reason.WINDOW_CLOSED),
        (NIGHT, StartFacts(failures=0, skipped="by dana"), Reason.LEFT_OUT),
        (MAINTENANCE, StartFacts(failures=0, maintenance=(SATURDAY,)), Reason.WINDOW_CLOSED),
        (MAINTENANCE, StartFacts(failures=0, maintenance=None), Reason.WINDOW_CLOSED),  # unreadable counts as closed
        (MAINTENANCE, StartFacts(failures=0, maintenance=()), None),  # the cluster has no window
        (QUIET, StartFacts(failures=0, listened=(Listened(cluster=SHOP),)), None),
        (QUIET, StartFacts(failures=0, listened=(Listened(cluster=SHOP), CALLED)), Reason.NOT_QUIET),
        (QUIET, StartFacts(failures=0), Reason.NOT_QUIET),  # nobody read a log
        (QUIET, StartFacts(failures=0, writes=False), None),  # a batch that only looks waits for nothing
        (NIGHT, StartFacts(failures=0, writes=False), None),
        (True, StartFacts(failures=0, listened=(CALLED,)), None),
    ],
)
def test_a_cluster_begins_within_the_budget_and_its_windows(
    gate: bool | Gate, at_start: StartFacts, reason: Reason
) -> None:
    groups = (MemberGroup(name="all", members=(SHOP,)),)
    stage = Stage(name="all", groups=groups, gate_before=gate, max_allowed_failures=1)
    found = not_begun(stage, at_start, TUESDAY)
    assert (found.reason if found else None) is reason
    assert found is None or found.because
