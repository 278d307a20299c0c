"""A migration on two hosts, two API replicas, PostgreSQL and Redis: whatever dies, one rotation and one verdict each.

The rotation of each cluster lasts as long as a test wants: polls are throttled until the part that died is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from prefect.client.orchestration import get_client

from aks_entra import prefect_client
from aks_entra.prefect_client.liveness import PROCESS, Process
from azure_sandbox.server import Sandbox
from tests.support.team_migrations import LIMITS, Migrations, world
from tests.team.stack import HOSTS, Stack, stack

if TYPE_CHECKING:
    from uuid import UUID

    from azure_sandbox.front.proxy import Exchange

pytestmark = [pytest.mark.team, pytest.mark.asyncio(loop_scope="module")]
SCENES = ("quiet", "replica", "services", "database", "broker", "host", "away", "late")
OUTAGE = 120.0  # seconds


@dataclass(slots=True, kw_only=True)
class Team(Migrations):
    """The stack as well."""

    stack: Stack

    async def host(self, batch: UUID) -> str:
        """Return the host on which a batch runs."""
        async with get_client() as client:
            label = str((await client.read_flow_run(batch)).labels[PROCESS])
        return Process.parse(label).host


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def team(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    described = folder / "world.yaml"
    described.write_text(world(SCENES))
    exchanges: list[Exchange] = []
    async with Sandbox(described, pace=500, observe=exchanges.append) as sandbox:
        environment = {**sandbox.environment, **LIMITS, "XDG_STATE_HOME": str(folder / "state")}
        async with stack(folder, environment) as running:
            yield Team(
                api=running.api,
                home=folder / "client",
                client=running.client,
                sandbox=sandbox,
                exchanges=exchanges,
                stack=running,
            )


async def test_two_clusters_are_migrated_through_two_replicas(team: Team) -> None:
    with team.inside():
        plan = await team.plan("quiet")
        run = await prefect_client.start_migration(plan.digest)
        ended = await team.end(run.id)
        assert ended.state.is_completed(), ended.state.message
        await team.verified("quiet", run.id)


@pytest.mark.parametrize(
    ("scene", "part"),
    [("replica", "api-1"), ("services", "services"), ("database", "postgres"), ("broker", "redis")],
)
async def test_a_part_that_is_killed_and_started_again_in_a_rotation_costs_nothing(
    team: Team, scene: str, part: str
) -> None:
    with team.inside():
        plan = await team.plan(scene)
        with team.rotating():
            run = await prefect_client.start_migration(plan.digest)
            await team.begun(scene, run.id)
            await team.stack.parts[part].restart()
        ended = await team.end(run.id)
        assert ended.state.is_completed(), ended.state.message
        await team.verified(scene, run.id)


async def test_a_host_that_dies_in_a_rotation_is_found_dead_and_the_run_is_resumed(team: Team) -> None:
    """The coordinator waits for a silence of ten beats, and watches three of them: nothing is written meanwhile."""
    with team.inside():
        plan = await team.plan("host")
        with team.rotating():
            run = await prefect_client.start_migration(plan.digest)
            host = await team.host(await team.begun("host", run.id))
            await team.stack.parts[host].kill()
        again = await team.resumed(run.id, plan.digest)
        ended = await team.end(again)
        assert ended.state.is_completed(), ended.state.message
        await team.verified("host", again)
        await team.stack.parts[host].start()


async def test_an_outage_of_two_minutes_buries_nothing_that_lives(team: Team) -> None:
    with team.inside():
        plan = await team.plan("away")
        with team.rotating():
            run = await prefect_client.start_migration(plan.digest)
            await team.begun("away", run.id)
            replicas = [team.stack.parts[name] for name in ("api-1", "api-2")]
            for one in replicas:
                await one.kill()
            until = asyncio.get_running_loop().time() + OUTAGE
            await team.until(lambda: _after(until), within=2 * OUTAGE)
            for one in replicas:
                await one.start()
        ended = await team.end(run.id)
        assert ended.state.is_completed(), ended.state.message
        await team.verified("away", run.id)


async def test_a_coordinator_gives_its_place_to_its_batch_where_there_is_only_one(team: Team) -> None:
    with team.inside():
        for host in HOSTS:
            await team.stack.parts[host].kill()
        alone = team.stack.parts[HOSTS[0]]
        whole = alone.command
        alone.command = (*whole[:-1], f"{whole[-1]} --limit 1")
        await alone.start()
        plan = await team.plan("late")
        run = await prefect_client.start_migration(plan.digest)
        ended = await team.end(run.id)
        assert ended.state.is_completed(), ended.state.message
        await team.verified("late", run.id)
        alone.command = whole
        await alone.restart()
        await team.stack.parts[HOSTS[1]].start()


async def _after(moment: float) -> bool:
    return asyncio.get_running_loop().time() > moment
