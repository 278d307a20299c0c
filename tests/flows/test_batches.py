"""A stage in several processes: one after the other where there is one place, and one budget for all."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client

from aks_entra import prefect_client
from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import stamp
from aks_entra.core.gates import Gate, Hours
from aks_entra.core.rollout import MemberGroup, Stage
from aks_entra.core.verdict import CLOSED, Outcome
from aks_entra.prefect_client.limits import Places, limits_of, tidy
from flows.migrate_batch import migrate_batch
from tests.flows.test_batch import FORBIDDEN

if TYPE_CHECKING:
    from tests.flows.conftest import House, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
ALL: dict[str, Any] = {"name": "all", "groups": [{"name": "all", "rest": True}], "gate_before": False}


def members(*names: str) -> tuple[ClusterId, ...]:
    """Clusters of two subscriptions: those with a capital letter are of the second."""
    return tuple(
        ClusterId(subscription_id="two" if name.isupper() else "one", resource_group="g", name=name) for name in names
    )


async def most_at_a_time(stage: Stage, digest: str, processes: int) -> tuple[int, int]:
    """How many members held a place together: at most of all, and of one subscription. One `Places` per process."""
    inside: list[str] = []
    most = [0, 0]
    full = asyncio.Event()

    async def work(places: Places, cluster: ClusterId) -> None:
        async with places.of(cluster):
            inside.append(cluster.subscription_id)
            most[0] = max(most[0], len(inside))
            most[1] = max(most[1], *(inside.count(one) for one in ("one", "two")))
            if len(inside) >= stage.max_concurrency:
                full.set()
            await full.wait()
            inside.remove(cluster.subscription_id)

    every = [Places(digest, stage) for _ in range(processes)]
    await asyncio.gather(*(work(every[number % processes], cluster) for number, cluster in enumerate(stage.members)))
    return most[0], most[1]


@pytest.mark.parametrize(("batch_size", "processes"), [(None, 1), (2, 3)])
async def test_places_hold_across_processes(house: House, batch_size: int | None, processes: int) -> None:
    group = MemberGroup(name="all", members=members("a", "b", "c", "D", "E", "F"))
    stage = Stage(
        name="all",
        groups=(group,),
        batch_size=batch_size,
        max_concurrency=3,
        max_concurrency_per_subscription=2,
    )
    digest = f"sha256:places-{processes}"
    with house.inside():
        assert await most_at_a_time(stage, digest, processes) == (3, 2)
        await tidy(digest, stage)
        await tidy(digest, stage)  # nothing is left to take away


def test_limits_are_named_after_plan_stage_and_subscription() -> None:
    (one, _), digest = members("a", "B"), "sha256:0123456789abcdef"
    stage = Stage(name="a b", groups=(), max_concurrency=4, max_concurrency_per_subscription=1)
    names = limits_of(digest, stage, one)
    assert list(names.values()) == [4, 1]
    assert all("0123456789ab" in name for name in names)
    other = limits_of(digest, Stage(name="a-b", groups=()), one)
    assert set(other) & set(names) == set()


async def test_a_stage_of_several_batches_ends_as_one(house: House, until: Until) -> None:
    with house.inside():
        plan = await house.plan("batched", {**ALL, "batch_size": 1, "max_concurrency": 2})
        run = await prefect_client.start_migration(plan.digest)
        ended = await until(run.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        assert sorted(batch.name.partition(" · ")[0] for batch in ended.batches) == [
            f"all {number} of 3" for number in (1, 2, 3)
        ]
        assert {one.outcome for one in (await house.report(run.id)).verdicts} == {Outcome.VERIFIED}
        assert house.writes("batched").count("POST rotateClusterCertificates") == 3


async def test_nobody_is_begun_when_the_window_has_closed(house: House, until: Until) -> None:
    with house.inside():
        closed = Hours(start=_clock(6), end=_clock(7))
        gate = {"approval": False, "window": {"start": closed.start, "end": closed.end}}
        plan = await house.plan("shut", {**ALL, "gate_before": gate, "gate_after": {"maintenance_window": True}})
        assert plan.stages[0].gate("before") == Gate(approval=False, window=closed)
        only = [one.cluster.resource_id for one in plan.clusters]
        state = await migrate_batch(plan.digest, "all", only, return_state=True)
        assert (state.name, state.message) == ("WindowClosed", "1 of 1 are left for the next opening")
        [verdict] = (await prefect_client.verdicts(plan.digest)).values()
        assert (verdict.outcome, verdict.because) == (Outcome.SKIPPED, (CLOSED,))
        run = await prefect_client.start_migration(plan.digest)
        waiting = await until(run.id, lambda now: now.run.waits)
        assert closed.words in waiting.run.message
        [listed] = [one for one in await prefect_client.waiting() if one.run == run.id]
        assert listed.until == stamp(closed.next_opening(datetime.now(UTC)))
        async with get_client() as client:
            await client.delete_flow_run(run.id)
        assert house.writes("shut") == []


def _clock(ahead: int) -> str:
    return f"{(datetime.now(UTC).hour + ahead) % 24:02}:00"


async def test_the_budget_of_a_stage_is_one_for_all_its_batches(house: House, until: Until) -> None:
    with house.inside():
        plan = await house.plan("budget", {**ALL, "batch_size": 1, "max_concurrency": 1, "max_allowed_failures": 1})
        for _ in range(2):
            house.sandbox.faults.add("PUT", "/resourceGroups/budget/.*/managedClusters/", answer=FORBIDDEN)
        run = await prefect_client.start_migration(plan.digest)
        ended = await until(run.id, lambda now: now.run.ended)
        assert not ended.run.completed
        assert len(ended.batches) == 2
        report = await house.report(run.id)
        assert [one.outcome for one in report.verdicts] == [Outcome.FAILED, Outcome.FAILED, Outcome.SKIPPED]
        assert "2 failed, 1 allowed" in report.verdicts[2].because[0]
        assert house.writes("budget") == []

        again = await prefect_client.resume(str(run.id), plan.digest)  # the failures of before do not count
        ended = await until(again.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        assert {one.outcome for one in (await house.report(again.id)).verdicts} == {Outcome.VERIFIED}
