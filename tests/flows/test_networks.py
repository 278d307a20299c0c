"""A fleet in two private networks, with a worker in each: planned and migrated by processes that reach neither."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client
from ruamel.yaml import YAML

from aks_entra import prefect_client
from aks_entra.adapters.kubernetes.handshake import handshake
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.documents import load_plan
from aks_entra.errors import TryLater
from aks_entra.fleet_file.model import FleetFile
from aks_entra.prefect_client.names import WORK_POOL
from aks_entra.prefect_client.work_pools import ensure_work_queue, is_polled
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tasks.planning import plan_fleet
from tests.flows.private_networks import SUBSCRIPTION
from tests.support.patience import SOON

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
STAGE = {
    "name": "all",
    "groups": [
        {"name": name, "clusters": [f"split/{name}"], "work_queue": f"spoke-{name}"}
        for name in ("north", "south", "far")
    ],
}


@asynccontextmanager
async def worker_in(stack: PrefectStack, python: Path, network: str) -> AsyncIterator[None]:
    """Run a worker in a network of the sandbox until the end of the block. It takes the runs of one work queue."""
    queue = f"spoke-{network}"
    command = ("-m", "aks_entra.prefect_client", "worker", "start", "--pool", WORK_POOL, "--type", "process")
    process = await stack.begin(
        stack.home.parent,
        *(str(python), *command, "--name", network, "--work-queue", queue),
        **stack.sandbox.environment_in(network),
    )
    try:
        async with asyncio.timeout(SOON), get_client() as client:
            while not is_polled(await ensure_work_queue(client, WORK_POOL, queue)):
                assert process.returncode is None
                await asyncio.wait([asyncio.ensure_future(process.wait())], timeout=0.2)
        yield
    finally:
        process.terminate()
        await process.communicate()


async def test_a_fleet_in_two_private_networks_is_planned_and_migrated_from_outside(
    stack: PrefectStack, until: Until, python: Path, tmp_path: Path
) -> None:
    fleet = tmp_path / "fleet.yaml"
    with fleet.open("w") as file:
        clusters = [{"subscription": SUBSCRIPTION, "resource_group": "split"}]
        YAML(typ="safe").dump({**stack.fleet("split", STAGE), "clusters": clusters}, file)
    with stack.inside():
        hosts = [one.server.fqdn for one in stack.sandbox.arm.state.clusters.values() if "/split/" in one.id]
        for host in hosts:
            with pytest.raises(TryLater, match="cannot reach"):
                await handshake(host, timeout=SOON)
        assert len(hosts) == 3
        async with AsyncExitStack() as workers:
            for network in ("north", "south"):
                await workers.enter_async_context(worker_in(stack, python, network))
            ended = await stack.aks_entra("plan", str(fleet), "--out", str(tmp_path / "plan.json"))
            assert ended.exit_code == 0, ended.output
            plan = load_plan((tmp_path / "plan.json").read_text())
            assert [one.disposition for one in plan.clusters] == ["refused", "migrate", "migrate"]
            assert [one.message for one in plan.clusters[0].blockers] == [
                "the cluster could not be read: no worker polls the work queue spoke-far of pool aks-entra"
            ]
            await prefect_client.store_plan(plan)
            run = await prefect_client.start_migration(plan.digest)
            await until(run.id, lambda now: now.gate is not None)
            said = {"approver": "dana@contoso.com", "reason": "CHG-1"}
            await prefect_client.decide(str(run.id)[:8], plan.digest, decision="approve", **said)
            over = await until(run.id, lambda now: now.run.ended)
            assert over.run.completed, over.run.message
            async with get_client() as client:
                queues = {(await client.read_flow_run(batch.id)).work_queue_name for batch in over.batches}
            assert queues == {"spoke-north", "spoke-south"}
            look = await prefect_client.start("verify-fleet/verify-fleet", {"plan": plan.digest})
            looked = await until(look.id, lambda now: now.run.ended)
            assert looked.run.completed, looked.run.message
        report = await stack.report(run.id)
        assert [one.outcome for one in report.verdicts] == [Outcome.VERIFIED, Outcome.VERIFIED, Outcome.REFUSED]
        assert stack.writes("split").count("POST rotateClusterCertificates") == 2


async def test_a_run_plans_one_group_as_its_prover_and_another_by_its_work_queue(
    stack: PrefectStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    (robot,) = [one for one in stack.sandbox.directory.service_principals() if one.display_name == "robot"]
    tenant = stack.sandbox.operator.tenant_id
    prover = {"client_id": robot.app_id, "tenant_id": tenant, "client_secret_env": "ROBOT_SECRET"}
    groups = [
        {"name": "here", "clusters": ["quiet/open"], "prover": prover},
        {"name": "there", "rest": True, "work_queue": "spoke-nobody"},
    ]
    fleet = FleetFile.model_validate(stack.fleet("quiet", {"name": "all", "groups": groups})).to_fleet()
    with stack.inside():
        monkeypatch.setenv("ROBOT_SECRET", "the-robot")
        async with open_session(Settings()):
            plan = await plan_fleet.fn(fleet)
    (here,) = [group for group in plan.stages[0].groups if group.name == "here"]
    assert (here.prover or plan.prover).object_id == robot.id
    by_name = {one.cluster.name: one for one in plan.clusters}
    assert "no worker polls the work queue spoke-nobody" in by_name["unknown"].blockers[0].message
    assert not [one for one in by_name["open"].blockers if "work queue" in one.message]
