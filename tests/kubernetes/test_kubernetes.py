"""Flow runs in pods of a real Kubernetes: with the work pool, the image and the rights that deployments/ describes.

The rotation of each cluster lasts as long as a test wants: polls are throttled until the pod has its successor.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from aks_entra import prefect_client
from azure_sandbox.server import Sandbox
from tests.kubernetes import manifests
from tests.kubernetes.cluster import ADDRESS, ISSUER, Cluster, cluster
from tests.kubernetes.stack import API, stack
from tests.support.team_deployments import NAMESPACE
from tests.support.team_migrations import LIMITS, SUBSCRIPTION, Migrations, world

if TYPE_CHECKING:
    from uuid import UUID

    from azure_sandbox.front.proxy import Exchange

pytestmark = [pytest.mark.kubernetes, pytest.mark.asyncio(loop_scope="module")]
SCENES = ("evicted", "killed")


@dataclass(slots=True, kw_only=True)
class Pods(Migrations):
    """The cluster as well."""

    kubernetes: Cluster

    async def of(self, run: UUID) -> list[dict[str, Any]]:
        """Return the pods of a run, the newest last."""
        found = await self.kubernetes.get("pods", "-n", NAMESPACE, "-l", f"prefect.io/flow-run-id={run}")
        return sorted(found["items"], key=lambda one: str(one["metadata"]["creationTimestamp"]))

    async def evict(self, pod: dict[str, Any]) -> None:
        """Evict a pod, as a drained node does."""
        metadata = {"name": pod["metadata"]["name"], "namespace": NAMESPACE}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{metadata['name']}/eviction"
        await self.kubernetes.kubectl(
            *("create", "--raw", path, "-f", "-"),
            given={"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata},
        )

    async def successor(self, run: UUID, pod: dict[str, Any]) -> None:
        """Wait until another pod carries the run."""

        async def another() -> bool:
            return any(
                one["metadata"]["uid"] != pod["metadata"]["uid"] and one["status"]["phase"] == "Running"
                for one in await self.of(run)
            )

        await self.until(another)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pods(database: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pods]:
    folder = Path(tempfile.mkdtemp(prefix="kube-"))
    exchanges: list[Exchange] = []
    try:
        async with cluster(folder, tmp_path_factory.mktemp("logs")) as kubernetes:
            trusted = {"issuer": ISSUER, "subject": f"system:serviceaccount:{NAMESPACE}:{manifests.RUNNER}"}
            issuers = [{"issuer": ISSUER, "keys": [kubernetes.issuer_pem]}]
            described = folder / "world.yaml"
            operator = f", federatedCredentials: [{json.dumps(trusted)}]"
            described.write_text(f"{world(SCENES, operator)}issuers: {json.dumps(issuers)}\n")
            async with (
                Sandbox(described, pace=500, observe=exchanges.append) as sandbox,
                stack(kubernetes, sandbox, database, LIMITS) as authentication,
            ):
                yield Pods(
                    api=API,
                    home=folder / "client",
                    client={
                        **sandbox.environment,
                        **LIMITS,
                        "XDG_STATE_HOME": str(folder / "state"),
                        **dict.fromkeys(("NO_PROXY", "no_proxy"), f"{ADDRESS},127.0.0.1,localhost"),
                    },
                    sandbox=sandbox,
                    exchanges=exchanges,
                    authentication=authentication,
                    kubernetes=kubernetes,
                )
    finally:
        shutil.rmtree(folder)


async def test_an_inventory_runs_in_a_pod_of_the_template_and_no_secret_is_in_its_job(pods: Pods) -> None:
    with pods.inside():
        run = await prefect_client.start("inventory-fleet/inventory-fleet", {"subscriptions": [SUBSCRIPTION]})
        ended = await pods.end(run.id)
        assert ended.state.is_completed(), ended.state.message
        assert ended.state.message == "4 clusters"
    (pod,) = await pods.of(run.id)
    assert pod["spec"]["serviceAccountName"] == manifests.RUNNER
    assert pod["spec"]["securityContext"]["runAsUser"] == 10001
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    references = {one["name"]: one.get("valueFrom", {}).get("secretKeyRef", {}) for one in container["env"]}
    assert references["PREFECT_API_AUTH_STRING"] == {"name": manifests.AUTHENTICATION, "key": "auth-string"}
    jobs = json.dumps(await pods.kubernetes.get("jobs,pods", "-n", NAMESPACE))
    assert pods.authentication not in jobs
    assert pods.sandbox.operator.secret not in jobs


async def test_an_evicted_pod_has_a_successor_that_ends_the_migration(pods: Pods) -> None:
    with pods.inside():
        plan = await pods.plan("evicted")
        with pods.rotating():
            run = await prefect_client.start_migration(plan.digest)
            batch = await pods.begun("evicted", run.id)
            (pod,) = await pods.of(batch)
            await pods.evict(pod)
            await pods.successor(batch, pod)
        ended = await pods.end(run.id)
        assert ended.state.is_completed(), ended.state.message
        await pods.verified("evicted", run.id)


async def test_a_killed_pod_is_found_dead_and_the_migration_is_resumed(pods: Pods) -> None:
    with pods.inside():
        plan = await pods.plan("killed")
        with pods.rotating():
            run = await prefect_client.start_migration(plan.digest)
            batch = await pods.begun("killed", run.id)
            (pod,) = await pods.of(batch)
            await pods.kubernetes.kill(pod["status"]["containerStatuses"][0]["containerID"])
        again = await pods.resumed(run.id, plan.digest)
        ended = await pods.end(again)
        assert ended.state.is_completed(), ended.state.message
        await pods.verified("killed", again)
