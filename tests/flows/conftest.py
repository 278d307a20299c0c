"""One sandbox and one Prefect server with a worker for all tests of the runbooks. Each test uses its own clusters."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import pytest_asyncio
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker

from aks_entra import prefect_client
from aks_entra.fleet_file.model import FleetFile
from aks_entra.host import server_auth
from aks_entra.planning import planner
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from azure_sandbox.cluster.real.process import free_port
from azure_sandbox.server import Sandbox
from tests.flows import served
from tests.flows.private_networks import SPLIT
from tests.flows.write_clusters import GROUPS
from tests.support import prepared_database
from tests.support.client_of_server import client_of
from tests.support.patience import SOON

if TYPE_CHECKING:
    from uuid import UUID

    from aks_entra.core.evidence.rotation_debt import Record
    from aks_entra.core.planning.plan import FleetPlan
    from aks_entra.core.verdict.report import FleetReport
    from aks_entra.prefect_client import Snapshot
    from azure_sandbox.front.proxy import Exchange
    from tests.flows.lossy_server import LossyServer

SUBSCRIPTION = "3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163"
ADMINS = "0a470931-6e9e-4f00-8f55-490bde0505c3"
APPROVALS = "8d1f7c3e-5b2a-4c96-a0d4-1e9b6f3c7a25"
APPROVING = "c2d9a7e1-4f38-4b6c-8e50-9a1b7d3f2c64"
ROBOT = "9a3d8f5e-52b4-4d0c-8f1b-6d9f0f3c7a21"
GRAPH = ", ".join(
    (
        *("Group.ReadWrite.All", "Directory.Read.All", "RoleManagement.ReadWrite.Directory", "AuditLog.Read.All"),
        *(
            "PrivilegedEligibilitySchedule.ReadWrite.AzureADGroup",
            "PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup",
        ),
        *("RoleManagementPolicy.ReadWrite.AzureADGroup", "Policy.Read.All", "Policy.ReadWrite.ConditionalAccess"),
        "Application.ReadWrite.All",
    )
)
WORLD = f"""\
version: 1
tenant: {{id: 7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32, name: contoso.onmicrosoft.com}}
servicePrincipals:
  - {{name: operator, graphPermissions: [{GRAPH}]}}
  - {{name: robot, id: {ROBOT}, secret: the-robot}}
  - {{name: approvals, appId: {APPROVALS}, publicClient: true, redirectUris: ["http://localhost"],
      delegatedPermissions: [openid, profile], groupMembershipClaims: SecurityGroup}}
users:
  - {{name: dana, upn: dana@contoso.com}}
  - {{name: glass, upn: glass@contoso.com}}
groups:
  - {{name: aks-admins, id: {ADMINS}, members: [operator]}}
  - {{name: approving, id: {APPROVING}, members: [dana, glass]}}
operator: operator
subscriptions:
  - id: {SUBSCRIPTION}
    name: prod-eu
    roleAssignments:
      - {{principal: operator, role: Owner}}
    resourceGroups:
      - name: gated
        location: westeurope
        clusters:
          - {{name: first, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
          - {{name: second, nodes: 1, identity: managed, adminGroups: [aks-admins], localAccounts: false}}
      - name: granted
        location: westeurope
        clusters:
          - {{name: by-azure, nodes: 1, identity: managed, adminGroups: [aks-admins], azureRbac: true}}
          - {{name: by-kubernetes, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
      - {{name: rejected, location: westeurope, clusters: [
          {{name: left-alone, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: quiet, location: westeurope, clusters: [
          {{name: open, nodes: 1, identity: managed, adminGroups: [aks-admins]}},
          {{name: unknown, nodes: 1, identity: managed, adminGroups: [aks-admins], localAccounts: false}}]}}
      - name: mixed
        location: westeurope
        clusters:
          - {{name: bad, nodes: 1, identity: none}}
          - {{name: good, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
          - {{name: legacy, nodes: 1, identity: legacy}}
      - {{name: killed, location: westeurope, clusters: [
          {{name: mid-rotation, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: orphaned, location: westeurope, clusters: [
          {{name: goes-on, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: moved, location: westeurope, clusters: [
          {{name: moved, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - name: timed
        location: westeurope
        clusters:
          - {{name: soon, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
      - {{name: tomorrow, location: westeurope, clusters: [
          {{name: later, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - name: drifting
        location: westeurope
        clusters:
          - {{name: a-done, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
          - {{name: b-drifts, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
          - {{name: c-stays, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
      - {{name: expired, location: westeurope, clusters: [
          {{name: late, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - name: batched
        location: westeurope
        clusters:
          - {{name: a, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
          - {{name: b, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
          - {{name: c, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
      - name: budget
        location: westeurope
        clusters:
          - {{name: a, nodes: 1, identity: none}}
          - {{name: b, nodes: 1, identity: none}}
          - {{name: c, nodes: 1, identity: none}}
      - {{name: shut, location: westeurope, clusters: [
          {{name: behind, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - name: chosen
        location: westeurope
        clusters:
          - {{name: a, nodes: 1, identity: none}}
          - {{name: b, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
          - {{name: c, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
      - name: unstored
        location: westeurope
        clusters:
          - {{name: a, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
          - {{name: b, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
      - {{name: halted, location: westeurope, clusters: [
          {{name: one, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - name: soaked
        location: westeurope
        clusters:
          - {{name: a, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
          - {{name: b, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
      - {{name: back, location: westeurope, clusters: [
          {{name: reversed, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: reopened, location: westeurope, clusters: [
          {{name: here, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: called-off, location: westeurope, clusters: [
          {{name: first, nodes: 1, identity: managed, adminGroups: [aks-admins]}},
          {{name: second, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - name: barred
        location: westeurope
        clusters:
          - {{name: free, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
          - {{name: opened, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
          - {{name: policed, nodes: 1, identity: managed, adminGroups: [aks-admins]}}
      - {{name: hooked, location: westeurope, clusters: [
          {{name: one, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: hubs, location: westeurope, clusters: [
          {{name: argo, nodes: 1, identity: managed, adminGroups: [aks-admins], localAccounts: false}}]}}
      - {{name: glass, location: westeurope, clusters: [
          {{name: shut, nodes: 1, identity: managed, adminGroups: [aks-admins], localAccounts: false}}]}}
      - {{name: kept, location: westeurope, clusters: [
          {{name: one, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: told, location: westeurope, clusters: [
          {{name: one, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: stopped, location: westeurope, clusters: [
          {{name: first, nodes: 1, identity: managed, adminGroups: [aks-admins]}},
          {{name: second, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: run-twice, location: westeurope, clusters: [
          {{name: portal, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: unproven, location: westeurope, clusters: [
          {{name: a, nodes: 1, identity: managed, adminGroups: [aks-admins]}},
          {{name: b, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: refused, location: westeurope, clusters: [
          {{name: a, nodes: 1, identity: managed, adminGroups: [aks-admins]}},
          {{name: b, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: forged, location: westeurope, clusters: [
          {{name: one, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: signed, location: westeurope, clusters: [
          {{name: one, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: listening, location: westeurope, clusters: [
          {{name: one, nodes: 1, identity: managed, adminGroups: [aks-admins], tags: {{team: shop}}, auditLog: {{
            events: [{{user: "system:kube-scheduler", at: 1d, hourly: true}}]}}}}]}}
      - {{name: measured, location: westeurope, clusters: [
          {{name: one, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: hand-started, location: westeurope, clusters: [
          {{name: a, nodes: 1, identity: managed, adminGroups: [aks-admins]}},
          {{name: b, nodes: 1, identity: managed, adminGroups: [aks-admins]}}]}}
      - {{name: spent, location: westeurope, clusters: [
          {{name: a-first, nodes: 1, identity: none}}, {{name: b-second, nodes: 1, identity: none}}]}}
"""
QUICK = {
    "AKS_ENTRA_RECORDS": "",  # artifacts are the records here; the fixture `lossy` has a store of records
    "AKS_ENTRA_ALLOW_UNGATED": "true",  # most tests are not about gates, and their fleets have none
    "AKS_ENTRA_REQUEST_RATE": "500",
    "AKS_ENTRA_ACTIVITY_LOG_DELAY": "0",
    "AKS_ENTRA_POLL_INTERVAL": "0.3",
    "AKS_ENTRA_LOOK_INTERVAL": "0.5",
    "AKS_ENTRA_GROUP_READ_GAP": "0.01",
    "AKS_ENTRA_SIGN_IN_LIMIT": "30",
}


MAIN = served.MAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefectStack:
    """The sandbox, the Prefect server, and the requests so far."""

    sandbox: Sandbox
    api: str
    auth: str
    environment: dict[str, str]
    home: Path
    database: Path
    python: Path
    exchanges: list[Exchange] = field(default_factory=list)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Use this Prefect server and this sandbox inside the block."""
        with client_of(self.api, self.auth, self.home, self.environment):
            yield

    async def aks_entra(self, *words: str) -> Ended:
        """Run a command in a process of its own."""
        return await self.execute(self.home.parent, str(self.python), "-c", MAIN, *words)

    async def execute(self, folder: Path, *command: str) -> Ended:
        """Run a program in a folder until it ends."""
        process = await self.begin(folder, *command)
        out, err = await process.communicate()
        return Ended(exit_code=process.returncode or 0, stdout=out.decode(), stderr=err.decode())

    async def begin(self, folder: Path, *command: str, **environment: str) -> asyncio.subprocess.Process:
        """Start a program in a folder, with these variables. It finds the server; its lines are not wrapped."""
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env={
                **os.environ,
                **self.environment,
                "PREFECT_API_URL": self.api,
                "PREFECT_API_AUTH_STRING": self.auth,
                "PREFECT_HOME": str(self.home),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "COLUMNS": "1000",
                **environment,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def plan(
        self,
        group: str,
        *stages: dict[str, Any],
        rollout: dict[str, Any] | None = None,
        records: tuple[Record, ...] = (),
        after: tuple[dict[str, Any], ...] = (),
        **target: Any,
    ) -> FleetPlan:
        """Plan a resource group and store the plan at the server.

        `rollout` has its settings apart from the stages, and `after` the hooks after each rotation.
        """
        whole = self.fleet(group, *stages, **target)
        if rollout:
            whole["rollout"] = {**whole["rollout"], **rollout}
        fleet = FleetFile.model_validate({**whole, "after": after}).to_fleet()
        async with open_session(Settings()) as session:
            plan = await planner.plan_fleet(session.ports, fleet, records)
        await prefect_client.store_plan(plan)
        return plan

    async def report(self, run: UUID) -> FleetReport:
        """Return the report that a run stored."""
        report = await prefect_client.report_of(run)
        assert report is not None
        return report

    def fleet(self, group: str, *stages: dict[str, Any], **target: Any) -> dict[str, Any]:
        """Return the content of a fleet file for a resource group."""
        whole: dict[str, Any] = {
            "version": 1,
            "name": group,
            "clusters": [{"subscription": SUBSCRIPTION, "resource_group": group}],
            "target": {"admin_groups": [{"id": ADMINS}], **target},
        }
        return {**whole, "rollout": {"stages": list(stages)}} if stages else whole

    def writes(self, group: str) -> list[str]:
        """Return the writes to the clusters of a resource group: the method and the last part of the path."""
        return [
            f"{one.method} {one.path.rstrip('/').rsplit('/', 1)[-1]}"
            for one in self.exchanges
            if f"/resourcegroups/{group}/" in one.path.lower()
            and (one.method == "PUT" or "rotate" in one.path.lower())
            and one.status < 300
        ]


Until = Callable[[Any, Callable[[Any], bool]], Awaitable[Any]]


@pytest.fixture(scope="session")
def until() -> Until:
    """Follow a run until a snapshot satisfies a condition. It must not end before."""

    async def follow(run: Any, wanted: Callable[[Snapshot], bool]) -> Snapshot:

        async with asyncio.timeout(SOON):
            async with aclosing(prefect_client.follow(run, every=1)) as looks:
                async for now in looks:
                    if wanted(now):
                        return now
                    assert not now.run.ended, f"the run ended {now.run.state} before: {now.run.message}"
        raise AssertionError("the run neither ended nor came to where it should")

    return follow


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory, python: Path, database: Path) -> AsyncIterator[PrefectStack]:
    folder = tmp_path_factory.mktemp("flows")
    world = folder / "world.yaml"
    world.write_text(WORLD + GROUPS + SPLIT)
    prepared_database.put(database, folder / "home")
    exchanges: list[Exchange] = []
    async with Sandbox(world, pace=500, observe=exchanges.append) as sandbox:
        environment = {**sandbox.environment, **QUICK, "XDG_STATE_HOME": str(folder / "state")}
        environment["PREFECT_WORKER_QUERY_SECONDS"] = "1"
        environment["PREFECT_API_SSL_CERT_FILE"] = environment["SSL_CERT_FILE"]  # a warm interpreter needs it by name
        port = free_port()
        async with served.served(python, port, folder / "home", environment):
            api = f"http://127.0.0.1:{port}/api"
            stack = PrefectStack(
                sandbox=sandbox,
                api=api,
                auth=server_auth.file_of(api, folder / "home").read_text(),
                environment=environment,
                home=folder / "client",
                database=prepared_database.path(folder / "home"),
                python=python,
                exchanges=exchanges,
            )
            yield stack
            with stack.inside():  # send what this process still has to send to the server, before it stops
                await cast("Any", APILogWorker.drain_all(at_exit=False))
                await cast("Any", EventsWorker.drain_all(at_exit=False))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lossy(tmp_path_factory: pytest.TempPathFactory, python: Path, database: Path) -> AsyncIterator[LossyServer]:
    """Yield a server of its own, with a store of records, which can lose its database."""
    from tests.flows.lossy_server import lossy_server  # noqa: PLC0415 - it imports this module

    async with lossy_server(WORLD + GROUPS, tmp_path_factory.mktemp("lossy"), python, database) as server:
        yield server
