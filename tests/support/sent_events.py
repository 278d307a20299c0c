"""Reads at Prefect's server the events that were sent to it."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect.client.orchestration import get_client

from tests.support.patience import SOON


async def sent(about: str, *names: str) -> dict[str, dict[str, Any]]:
    """Return the newest event of each name about a resource. The server stores events some seconds later."""
    asked = {"filter": {"event": {"name": list(names)}, "any_resource": {"id": [about]}}, "limit": 50}
    async with asyncio.timeout(SOON), get_client() as client:
        while True:
            page = (await client.request("POST", "/events/filter", json=asked)).json()
            found = {one["event"]: one for one in reversed(page["events"])}
            if set(names) <= set(found):
                return found
            await asyncio.sleep(0.2)  # another process stores them: there is nothing else to wait for
