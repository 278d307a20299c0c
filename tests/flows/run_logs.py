"""The logs of runs, as Prefect's server stored them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.logging.handlers import APILogHandler

if TYPE_CHECKING:
    from uuid import UUID

PAGE = 200


async def logs_of(*runs: UUID) -> str:
    """Return the logs of flow runs as one text. What this process has not sent yet is sent first."""
    await APILogHandler.aflush()
    wanted, found = LogFilter(flow_run_id=LogFilterFlowRunId(any_=list(runs))), list[str]()
    async with get_client() as client:
        while page := await client.read_logs(log_filter=wanted, limit=PAGE, offset=len(found)):
            found += [log.message for log in page]
    return "\n".join(found)
