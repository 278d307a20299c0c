"""A migration on two hosts, two API replicas, PostgreSQL and Redis: whatever dies, one rotation and one verdict each.

The rotation of each cluster lasts as long as a test wants: polls are throttled until the part that died is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from aks_entra import prefect_client
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused
from aks_entra.fleet_file.model import FleetFile
from aks_entra.planning import planner
from aks_entra.prefect_client.liveness import PROCESS, Process
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from azure_sandbox.faults.requests import throttled
from azure_sandbox.server import Sandbox
from tests.team.stack import HOSTS, SOON, Stack, stack

if TYPE_CHECKING:
    from uuid import UUID

    from aks_entra.core.planning.plan import FleetPlan
    from azure_sandbox.front.proxy import Exchange

pytestmark = [pytest.mark.team, pytest.mark.asyncio(loop_scope="module")]
SUBSCRIPTION = "3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163"
ADMINS = "0a470931-6e9e-4f00-8f55-490bde0505c3"
SCENES = ("quiet", "replica", "services", "database", "broker", "host", "away", "late")
WORLD = f"""\
version: 1
tenant: {{id: 7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32, name: contoso.onmicrosoft.com}}
servicePrincipals:
  - {{name: operator, graphPermissions: [Group.ReadWrite.All, Directory.Read.All]}}
groups:
  - {{name: aks-admins, id: {ADMINS}, members: [operator]}}
operator: operator
subscriptions:
  - id: {SUBSCRIPTION}
    name: prod-eu
    roleAssignments:
      - {{principal: operator, role: Owner}}
    resourceGroups:
""" + "".join(
    f"""\
      - name: {scene}
        location: westeurope
        clusters:
          - {{name: a, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
          - {{name: b, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
"""
    for scene in SCENES
)
OUTAGE = 120.0  # seconds
LIMITS = {
    "AKS_ENTRA_ALLOW_UNGATED": "true",
    "AKS_ENTRA_REQUEST_RATE": "500",
    "AKS_ENTRA_ACTIVITY_LOG_DELAY": "0",
    "AKS_ENTRA_POLL_INTERVAL": "0.5",
    "AKS_ENTRA_LOOK_INTERVAL": "0.5",
    "AKS_ENTRA_GROUP_READ_GAP": "0.01",
    "AKS_ENTRA_SIGN_IN_LIMIT": "60",
}


@dataclass(slots=True, kw_only=True)
class Team:
    """The stack and Azure, and what has gone over the wire."""

    stack: Stack
    sandbox: Sandbox
    exchanges: list[Exchange] = field(default_factory=list)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be a client."""
        with (
            pytest.MonkeyPatch.context() as patch,
            temporary_settings({PREFECT_API_URL: self.stack.api, PREFECT_HOME: self.stack.folder / "client"}),
        ):
            for name, value in self.stack.client.items():
                patch.setenv(name, value)
            yield

    async def plan(self, scene: str) -> FleetPlan:
        """Plan the two clusters of a resource group as one stage, and store the plan."""
        whole = {
            "version": 1,
            "name": scene,
            "clusters": [{"subscription": SUBSCRIPTION, "resource_group": scene}],
            "target": {"admin_groups": [{"id": ADMINS}]},
            "rollout": {"stages": [{"name": "all", "groups": [{"name": "all", "rest": True}], "gate_before": False}]},
        }
        async with open_session(Settings()) as session:
            plan = await planner.plan_fleet(session.ports, FleetFile.model_validate(whole).to_fleet(), ())
        await prefect_client.store_plan(plan)
        return plan

    def rotations(self, scene: str) -> list[str]:
        """The clusters of a resource group that were rotated, once for each rotation."""
        asked = [
            one.path.lower().split("/managedclusters/")[1].split("/")[0]
            for one in self.exchanges
            if one.method == "POST"
            and f"/resourcegroups/{scene}/" in one.path.lower()
            and one.path.lower().endswith("/rotateclustercertificates")
            and one.status < 300
        ]
        return sorted(asked)

    @contextmanager
    def rotating(self) -> Iterator[None]:
        """Let no operation be seen to end for as long as this lasts."""
        self.sandbox.faults.add("GET", "/operations/", answer=throttled(), times=100_000)
        try:
            yield
        finally:
            self.sandbox.faults.clear()

    async def until(self, what: Callable[[], Awaitable[bool]], *, within: float = SOON) -> None:
        """Ask until it is so, however often the server does not answer."""
        async with asyncio.timeout(within):
            while not await what():  # noqa: ASYNC110  # other processes have no event for it
                await asyncio.sleep(0.5)

    async def begun(self, scene: str, run: UUID) -> str:
        """Wait until both clusters' operations have begun. Returns the host of the batch."""

        async def both() -> bool:
            path = f"/resourcegroups/{scene}/"
            puts = [one for one in self.exchanges if one.method == "PUT" and path in one.path.lower()]
            return len({one.path.lower() for one in puts if one.status < 300}) == 2

        await self.until(both)
        async with get_client() as client:
            batch = await self.batch(run)
            label = str((await client.read_flow_run(batch)).labels[PROCESS])
        return Process.parse(label).host

    async def batch(self, run: UUID) -> UUID:
        """The batch of a coordinator."""
        async for now in prefect_client.follow(run, every=0.5):
            if now.batches:
                return now.batches[0].id
        raise AssertionError("the run ended without a batch")

    async def end(self, run: UUID) -> Any:
        """Wait for a run's end, and return it."""
        async with asyncio.timeout(600):
            return await prefect_client.await_end(run, every=1.0)

    async def resumed(self, run: UUID, digest: str) -> UUID:
        """Resume a run as soon as it is known to be dead. Returns the run that goes on."""
        async with asyncio.timeout(900):
            while True:
                try:
                    return (await prefect_client.resume(str(run), digest)).id
                except Refused:  # its coordinator lives on another host, and waits for the batch that died
                    await asyncio.sleep(2)

    async def verified(self, scene: str, run: UUID) -> None:
        """Check that both clusters are verified, after one rotation each."""
        report = await prefect_client.report_of(run)
        assert report is not None
        assert [one.outcome for one in report.verdicts] == [Outcome.VERIFIED] * 2, report.verdicts
        assert self.rotations(scene) == ["a", "b"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def team(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    world = folder / "world.yaml"
    world.write_text(WORLD)
    exchanges: list[Exchange] = []
    async with Sandbox(world, pace=500, observe=exchanges.append) as sandbox:
        environment = {**sandbox.environment, **LIMITS, "XDG_STATE_HOME": str(folder / "state")}
        async with stack(folder, environment) as running:
            yield Team(stack=running, sandbox=sandbox, exchanges=exchanges)


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
            host = await team.begun("host", run.id)
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
