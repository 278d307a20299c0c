"""Random histories: no statement says that old credentials are dead while one of them works."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from aks_entra.core.verdict.verdict import Outcome
from tests.matrix.statements.random_history import SAID, RandomHistory

LEAST = {"inventory --read": 0.2, "plan": 0.3, "verify FLEET.yaml": 0.3, "verify PLAN.json": 0.3, "migrate": 0.5}
"""The smallest share of statements that must be positive while no old credential works."""


@pytest.mark.parametrize(
    "histories", [pytest.param(80, id="a sample"), pytest.param(5000, marks=pytest.mark.long, id="all of them")]
)
def test_no_statement_is_false(histories: int) -> None:
    SAID.clear()
    run_state_machine_as_test(
        RandomHistory,
        settings=settings(
            max_examples=histories,
            stateful_step_count=8,
            deadline=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
    for by, least in LEAST.items():
        said = Counter({statement: count for (who, statement, live), count in SAID.items() if who == by and not live})
        good = said["dead"] + said[str(Outcome.VERIFIED)]
        assert good >= least * said.total(), f"{by} gets by without saying what it could know: {said}"
