"""All flow runs that a filter finds: Prefect's server gives at most 200 at a time."""

from __future__ import annotations

from typing import Any, Final

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

PAGE: Final = 200


async def all_runs(
    client: PrefectClient, *, sort: FlowRunSort = FlowRunSort.EXPECTED_START_TIME_DESC, **filters: Any
) -> list[FlowRun]:
    """Every run that the filters of `read_flow_runs` find, page by page; a run that is met twice is there once."""
    found: dict[Any, FlowRun] = {}
    offset = 0
    while True:
        page = await client.read_flow_runs(sort=sort, limit=PAGE, offset=offset, **filters)
        found.update((run.id, run) for run in page if run.id not in found)
        offset += len(page)
        if len(page) < PAGE:
            return list(found.values())
