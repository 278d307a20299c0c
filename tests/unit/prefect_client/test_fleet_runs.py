"""One migration of a fleet at a time: what a second one is told about the first, and which runs count."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.types._datetime import now

from aks_entra.prefect_client.fleet_runs import begun_and_not_over, busy
from aks_entra.prefect_client.liveness import Liveness

RUN = UUID("4f1c09aa-0000-4000-8000-000000000000")


def run(kind: StateType, message: str = "", *, begun: bool = True) -> FlowRun:
    return FlowRun(
        id=RUN,
        flow_id=RUN,
        name="polar-piculet",
        state=State(type=kind, message=message),
        start_time=cast("Any", now("UTC") if begun else None),
    )


@pytest.mark.parametrize(
    ("older", "life", "message", "remedy"),
    [
        (run(StateType.RUNNING), Liveness.ALIVE, "runs", "aks-entra migrate --follow 4f1c09aa"),
        (run(StateType.PAUSED), Liveness.WAITING, "waits at its gate", "aks-entra stop 4f1c09aa"),
        (
            run(StateType.SCHEDULED, "waits for Saturday"),
            Liveness.WAITING,
            "waits for Saturday",
            "aks-entra stop 4f1c09aa",
        ),
        (
            *(run(StateType.RUNNING), Liveness.SILENT),
            *("was not heard of for some minutes", "aks-entra migrate --resume 4f1c09aa"),
        ),
    ],
)
def test_a_second_migration_is_told_what_the_first_does_and_how_to_go_on(
    older: FlowRun, life: Liveness, message: str, remedy: str
) -> None:
    error = busy("prod", older, life)
    assert error.message == f"run polar-piculet (4f1c09aa) of fleet prod {message}"
    assert remedy in error.remedy


class Server:
    """As much of Prefect's client as reads the runs of a deployment."""

    async def read_flow_runs(self, **_: Any) -> list[FlowRun]:
        return [run(StateType.SCHEDULED, begun=False)]


async def test_a_run_that_is_planned_but_has_not_begun_keeps_no_deployment() -> None:
    assert await begun_and_not_over(cast("PrefectClient", Server()), RUN) == []
