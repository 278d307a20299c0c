"""Migrations of two clusters each by the workers of a team, whose rotations last as long as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aks_entra import prefect_client
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused
from aks_entra.fleet_file.model import FleetFile
from aks_entra.planning import planner
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from azure_sandbox.faults.requests import throttled
from azure_sandbox.server import Sandbox
from tests.support.client_of_server import client_of
from tests.support.part import SOON

if TYPE_CHECKING:
    from uuid import UUID

    from aks_entra.core.planning.plan import FleetPlan
    from azure_sandbox.front.proxy import Exchange

SUBSCRIPTION: Final = "3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163"
ADMINS: Final = "0a470931-6e9e-4f00-8f55-490bde0505c3"
LIMITS: Final = {
    "AKS_ENTRA_ALLOW_UNGATED": "true",
    "AKS_ENTRA_REQUEST_RATE": "500",
    "AKS_ENTRA_ACTIVITY_LOG_DELAY": "0",
    "AKS_ENTRA_POLL_INTERVAL": "0.5",
    "AKS_ENTRA_LOOK_INTERVAL": "0.5",
    "AKS_ENTRA_GROUP_READ_GAP": "0.01",
    "AKS_ENTRA_SIGN_IN_LIMIT": "60",
}


def world(scenes: Iterable[str], operator: str = "") -> str:
    """Return a world file with a resource group for each scene.

    `operator`: more properties of the operator's service principal, as YAML that continues a flow mapping.
    """
    return f"""\
version: 1
tenant: {{id: 7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32, name: contoso.onmicrosoft.com}}
servicePrincipals:
  - {{name: operator, graphPermissions: [Group.ReadWrite.All, Directory.Read.All]{operator}}}
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
        for scene in scenes
    )


@dataclass(slots=True, kw_only=True)
class Migrations:
    """A client of Prefect's server at `api`, with an Azure of its own, and what has gone over the wire.

    `client`: the client's environment. `home`: its folder. `authentication`: the string that the server asks for.
    Each scene is a resource group with two clusters, a and b.
    """

    api: str
    home: Path
    client: Mapping[str, str]
    sandbox: Sandbox
    authentication: str = ""
    exchanges: list[Exchange] = field(default_factory=list)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be a client."""
        with client_of(self.api, self.authentication or None, self.home, self.client):
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

    async def begun(self, scene: str, run: UUID) -> UUID:
        """Wait until both clusters' operations have begun. Returns the batch."""

        async def both() -> bool:
            path = f"/resourcegroups/{scene}/"
            puts = [one for one in self.exchanges if one.method == "PUT" and path in one.path.lower()]
            return len({one.path.lower() for one in puts if one.status < 300}) == 2

        await self.until(both)
        return await self.batch(run)

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
