"""A shared read answers all that ask within a minute, and never shows what was before a write of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from aks_entra.adapters.arm.shared_reads import FRESH, MANY, ChangedBy, SharedReads
from aks_entra.errors import Refused

LOCKS = "/subscriptions/s/providers/Microsoft.Authorization/locks"
CLUSTER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c"
OPERATION = "/subscriptions/s/providers/Microsoft.ContainerService/locations/weu/operations/1"
ALL = set(ChangedBy)


class Reads:
    """Shared reads on a clock that a test sets. Each read returns how many were made."""

    def __init__(self) -> None:
        self.now = 0.0
        self.made = 0
        self.shared = SharedReads(lambda: self.now)

    async def read(self) -> int:
        self.made += 1
        made = self.made
        await asyncio.sleep(0)
        return made

    async def ask(self, changed_by: ChangedBy = ChangedBy.AUTHORIZATION, what: str = "locks /S") -> int:
        return await self.shared.once(changed_by, what, self.read)


async def test_those_that_ask_meanwhile_and_soon_after_share_one_read() -> None:
    reads = Reads()
    assert await asyncio.gather(*(reads.ask() for _ in range(3))) == [1, 1, 1]
    reads.now = FRESH - 1
    assert await reads.ask(what="LOCKS /s") == 1, "names ignore case"
    assert await reads.ask(what="locks /T") == 2
    reads.now = FRESH
    assert await reads.ask() == 3


async def test_a_read_that_fails_costs_only_those_that_wait_for_it() -> None:
    reads = Reads()

    async def fails() -> int:
        await asyncio.sleep(0)
        raise Refused("no right")

    async def ask(call: Callable[[], Awaitable[int]]) -> int:
        return await reads.shared.once(ChangedBy.AUTHORIZATION, "locks", call)

    said = await asyncio.gather(ask(fails), ask(reads.read), return_exceptions=True)
    assert [str(one) for one in said] == ["no right", "no right"]
    assert await ask(reads.read) == 1


async def test_a_caller_that_gives_up_leaves_the_read_to_the_others() -> None:
    reads = Reads()
    first = asyncio.ensure_future(reads.ask())
    await asyncio.sleep(0)
    second = asyncio.ensure_future(reads.ask())
    first.cancel()
    assert await second == 1
    assert first.cancelled()


@pytest.mark.parametrize(
    ("method", "path", "forgotten"),
    [
        ("PUT", CLUSTER, {ChangedBy.CLUSTERS, ChangedBy.EVERY_WRITE}),
        ("POST", f"{CLUSTER}/rotateClusterCertificates", {ChangedBy.CLUSTERS, ChangedBy.EVERY_WRITE}),
        ("GET", OPERATION, {ChangedBy.CLUSTERS, ChangedBy.EVERY_WRITE}),
        ("GET", OPERATION.replace("operations", "operationresults"), {ChangedBy.CLUSTERS, ChangedBy.EVERY_WRITE}),
        ("POST", f"{CLUSTER}/listClusterAdminCredential", {ChangedBy.EVERY_WRITE}),
        ("PUT", f"{CLUSTER}/providers/Microsoft.Authorization/roleAssignments/r", ALL),
        ("DELETE", f"{LOCKS}/keep", {ChangedBy.AUTHORIZATION, ChangedBy.EVERY_WRITE}),
        ("PUT", "/subscriptions/s/resourceGroups/g", {ChangedBy.EVERY_WRITE}),
        ("GET", LOCKS, set()),
        ("HEAD", CLUSTER, set()),
        ("POST", f"{CLUSTER}/listClusterUserCredential", set()),
        ("POST", "/subscriptions/s/resourceGroups/g/providers/Microsoft.PolicyInsights/checkPolicyRestrictions", set()),
        ("POST", "/providers/Microsoft.ResourceGraph/resources", set()),
    ],
)
async def test_a_write_ends_what_it_may_have_changed_and_nothing_else(
    method: str, path: str, forgotten: set[ChangedBy]
) -> None:
    reads = Reads()
    before = {kind: await reads.ask(kind) for kind in ChangedBy}
    reads.shared.asked(method, path)
    assert {kind for kind in ChangedBy if await reads.ask(kind) != before[kind]} == forgotten


async def test_what_is_read_while_a_write_is_on_its_way_serves_nobody_after_it() -> None:
    reads = Reads()
    early = asyncio.ensure_future(reads.ask())
    await asyncio.sleep(0)
    reads.shared.asked("DELETE", f"{LOCKS}/keep")
    assert await reads.ask() == 2
    assert await early == 1


async def test_the_widest_scope_that_was_listed_is_told() -> None:
    shared = SharedReads()
    assert shared.widest("/subscriptions/s", "/subscriptions/s/resourceGroups/g") is None
    shared.listed("/subscriptions/S/resourcegroups/g")
    assert shared.widest("/subscriptions/s", "/subscriptions/s/resourceGroups/g") == "/subscriptions/s/resourceGroups/g"


async def test_a_session_is_about_many_clusters_of_a_subscription_that_it_listed_or_of_its_groups() -> None:
    shared = SharedReads()
    shared.listed("/subscriptions/S/resourceGroups/a", MANY - 1)
    shared.listed("/subscriptions/t/resourceGroups/a", MANY)
    shared.listed("/subscriptions/s2/resourceGroups/a", MANY)
    assert [shared.about_many(f"/subscriptions/{one}") for one in ("s", "t", "u")] == [False, True, False]
    shared.listed("/subscriptions/s/resourceGroups/b", 1)
    shared.listed("/subscriptions/u")
    assert [shared.about_many(f"/subscriptions/{one}") for one in ("s", "u")] == [True, True]


async def test_the_end_of_a_session_ends_reads_that_still_run() -> None:
    shared = SharedReads()
    waiting = asyncio.ensure_future(shared.once(ChangedBy.CLUSTERS, "list", asyncio.Event().wait))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await shared.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
