"""Hooks after a rotation: each is a task with a result of its own, and a resumed run runs only what is not done."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterTags,
)

from aks_entra import prefect_client
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.hook_runs import HookRan, HookStatus
from aks_entra.core.hooks.model import EmitEvent, RunDeployment, UpdateArgoCdSecret, UpdateFluxSecret
from aks_entra.core.hooks.results import rotation_in
from aks_entra.core.planning.job import Job
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused
from aks_entra.prefect_client import events
from aks_entra.prefect_client.hooks import TAG, require_deployments, run_deployment
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tasks import hooks as hook_tasks
from tests.flows.conftest import SUBSCRIPTION
from tests.flows.stages import ALL
from tests.support.sent_events import sent

if TYPE_CHECKING:
    from aks_entra.core.evidence.observations import CertificatesRotated
    from aks_entra.core.hooks.model import Hook
    from aks_entra.core.verdict.verdict import Verdict
    from tests.flows.conftest import PrefectStack, Until

pytestmark = pytest.mark.asyncio(loop_scope="session")
AFTER: tuple[dict[str, Any], ...] = (
    {"update_argocd_secret": {"cluster": "hubs/argo", "name": "{name}"}},
    {"run_deployment": {"deployment": "inventory-fleet/inventory-fleet", "parameters": {"tenant": True}}},
    {"update_flux_secret": {"cluster": "hubs/argo", "name": "{name}"}},
)
STAGE = {**ALL, "after": [{"emit": {"event": "contoso.ca-rotated", "payload": {"who": "{resource_group}/{name}"}}}]}
CLUSTER = ClusterId(subscription_id=SUBSCRIPTION, resource_group="hooked", name="one")
APPROVAL: dict[str, Any] = {"decision": "approve", "approver": "dana@contoso.com", "reason": "CHG-1042"}
SECRETS = ("", "secrets")
CHECKED = DeploymentFilter(name=DeploymentFilterName(any_=["checked"]))
ARGO, RUN, FLUX, EMIT = range(4)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def hub_of(stack: PrefectStack) -> Any:
    """The objects of the hub, in which Argo CD has a secret for the cluster, without a credential of its own."""
    arm = stack.sandbox.arm
    hosts = {one.name: one.server.fqdn for one in arm.state.clusters.values() if "/resourcegroups/h" in one.id.lower()}
    hub = arm.clusters.for_host(hosts["argo"])
    assert hub is not None
    config = {"execProviderConfig": {"command": "argocd-k8s-auth"}, "tlsClientConfig": {"caData": encoded("old")}}
    data = {"name": "one", "server": f"https://{hosts['one']}", "config": json.dumps(config)}
    labels = {"argocd.argoproj.io/secret-type": "cluster"}
    return hub.store, {
        "metadata": {"name": "one", "namespace": "argocd", "labels": labels},
        "data": {key: encoded(value) for key, value in data.items()},
    }


def kubeconfig_of(server: str) -> dict[str, Any]:
    """The Secret of Flux for the cluster, whose user signs in with a command."""
    held = {
        "clusters": [{"name": "one", "cluster": {"server": server, "certificate-authority-data": encoded("old")}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "users": [{"name": "one", "user": {"exec": {"command": "kubelogin"}}}],
        "current-context": "one",
    }
    return {"metadata": {"name": "one", "namespace": "flux-system"}, "data": {"value": encoded(json.dumps(held))}}


def results(verdict: Verdict) -> dict[int, HookStatus]:
    return {one.place: one.status for one in verdict.evidence if isinstance(one, HookRan)}


async def tries(plan: str) -> None:
    """A run that is late is followed again, and after a run that failed another one is started."""
    known = {"plan": plan, "cluster": CLUSTER.resource_id}
    fine = RunDeployment(deployment="inventory-fleet/inventory-fleet", parameters=(("tenant", True),))
    late = await run_deployment(8, replace(fine, timeout=0), known)
    assert late.status is HookStatus.FAILED
    assert "has not ended in time" in late.detail
    bad = replace(fine, parameters=())
    again, failed, started = await asyncio.gather(
        run_deployment(8, fine, known),
        run_deployment(9, bad, known),
        run_deployment(10, replace(bad, wait=False), known),
    )
    assert (again.status, again.detail.split()[1]) == (HookStatus.DONE, late.detail.split()[1])
    assert (started.status, started.detail.split()[0]) == (HookStatus.DONE, "started")
    assert "ended Failed" in failed.detail
    async with get_client() as client:
        schema = {"type": "object", "properties": {"tenant": {"type": "boolean"}}}
        await client.create_deployment(
            flow_id=await client.create_flow_from_name("cmdb"),
            name="checked",
            parameter_openapi_schema=schema,
            enforce_parameter_schema=True,
        )
        checked = RunDeployment(deployment="cmdb/checked", parameters=(("tenant", "{cluster}"),))
        with pytest.raises(
            Refused, match="the deployment cmdb/checked does not take these parameters: Validation fail"
        ):
            await run_deployment(11, checked, known)
        waiting = asyncio.create_task(run_deployment(12, replace(checked, parameters=()), known))
        while not (found := await client.read_flow_runs(deployment_filter=CHECKED)):
            continue
        await client.delete_flow_run(found[0].id)
        with pytest.raises(Refused, match="was deleted at Prefect's server, so it is unknown how it ended"):
            await waiting
    anew = await run_deployment(9, bad, known)
    assert anew.status is HookStatus.FAILED
    assert anew.detail.split()[1] != failed.detail.split()[1]


async def done_already(job: Job, after: tuple[Hook, ...], rotated: CertificatesRotated) -> None:
    """The tasks of hooks, in this process: what is done already stays done."""
    argo, run, flux, emit = after
    assert isinstance(argo, UpdateArgoCdSecret)
    assert isinstance(run, RunDeployment)
    assert isinstance(flux, UpdateFluxSecret)
    assert isinstance(emit, EmitEvent)
    async with open_session(Settings()):
        known = await hook_tasks.new_authority.fn(job, rotated)
        written = await hook_tasks.update_argocd_secret.fn(job, argo, rotated, known)
        assert (written.status, written.detail) == (HookStatus.DONE, "secret one had the new CA already")
        kept = await hook_tasks.update_flux_secret.fn(job, flux, rotated, known)
        assert (kept.status, kept.detail) == (HookStatus.DONE, "secret one had the new CA already")
        assert (await hook_tasks.run_deployment.fn(job, RUN, run, known)).status is HookStatus.DONE
        assert (await hook_tasks.emit.fn(job, emit, known)).status is HookStatus.DONE


async def test_hooks_run_after_the_rotation_and_only_those_that_are_left_run_again(
    stack: PrefectStack, until: Until
) -> None:
    store, secret = hub_of(stack)
    for name in ("argocd", "flux-system"):
        store.put(("", "namespaces"), {"metadata": {"name": name}}, stack.sandbox.clock.now())
    server = base64.b64decode(secret["data"]["server"]).decode()
    store.put(SECRETS, kubeconfig_of(server), stack.sandbox.clock.now())
    with stack.inside():
        plan = await stack.plan("hooked", STAGE, after=AFTER)
        staged = replace(plan.stages[0], after=(RunDeployment(deployment="nobody/made"),))
        with pytest.raises(Refused, match=r"after of stage all: run_deployment: .* no deployment nobody/made"):
            await require_deployments(replace(plan, stages=(staged,)))
        run = await prefect_client.start_migration(plan.digest)
        await until(run.id, lambda now: now.gate is not None)
        await prefect_client.decide(str(run.id), plan.digest, **APPROVAL)
        ended = await until(run.id, lambda now: now.run.ended)
        assert "1 with a hook that is not done, 0 allowed" in ended.run.message
        [verdict] = (await stack.report(run.id)).verdicts
        assert verdict.outcome is Outcome.VERIFIED
        assert results(verdict) == {
            ARGO: HookStatus.FAILED,
            RUN: HookStatus.DONE,
            FLUX: HookStatus.DONE,
            EMIT: HookStatus.DONE,
        }
        assert "hubs/argo has no Argo CD secret for https://" in verdict.because[0]

        store.put(SECRETS, secret, stack.sandbox.clock.now())
        again = await prefect_client.resume(str(run.id), plan.digest)
        ended = await until(again.id, lambda now: now.gate is not None or now.run.ended)
        assert ended.gate is None  # approved already
        assert ended.run.completed, ended.run.message
        [verdict] = (await stack.report(again.id)).verdicts
        assert not verdict.hooks_left
        rotated = rotation_in(verdict.evidence)
        assert rotated is not None

        async with get_client() as client:
            tags = FlowRunFilterTags(all_=[TAG])
            runs = await client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=tags))
        assert [one.parameters["tenant"] for one in runs if "tenant" in one.parameters] == [True]
        await tries(plan.digest)
        await done_already(
            Job(digest=plan.digest, plan=plan.clusters[0], prover=plan.prover), plan.hooks_of(CLUSTER), rotated
        )
        event = (await sent(events.cluster_id(CLUSTER.key), "contoso.ca-rotated"))["contoso.ca-rotated"]
        assert event["payload"]["who"] == "hooked/one"
        assert event["payload"]["ca_fingerprint"] == rotated.ca_after

    config = json.loads(base64.b64decode(store.get(SECRETS, "argocd", "one")["data"]["config"]))
    encoded_ca = event["payload"]["certificate_authority_data"]
    assert config["tlsClientConfig"]["caData"] == encoded_ca
    held = json.loads(base64.b64decode(store.get(SECRETS, "flux-system", "one")["data"]["value"]))
    assert held["clusters"][0]["cluster"] == {"server": server, "certificate-authority-data": encoded_ca}
    assert config["execProviderConfig"] == {"command": "argocd-k8s-auth"}
    assert stack.writes("hooked").count("POST rotateClusterCertificates") == 1
