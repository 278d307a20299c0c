"""A stage in several processes: limits of concurrency and the failure budget hold for all of them together."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client

from aks_entra import prefect_client
from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import stamp
from aks_entra.core.planning.gates import Gate, Hours
from aks_entra.core.planning.rollout import MemberGroup, Stage
from aks_entra.core.verdict.verdict import CLOSED, Outcome
from aks_entra.prefect_client.concurrency import ConcurrencySlots, delete_limits, limits_of
from tests.flows.coordinator import batch_of
from tests.flows.disturbances import FORBIDDEN
from tests.flows.stages import UNGATED

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")


def members(*names: str) -> tuple[ClusterId, ...]:
    """Return clusters of two subscriptions. Names with a capital letter are in the second one."""
    return tuple(
        ClusterId(subscription_id="two" if name.isupper() else "one", resource_group="g", name=name) for name in names
    )


async def most_at_a_time(stage: Stage, digest: str, processes: int) -> tuple[int, int]:
    """Return the most clusters that held a slot at once: in total, and in one subscription."""
    inside: list[str] = []
    most = [0, 0]
    full = asyncio.Event()

    async def work(slots: ConcurrencySlots, cluster: ClusterId) -> None:
        async with slots.of(cluster):
            inside.append(cluster.subscription_id)
            most[0] = max(most[0], len(inside))
            most[1] = max(most[1], *(inside.count(one) for one in ("one", "two")))
            if len(inside) >= stage.max_concurrency:
                full.set()
            await full.wait()
            inside.remove(cluster.subscription_id)

    every = [ConcurrencySlots(digest, stage) for _ in range(processes)]
    await asyncio.gather(*(work(every[number % processes], cluster) for number, cluster in enumerate(stage.members)))
    return most[0], most[1]


@pytest.mark.parametrize(("batch_size", "processes"), [(None, 1), (2, 3)])
async def test_concurrency_limits_hold_across_processes(
    stack: PrefectStack, batch_size: int | None, processes: int
) -> None:
    group = MemberGroup(name="all", members=members("a", "b", "c", "D", "E", "F"))
    stage = Stage(
        name="all",
        groups=(group,),
        batch_size=batch_size,
        max_concurrency=3,
        max_concurrency_per_subscription=2,
    )
    digest = f"sha256:places-{processes}"
    with stack.inside():
        assert await most_at_a_time(stage, digest, processes) == (3, 2)
        await delete_limits(digest, stage)
        await delete_limits(digest, stage)  # a second call finds nothing to remove


def test_limits_are_named_after_plan_stage_and_subscription() -> None:
    (one, _), digest = members("a", "B"), "sha256:0123456789abcdef"
    stage = Stage(name="a b", groups=(), max_concurrency=4, max_concurrency_per_subscription=1)
    names = limits_of(digest, stage, one)
    assert list(names.values()) == [4, 1]
    assert all("0123456789ab" in name for name in names)
    other = limits_of(digest, Stage(name="a-b", groups=()), one)
    assert set(other) & set(names) == set()


async def test_a_stage_of_several_batches_ends_as_one(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        plan = await stack.plan("batched", {**UNGATED, "batch_size": 1, "max_concurrency": 2})
        run = await prefect_client.start_migration(plan.digest)
        ended = await until(run.id, lambda now: now.run.ended)
        assert ended.run.completed, ended.run.message
        assert sorted(batch.name.partition(" · ")[0] for batch in ended.batches) == [
            f"all {number} of 3" for number in (1, 2, 3)
        ]
        assert {one.outcome for one in (await stack.report(run.id)).verdicts} == {Outcome.VERIFIED}
        assert stack.writes("batched").count("POST rotateClusterCertificates") == 3


async def test_no_cluster_is_started_after_the_maintenance_window(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        closed = Hours(start=_clock(6), end=_clock(7))
        gate = {"approval": False, "window": {"start": closed.start, "end": closed.end}}
        plan = await stack.plan("shut", {**UNGATED, "gate_before": gate, "gate_after": {"maintenance_window": True}})
        assert plan.stages[0].gate("before") == Gate(approval=False, window=closed)
        state = await batch_of(plan)
        assert (state.name, state.message) == ("WindowClosed", "1 of 1 wait for the next opening of their window")
        [verdict] = (await prefect_client.verdicts(plan.digest)).values()
        assert (verdict.outcome, verdict.because) == (Outcome.SKIPPED, (CLOSED,))
        run = await prefect_client.start_migration(plan.digest)
        waiting = await until(run.id, lambda now: now.run.waits)
        assert closed.words in waiting.run.message
        [listed] = [one for one in await prefect_client.waiting() if one.run == run.id]
        assert listed.because == f"gate before stage all: window {closed.words}"
        assert listed.until == stamp(closed.next_opening(datetime.now(UTC)))
        async with get_client() as client:
            await client.delete_flow_run(run.id)
        assert stack.writes("shut") == []


def _clock(ahead: int) -> str:
    return f"{(datetime.now(UTC).hour + ahead) % 24:02}:00"


async def test_the_budget_of_a_stage_is_one_for_all_its_batches(stack: PrefectStack, until: Until) -> None:
    with stack.inside():
        plan = await stack.plan("budget", {**UNGATED, "batch_size": 1, "max_concurrency": 1, "max_allowed_failures": 1})
        for _ in range(2):
            stack.sandbox.faults.add("PUT", "/resourceGroups/budget/.*/managedClusters/", answer=FORBIDDEN)
        run = await prefect_client.start_migration(plan.digest)
        ended = await until(run.id, lambda now: now.run.ended)
        assert not ended.run.completed
        assert len(ended.batches) == 2
        report = await stack.report(run.id)
        assert [one.outcome for one in report.verdicts] == [Outcome.FAILED, Outcome.FAILED, Outcome.SKIPPED]
        assert "2 failed, 1 allowed" in report.verdicts[2].because[0]
        assert stack.writes("budget") == []
