"""The sweep for an end is scheduled before the record is stored, and never keeps the record from being stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from aks_entra.prefect_client.scheduled_sweeps import EndNotScheduled, announce_end, at_an_end, schedule_in

END = datetime(2099, 11, 27, 18, 0, tzinfo=UTC)
SWEEP = DeploymentResponse(id=uuid4(), flow_id=uuid4(), name="end-access", labels={})


class Server:
    """As much of Prefect's client as creates runs: one for each key, in the states that a test gives."""

    def __init__(self, *states: StateType) -> None:
        self._states = iter(states)
        self.runs: dict[str, FlowRun] = {}
        self.asked: list[dict[str, Any]] = []

    async def create_flow_run_from_deployment(self, deployment_id: Any, **asked: Any) -> FlowRun:
        self.asked.append(asked)
        key = asked["idempotency_key"]
        if key not in self.runs:
            state = State(type=next(self._states))
            self.runs[key] = FlowRun(id=uuid4(), flow_id=deployment_id, name=asked["name"], state=state)
        return self.runs[key]


async def scheduled(server: Server) -> FlowRun:
    return await schedule_in(cast("PrefectClient", server), SWEEP, END)


async def test_two_ends_in_the_same_second_share_one_run() -> None:
    server = Server(StateType.SCHEDULED)
    assert await scheduled(server) is await scheduled(server)
    assert len(server.runs) == 1
    assert server.asked[0]["state"].state_details.scheduled_time == END
    assert "parameters" not in server.asked[0], "the deployment's own parameters name the prover"


@pytest.mark.parametrize("over", [StateType.CANCELLED, StateType.RUNNING, StateType.CRASHED, StateType.COMPLETED])
async def test_a_run_that_has_begun_or_was_cancelled_is_replaced_once(over: StateType) -> None:
    server = Server(over, StateType.SCHEDULED)
    first = await scheduled(server)
    assert first.state is not None
    assert first.state.type is StateType.SCHEDULED
    assert await scheduled(server) is first
    assert len(server.runs) == 2


async def test_without_a_server_the_record_is_stored_first_and_the_missing_sweep_is_said() -> None:
    stored: list[str] = []

    async def store() -> None:
        stored.append("record")

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        with pytest.raises(EndNotScheduled, match="no run of end-access is scheduled for 2099-11-27T18:00:00Z"):
            await announce_end("end-access/end-access", END, store, attended=False)
        await announce_end("end-access/end-access", None, store, attended=False)
    assert stored == ["record", "record"]


def test_a_process_that_is_no_flow_run_looks_at_everything() -> None:
    assert not at_an_end()
