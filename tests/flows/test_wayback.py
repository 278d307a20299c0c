"""The way back through Prefect: a rollback behind its own gate, and the sweep that closes what break-glass opened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from aks_entra import prefect_client
from aks_entra.break_glass import BreakGlass
from aks_entra.core.opening import Opening
from aks_entra.core.opening_verdict import opening_digest
from aks_entra.core.report import FleetReport
from aks_entra.core.verdict import Outcome
from aks_entra.errors import Refused
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from flows.migrate_batch import migrate_batch
from flows.rollback_cluster import rollback_cluster
from flows.sweep_break_glass import sweep_break_glass

if TYPE_CHECKING:
    from aks_entra.core.cluster import ClusterId
    from tests.flows.conftest import House, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
UNGATED = {"name": "all", "groups": [{"name": "all", "rest": True}], "gate_before": False}


async def test_a_rollback_waits_for_an_approval_of_its_own_plan(house: House, until: Until) -> None:
    with house.inside():
        done = await house.plan("back", UNGATED, rotation="later")
        members = [one.cluster.resource_id for one in done.clusters]
        await migrate_batch(done.digest, "all", members, return_state=True)
        began = len(house.writes("back"))
        started = await prefect_client.start("rollback-cluster/rollback-cluster", {"plan": done.digest})
        gate = None
        async for _ in prefect_client.follow(started.id, every=0.2):
            waiting = [one for one in await prefect_client.gates() if one.plan != done.digest]
            back = [one for one in waiting if (await prefect_client.load_plan(one.plan)).name == "rollback of back"]
            if back:
                gate = back[0]
                break
        assert gate is not None
        assert len(house.writes("back")) == began
        plan = await prefect_client.load_plan(gate.plan)
        with pytest.raises(Refused, match="waits for plan"):
            await prefect_client.decide(str(gate.run), done.digest, decision="approve", approver="dana", reason="x")
        await prefect_client.decide(str(gate.run), plan.digest, decision="approve", approver="dana", reason="INC-1")
        now = await until(started.id, lambda now: now.run.ended)
        assert now.run.completed, now.run.message
        found = await prefect_client.verdicts(plan.digest)
        assert [one.because[0][:10] for one in found.values()] == ["open again"]
        assert len(house.writes("back")) == began + 1
        ended = FleetReport(
            name=done.name,
            plan_digest=done.digest,
            started_at="2026-11-24T08:00:00Z",
            ended_at="2026-11-24T09:00:00Z",
            verdicts=tuple((await prefect_client.verdicts(done.digest)).values()),
        )
        await prefect_client.store_report(ended)
        assert (await prefect_client.last_plan_of(("back/reversed",))).digest == done.digest
        with pytest.raises(Refused, match="no migration of"):
            await prefect_client.last_plan_of(("nobody",))
        state = await rollback_cluster(done.digest, return_state=True)
        assert state.message == "nothing to roll back"


async def opened(minutes: int) -> tuple[ClusterId, Opening]:
    async with open_session(Settings()) as session:
        listed = session.ports.arm.list_clusters("3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163", "glass")
        (cluster,) = [one.cluster async for one in listed]
        now = datetime.now(UTC)
        opening = Opening(
            until=(now + timedelta(minutes=minutes)).isoformat(timespec="seconds"),
            since=now.isoformat(timespec="seconds"),
            reason="INC-77",
        )
        glass = BreakGlass(session.ports, session.watch, session.executor, session.limits)
        assert (await glass.open(cluster, opening)).outcome is Outcome.NOT_VERIFIED
    return cluster, opening


async def test_the_sweep_closes_what_is_due_and_alarms_where_it_cannot(house: House) -> None:
    with house.inside():
        await opened(45)
        state = await sweep_break_glass(return_state=True)
        assert state.message == "1 open, 0 due, 0 closed: each owes a rotation"
        cluster, opening = await opened(-1)
        async with prefect_client.claim(cluster):
            state = await sweep_break_glass(return_state=True)
        assert state.is_failed()
        assert "another migration holds the cluster" in str(state.message)
        state = await sweep_break_glass(["prod-eu"], return_state=True)
        assert state.is_completed(), state.message
        report = await prefect_client.load_report(opening_digest(cluster, opening))
        assert report is not None
        assert report.verdicts[0].because[0] == "local accounts are closed again"
        state = await sweep_break_glass(return_state=True)
        assert state.message == "0 open, 0 due, 0 closed: each owes a rotation"
