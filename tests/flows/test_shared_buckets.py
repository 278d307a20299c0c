"""Processes share Azure's request buckets by what they write at Prefect's server."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import VariableCreate

from aks_entra.prefect_client.request_shares import AGAIN, PAGE, PREFIX, RequestShares

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack

READS = "/subscriptions/5d0f6a3c-2e7b-4c18-9a64-1b8e3f7d2c90"


async def test_processes_share_a_bucket_by_what_they_write_at_the_server(stack: PrefectStack) -> None:
    one, other = RequestShares(1.0), RequestShares(1.0)
    mine, theirs = (shares.buckets.of("GET", READS)[0] for shares in (one, other))
    many = [f"{READS[:-3]}{number:03}" for number in range(PAGE)]
    with stack.inside():
        async with get_client() as client:
            assert await one.renew(client) == math.inf  # it has sent nothing, so it writes nothing
            await client.create_variable(VariableCreate(name=f"{PREFIX}strange", value={"buckets": 7}))
            for line in (mine, theirs, *(two.buckets.of("GET", path)[0] for two in (one, other) for path in many)):
                line.used_at = one.buckets.clock()
            await one.renew(client)
            assert mine.bucket.share == 1
            while AGAIN in [await other.renew(client), await one.renew(client)]:
                pass
            assert (mine.bucket.share, theirs.bucket.share) == (0.5, 0.5)
            names = {variable.name.rpartition("-")[0] for variable in await client.read_variables(limit=200)}
            assert len(names) == 3  # two processes, each with two pages, and the strange one
            await other.leave(client)
            while await one.renew(client) == AGAIN:
                pass
            assert mine.bucket.share == 1
            await one.leave(client)
            await client.delete_variable_by_name(f"{PREFIX}strange")
            after = [one.value for one in await client.read_variables(limit=200) if one.name.startswith(PREFIX)]
            assert all(isinstance(value, dict) and value["left"] for value in after)
        async with RequestShares(1.0).used() as buckets, buckets.turn("GET", READS) as lines:
            assert [line.bucket.share for line in lines] == [1]
