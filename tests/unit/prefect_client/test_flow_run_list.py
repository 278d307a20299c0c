"""Runs at Prefect's server are read to the end, however many there are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.types._datetime import now

from aks_entra.prefect_client.flow_run_list import PAGE, all_runs
from aks_entra.prefect_client.lineage import lineage, named
from aks_entra.prefect_client.runs import runs_of

FLOW = uuid4()
BEGAN = now("UTC")


class Server:
    """As much of Prefect's client as reads runs: at most a page at a time."""

    def __init__(self, runs: list[FlowRun]) -> None:
        self.runs = runs
        self.asked: list[int] = []

    async def read_flow_runs(self, *, limit: int, offset: int, **_: Any) -> list[FlowRun]:
        self.asked.append(offset)
        return self.runs[offset : offset + min(limit, 200)]

    async def read_flow_run(self, run: UUID) -> FlowRun:
        found = next((one for one in self.runs if one.id == run), None)
        if found is None:
            raise ObjectNotFound(ValueError("404"))
        return found

    @property
    def client(self) -> PrefectClient:
        return cast("PrefectClient", self)


def run(state: StateType, *, created: int = 0, resumes: object = None, flow: UUID = FLOW) -> FlowRun:
    tags = [f"resumes:{resumes}"] if resumes else []
    return FlowRun(
        id=uuid4(),
        flow_id=flow,
        state=State(type=state),
        created=cast("Any", BEGAN + timedelta(minutes=created)),
        tags=tags,
    )


@pytest.mark.parametrize("count", [0, 1, PAGE, PAGE + 1, 1_001])
async def test_every_run_is_found(count: int) -> None:
    server = Server([run(StateType.RUNNING) for _ in range(count)])
    assert await all_runs(server.client) == server.runs
    assert await runs_of(server.client, "sha256:0123456789ab") == server.runs
    assert max(server.asked) == count // PAGE * PAGE


async def test_a_run_stands_in_for_the_dead_ones_that_it_names() -> None:
    first = run(StateType.CRASHED)
    second = run(StateType.FAILED, created=1, resumes=first.id)
    third = run(StateType.RUNNING, created=2, resumes=second.id)
    server = Server([first, second, third])
    assert [one.id for one in await lineage(server.client, third.id)] == [third.id, second.id, first.id]


@pytest.mark.parametrize(
    "older",
    [
        run(StateType.COMPLETED),
        run(StateType.RUNNING),
        run(StateType.PAUSED),
        run(StateType.CRASHED, created=9),
        run(StateType.CRASHED, flow=uuid4()),
    ],
)
async def test_no_other_run_passes_anything_on(older: FlowRun) -> None:
    younger = run(StateType.RUNNING, created=5, resumes=older.id)
    server = Server([older, younger])
    assert [one.id for one in await lineage(server.client, younger.id)] == [younger.id]


async def test_a_tag_that_names_no_run_is_no_trouble() -> None:
    for resumes in (uuid4(), "the last one"):
        alone = run(StateType.RUNNING, resumes=resumes)
        assert await lineage(Server([alone]).client, alone.id) == (alone,)
    assert named(None) == named("abc") == ()
