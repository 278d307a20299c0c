"""The gate at which a run waits, read in the moment between its suspension and the storing of its form."""

from __future__ import annotations

from typing import cast
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateDetails
from prefect.states import Suspended

from aks_entra.prefect_client.approvals import gate_of

KEYS = {"schema": "gate-0-before-schema", "response": "gate-0-before-response", "description": "gate-0-before-text"}


class Server:
    """A client whose server answers every question for a form with this status."""

    def __init__(self, status: int) -> None:
        self._status = status

    async def read_flow_run_input(self, flow_run_id: UUID, key: str) -> str:
        request = httpx.Request("GET", f"http://127.0.0.1:4200/api/flow_runs/{flow_run_id}/input/{key}")
        raise httpx.HTTPStatusError("no form", request=request, response=httpx.Response(self._status, request=request))


def suspended() -> FlowRun:
    details = StateDetails(pause_key="gate-0-before-abcdef012345-1", run_input_keyset=KEYS)
    state: State[object] = Suspended(timeout_seconds=60)
    return FlowRun(id=uuid4(), flow_id=uuid4(), state=state.model_copy(update={"state_details": details}))


async def test_a_form_that_is_not_stored_yet_is_no_gate_yet() -> None:
    assert await gate_of(cast("PrefectClient", Server(404)), suspended()) is None


async def test_any_other_answer_of_the_server_is_an_error() -> None:
    with pytest.raises(httpx.HTTPStatusError):
        await gate_of(cast("PrefectClient", Server(503)), suspended())
