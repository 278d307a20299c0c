"""A run that waits for a time never begins before it, by the rule of Prefect's own server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import prefect.server.models  # noqa: F401 - the rules below import it in a circle
import pytest
from prefect.server.database import orm_models
from prefect.server.orchestration.core_policy import WaitForScheduledTime
from prefect.server.orchestration.rules import FlowOrchestrationContext
from prefect.server.schemas.responses import SetStateStatus
from prefect.server.schemas.states import Running, State
from sqlalchemy.ext.asyncio import AsyncSession

from aks_entra.prefect_client.waiting import awaiting


@pytest.mark.parametrize("left", [0.1, 0.4, 0.49, 0.51, 0.9, 1.4, 30.3])
async def test_prefects_server_starts_a_waiting_run_at_its_time_or_later(left: float) -> None:
    until = datetime.now(UTC) + timedelta(seconds=left)
    waits = State.model_validate(awaiting(until, "gate before stage all: wait 8s").model_dump(mode="json"))
    context: Any = FlowOrchestrationContext(
        session=AsyncSession(),
        run=orm_models.FlowRun(),
        initial_state=waits,
        proposed_state=Running(),
    )
    rule = WaitForScheduledTime(context, waits.type, Running().type)
    await rule.before_transition(waits, Running(), context)
    assert context.response_status is SetStateStatus.WAIT or datetime.now(UTC) >= until


def test_people_read_the_time_at_which_the_run_may_begin() -> None:
    until = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
    assert awaiting(until, "wait 8s").message == "waits until 2026-11-28T12:00:00Z: wait 8s"
