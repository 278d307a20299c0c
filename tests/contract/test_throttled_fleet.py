"""A subscription that throttles as Azure does: a fleet stays within the token buckets, or waits if they are empty."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aks_entra.adapters.http.pacing import Buckets
from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.planning import planner
from aks_entra.settings import Settings
from aks_entra.wiring import Session, open_session
from azure_sandbox.faults.requests import throttled
from azure_sandbox.front.proxy import Exchange
from azure_sandbox.server import Sandbox
from tests.contract.sandbox_environment import in_environment
from tests.contract.small_world import ADMINS, SUBSCRIPTION, fleet_world

GROUPS = 10
FLEET = Fleet(
    name="shop",
    selectors=(Selector(subscription=SUBSCRIPTION),),
    target=WantedTarget(admin_groups=(WantedGroup(id=ADMINS),)),
)
TOO_MANY = 429


@asynccontextmanager
async def subscription(folder: Path, clusters: int, pace: float) -> AsyncIterator[tuple[Sandbox, Session, list[int]]]:
    """Yield a sandbox with a number of clusters, a session that is paced for it, and the status of each ARM answer."""
    groups = {
        f"group-{group}": [
            f"name: c-{one:03}, nodes: 1, identity: managed, adminGroups: [aks-admins]"
            for one in range(group, clusters, GROUPS)
        ]
        for group in range(GROUPS)
    }
    (folder / "world.yaml").write_text(fleet_world(groups, in_tenant="throttling: true"))
    said: list[int] = []

    def hear(exchange: Exchange) -> None:
        if exchange.host == "management.azure.com":
            said.append(exchange.status)

    with pytest.MonkeyPatch.context() as patch:
        async with in_environment(patch, folder / "world.yaml", pace=pace, replication=0, observe=hear) as box:
            quick = Settings(
                poll_interval=30 / pace,
                look_interval=10 / pace,
                group_reads=2,
                group_read_gap=0,
                request_rate=pace,
            )
            async with open_session(quick) as session:
                yield box, session, said


async def migrate(session: Session, plan: FleetPlan, at_a_time: int) -> list[Outcome]:
    places = asyncio.Semaphore(at_a_time)

    async def one(index: int) -> Outcome:
        async with places:
            job = Job(digest=plan.digest, plan=plan.clusters[index], prover=plan.prover)
            return (await session.executor.migrate(job)).outcome

    return await asyncio.gather(*(one(index) for index in range(len(plan.clusters))))


@pytest.mark.parametrize(
    ("clusters", "pace"),
    [pytest.param(30, 20, id="a small fleet"), pytest.param(200, 60, marks=pytest.mark.long, id="a fleet of 200")],
)
async def test_a_fleet_causes_no_429(tmp_path: Path, clusters: int, pace: float) -> None:
    async with subscription(tmp_path, clusters, pace) as (_, session, said):
        plan = await planner.plan_fleet(session.ports, FLEET, ())
        assert len(plan.clusters) == clusters
        assert said.count(TOO_MANY) == 0
        assert len(said) > 2 * clusters  # those for a CA and maintenance windows fill the bucket of AKS
        if clusters >= 200:
            assert set(await migrate(session, plan, 100)) == {Outcome.VERIFIED}
            assert said.count(TOO_MANY) == 0
            assert len(said) > 20 * clusters


async def test_throttling_by_others_is_waited_out_as_azure_asks(tmp_path: Path) -> None:
    async with subscription(tmp_path, 10, 1000) as (box, session, said):
        box.faults.add("POST", "/listClusterUserCredential$", answer=throttled(1), times=3)
        box.faults.add("GET", "/maintenanceConfigurations$", answer=throttled(1), times=1)
        began = time.monotonic()
        plan = await planner.plan_fleet(session.ports, FLEET, ())
        assert time.monotonic() - began >= 1.0
        assert box.faults.waiting == ()
        assert said.count(TOO_MANY) == 4
        assert {one.disposition for one in plan.clusters} == {"migrate"}


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (("GET", "/subscriptions/a/resourceGroups/g"), ("GET", "/subscriptions/A/resourceGroups/h"), 1),
        (("GET", "/subscriptions/a"), ("GET", "/subscriptions/b"), 0),
        (("GET", "/subscriptions/a"), ("PUT", "/subscriptions/a"), 0),
        (("GET", "/subscriptions"), ("GET", "/tenants"), 1),
        (("POST", "/providers/Microsoft.ResourceGraph/resources"),) * 2 + (2,),
    ],
)
def test_requests_share_the_bucket_of_their_subscription_and_method(
    one: tuple[str, str], other: tuple[str, str], shared: int
) -> None:
    buckets = Buckets(1.0, lambda: 0.0)
    mine, theirs = buckets.of(*one), buckets.of(*other)
    assert len([bucket for bucket in mine if any(bucket is it for it in theirs)]) == shared


def test_each_cluster_has_its_own_bucket_and_unlisted_actions_share_one() -> None:
    buckets = Buckets(1.0, lambda: 0.0)
    group = "/subscriptions/a/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters"
    first, second = buckets.of("GET", f"{group}/x"), buckets.of("GET", f"{group}/y")
    assert first[0] is second[0]
    assert first[1] is not second[1]
    rotate, read = (
        buckets.of("POST", f"{group}/x/rotateClusterCertificates"),
        buckets.of("GET", f"{group}/y/agentPools"),
    )
    assert rotate[1] is read[1]
