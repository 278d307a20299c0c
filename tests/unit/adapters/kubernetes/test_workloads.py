"""What runs in a cluster: which objects are named, and which are left out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from aks_entra.adapters.kubernetes.workloads import look_inside
from aks_entra.core.preflight import Controller, Inside
from aks_entra.errors import Refused

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


def named(name: str, namespace: str = "pay", **rest: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, **rest}


def pod(name: str, namespace: str = "pay", owner: str = "", phase: str = "Running", **volume: Any) -> dict[str, Any]:
    kind, _, by = owner.partition(" ")
    owners = [{"kind": kind, "name": by}] if owner else []
    spec = {"volumes": [{"name": "v", **volume}] if volume else []}
    return {
        "metadata": {"name": name, "namespace": namespace, "ownerReferences": owners},
        "spec": spec,
        "status": {"phase": phase},
    }


def binding(name: str, subject: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "subjects": [{"kind": "Group", "name": subject}]}


FOUND: dict[str, list[dict[str, Any]]] = {
    "/api/v1/pods": [
        pod("ledger-7d9f-x", owner="ReplicaSet ledger-7d9f", emptyDir={"sizeLimit": "40Gi"}),
        pod("ledger-7d9f-y", owner="ReplicaSet ledger-7d9f", emptyDir={"sizeLimit": "40Gi"}),
        pod("cache-0", owner="StatefulSet cache", emptyDir={}),
        pod("fast-0", owner="StatefulSet fast", emptyDir={"medium": "Memory"}),
        pod("agent", owner="DaemonSet agent", hostPath={"path": "/var/log"}),
        pod("debug"),
        pod("done", phase="Succeeded"),
        pod("proxy", namespace="kube-system", hostPath={"path": "/run"}),
        pod("site", owner="ReplicaSet site", configMap={"name": "site"}),
    ],
    "/api/v1/persistentvolumes": [
        {"metadata": {"name": "disk"}, "spec": {"csi": {}}},
        {"metadata": {"name": "scratch"}, "spec": {"local": {"path": "/mnt"}}},
    ],
    "/apis/apps/v1/deployments": [
        named("ledger", spec={"replicas": 2}, status={"availableReplicas": 1}),
        named("web", spec={}, status={"availableReplicas": 1}),
        named("coredns", namespace="kube-system", spec={"replicas": 2}, status={}),
    ],
    "/apis/apps/v1/statefulsets": [named("idle", spec={"replicas": 0}, status={})],
    "/apis/apps/v1/daemonsets": [named("agent", status={"desiredNumberScheduled": 3, "numberAvailable": 3})],
    "/apis/policy/v1/poddisruptionbudgets": [
        named("tight", status={"expectedPods": 1, "disruptionsAllowed": 0}),
        named("loose", status={"expectedPods": 2, "disruptionsAllowed": 1}),
        named("of-nothing", status={"expectedPods": 0, "disruptionsAllowed": 0}),
    ],
    f"{WEBHOOKS}/validatingwebhookconfigurations": [
        {"metadata": {"name": "policies"}, "webhooks": [{"clientConfig": {"caBundle": "QQ=="}}]},
        {"metadata": {"name": "aks-node-validating-webhook"}, "webhooks": [{"clientConfig": {"caBundle": "QQ=="}}]},
    ],
    f"{WEBHOOKS}/mutatingwebhookconfigurations": [
        {"metadata": {"name": "public"}, "webhooks": [{"clientConfig": {"url": "https://example.com"}}]},
        {"metadata": {"name": "empty"}},
    ],
    BINDINGS: [binding("cluster-admin", "system:masters"), binding("old", "system:masters"), binding("view", "devs")],
}
CERTIFICATE = b"the CA of the cluster, as DER"
CA = hashlib.sha256(CERTIFICATE).hexdigest()
PEM = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(CERTIFICATE).decode()}\n-----END CERTIFICATE-----\n"
FOUND["/api/v1/configmaps"] = [
    named("trust", data={"bundle.pem": f"# ours\n{PEM}"}),
    named("kube-root-ca.crt", data={"ca.crt": PEM}),
    named("trust", namespace="kube-system", data={"ca.crt": PEM}),
    named(
        "other", data={"ca.crt": PEM.replace("V", "W"), "bad": "-----BEGIN CERTIFICATE-----A-----END CERTIFICATE-----"}
    ),
    named("empty"),
]
NAMES = {
    "/api/v1/secrets": [named("ci-kubeconfig"), named("tls"), named("KubeConfig", namespace="ops")],
    "/api/v1/secrets?fieldSelector=type%3Dkubernetes.io%2Fservice-account-token": [named("deployer-token")],
}


async def pages(path: str) -> AsyncIterator[Mapping[str, Any]]:
    for item in FOUND[path]:
        yield item


async def names(path: str) -> AsyncIterator[Mapping[str, Any]]:
    for item in NAMES[path]:
        yield item


async def test_everything_that_a_rotation_hurts() -> None:
    assert await look_inside(pages, names, CA) == Inside(
        controllers=(
            Controller(label="Deployment pay/ledger", desired=2, available=1),
            Controller(label="Deployment pay/web", desired=1, available=1),
            Controller(label="StatefulSet pay/idle", desired=0, available=0),
            Controller(label="DaemonSet pay/agent", desired=3, available=3, scalable=False),
        ),
        budgets=("pay/tight",),
        bare_pods=("pay/debug",),
        node_local=(
            "pay/ledger emptyDir 40Gi",
            "pay/cache emptyDir",
            "pay/agent hostPath /var/log",
            "volume scratch",
        ),
        webhooks=("policies",),
        pinned_ca=("pay/trust",),
        kubeconfigs=("pay/ci-kubeconfig", "ops/KubeConfig"),
        static_tokens=("pay/deployer-token",),
        masters=("old",),
    )


async def test_what_may_not_be_listed_is_unknown() -> None:
    async def forbidden(path: str) -> AsyncIterator[Mapping[str, Any]]:
        for status in (403,):
            raise Refused(f"{path} is forbidden", status=status)
        yield {}

    found = await look_inside(forbidden, forbidden, CA)
    assert found == Inside()
    assert len(found.unread) == 9


async def test_other_refusals_are_raised() -> None:
    async def broken(path: str) -> AsyncIterator[Mapping[str, Any]]:
        for status in (400,):
            raise Refused(f"{path} is malformed", status=status)
        yield {}

    with pytest.raises(Refused, match="malformed"):
        await look_inside(broken, broken)
