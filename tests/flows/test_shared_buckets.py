"""Processes share Azure's request buckets by what they write at Prefect's server."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import VariableCreate

from aks_entra.prefect_client.request_shares import AGAIN, PAGE, PREFIX, RequestShares

if TYPE_CHECKING:
    from collections.abc import Collection

    from prefect.client.orchestration import PrefectClient

    from tests.flows.conftest import PrefectStack

READS = "/subscriptions/5d0f6a3c-2e7b-4c18-9a64-1b8e3f7d2c90"
MANY = [f"{READS[:-3]}{number:03}" for number in range(PAGE)]


async def written(client: PrefectClient, ours: Collection[str]) -> list[dict[str, Any]]:
    """Return what is written about some buckets. Runs of other tests may write about theirs."""
    named = [one for one in await client.read_variables(limit=200) if one.name.startswith(PREFIX)]
    values = [one.value for one in named if one.name != f"{PREFIX}strange" and isinstance(one.value, dict)]
    return [value for value in values if not set(ours).isdisjoint(value["buckets"])]


async def test_processes_share_a_bucket_by_what_they_write_at_the_server(stack: PrefectStack) -> None:
    one, other = RequestShares(1.0), RequestShares(1.0)
    mine, theirs = (shares.buckets.of("GET", READS)[0] for shares in (one, other))
    with stack.inside():
        async with get_client() as client:
            assert await one.renew(client) == math.inf  # it has sent nothing, so it writes nothing
            await client.create_variable(VariableCreate(name=f"{PREFIX}strange", value={"buckets": 7}))
            for line in (mine, theirs, *(two.buckets.of("GET", path)[0] for two in (one, other) for path in MANY)):
                line.used_at = one.buckets.clock()
            ours = one.buckets.state()
            await one.renew(client)
            assert mine.bucket.share == 1
            while AGAIN in [await other.renew(client), await one.renew(client)]:
                pass
            assert (mine.bucket.share, theirs.bucket.share) == (0.5, 0.5)
            assert len(await written(client, ours)) == 4  # two processes, each with two pages
            await other.leave(client)
            while await one.renew(client) == AGAIN:
                pass
            assert mine.bucket.share == 1
            await one.leave(client)
            await client.delete_variable_by_name(f"{PREFIX}strange")
            assert all(value["left"] for value in await written(client, ours))
        async with RequestShares(1.0).used() as buckets, buckets.turn("GET", READS) as lines:
            assert [line.bucket.share for line in lines] == [1]
