"""The nodes of a cluster and the workloads on them, in the state that controllers would produce.

The scale set of a pool creates nodes, a scheduler places pods on Ready nodes, and controllers count them. This module
does not know why nodes come and go.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from azure_sandbox.cluster import budgets, node_sizes
from azure_sandbox.cluster.store import Key, Object, Store, stamp

NODES: Key = ("", "nodes")
PODS: Key = ("", "pods")
KINDS: Mapping[str, Key] = {
    "Deployment": ("apps", "deployments"),
    "StatefulSet": ("apps", "statefulsets"),
    "DaemonSet": ("apps", "daemonsets"),
}
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """An agent pool, with the properties that its nodes show."""

    name: str
    count: int
    mode: str
    vm_size: str
    version: str
    labels: tuple[tuple[str, str], ...] = ()
    max_pods: int = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A controller with its pods."""

    name: str
    namespace: str = "default"
    kind: str = "Deployment"
    replicas: int = 1


SYSTEM = (
    Workload(name="coredns", namespace="kube-system", replicas=2),
    Workload(name="konnectivity-agent", namespace="kube-system", replicas=2),
    Workload(name="metrics-server", namespace="kube-system", replicas=2),
    Workload(name="cloud-node-manager", namespace="kube-system", kind="DaemonSet"),
    Workload(name="kube-proxy", namespace="kube-system", kind="DaemonSet"),
)


@dataclass(slots=True, kw_only=True)
class Machines:
    """The nodes and pods of one cluster. `node_group` is the resource ID of the node resource group."""

    store: Store
    node_group: str
    pools: tuple[Pool, ...] = ()
    workloads: tuple[Workload, ...] = SYSTEM
    blocked: bool = False  # no new pod is admitted outside of kube-system
    lost: set[str] = field(default_factory=set)  # names of nodes that do not come back
    _number: str = field(init=False)

    def __post_init__(self) -> None:
        self._number = f"{int(hashlib.sha256(self.node_group.lower().encode()).hexdigest(), 16) % 10**8:08d}"

    def wanted(self) -> list[tuple[Pool, str]]:
        """Return the nodes that the pools ask for, with their names."""
        return [(pool, self._node_name(pool, index)) for pool in self.pools for index in range(pool.count)]

    def _node_name(self, pool: Pool, index: int) -> str:
        suffix = ""
        while index:
            index, digit = divmod(index, len(DIGITS))
            suffix = DIGITS[digit] + suffix
        return f"{self.scale_set(pool.name)}{suffix:0>6}"

    def scale_set(self, pool: str) -> str:
        """Return the name of a pool's scale set."""
        return f"aks-{pool}-{self._number}-vmss"

    def appear(self, when: dt.datetime) -> None:
        """Make all nodes of the pools present and Ready, remove all others, and run all pods."""
        names = {name for _, name in self.wanted()}
        for node in self.store.list(NODES):
            if node["metadata"]["name"] not in names:
                self.store.delete(NODES, "", node["metadata"]["name"])
        for pool, name in self.wanted():
            if self.store.get(NODES, "", name) is None and name not in self.lost:
                self.join(pool, name, when, ready=True)
        self.schedule(when)

    def lose(self) -> None:
        """Mark the last node of the pools as lost: it does not come back after a rotation."""
        for _, name in self.wanted()[-1:]:
            self.lost.add(name)

    def vanish(self, when: dt.datetime) -> None:
        """Remove all nodes. Their pods become Pending."""
        for node in self.store.list(NODES):
            self.store.delete(NODES, "", node["metadata"]["name"])
        self.schedule(when)

    def join(self, pool: Pool, name: str, when: dt.datetime, *, ready: bool) -> None:
        """Register a node, or report it Ready. A lost node does neither."""
        if name in self.lost:
            return
        self.store.put(NODES, self._node(pool, name, when, ready=ready), when)

    def _node(self, pool: Pool, name: str, when: dt.datetime, *, ready: bool) -> Object:
        state, reason = ("True", "KubeletReady") if ready else ("False", "KubeletNotReady")
        group = self.node_group.rpartition("/")[2]
        scale_set, number = name[:-6], int(name[-6:], len(DIGITS))
        labels = {
            "agentpool": pool.name,
            "kubernetes.azure.com/agentpool": pool.name,
            "kubernetes.azure.com/cluster": group,
            "kubernetes.azure.com/mode": pool.mode.lower(),
            "kubernetes.azure.com/role": "agent",
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": pool.vm_size,
            **dict(pool.labels),
        }
        condition = {
            "type": "Ready",
            "status": state,
            "reason": reason,
            "message": "kubelet is posting ready status" if ready else "container runtime network not ready",
            "lastHeartbeatTime": stamp(when),
            "lastTransitionTime": stamp(when),
        }
        machine = f"azure://{self.node_group}/providers/Microsoft.Compute/virtualMachineScaleSets/{scale_set}"
        capacity, allocatable = node_sizes.amounts(pool.vm_size, pool.max_pods)
        return {
            "metadata": {"name": name, "labels": labels},
            "spec": {"providerID": f"{machine}/virtualMachines/{number}"},
            "status": {
                "capacity": capacity,
                "allocatable": allocatable,
                "conditions": [condition],
                "addresses": [{"type": "Hostname", "address": name}],
                "nodeInfo": {
                    "kubeletVersion": f"v{pool.version}",
                    "kubeProxyVersion": "",
                    "containerRuntimeVersion": "containerd://1.7.27-1",
                    "operatingSystem": "linux",
                    "architecture": "amd64",
                    "osImage": "Ubuntu 22.04.5 LTS",
                    "kernelVersion": "5.15.0-1089-azure",
                    "bootID": "",
                    "machineID": "",
                    "systemUUID": "",
                },
            },
        }

    def schedule(self, when: dt.datetime) -> None:
        """Place every pod on a Ready node, and update the controllers' counts."""
        nodes = [it["metadata"]["name"] for it in self.store.list(NODES)]
        ready = [it["metadata"]["name"] for it in self.store.list(NODES) if is_ready(it)]
        for pod in self.store.list(PODS):
            if pod["spec"].get("nodeName") not in ready:
                self.store.delete(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        for workload in self.workloads:
            every = workload.kind == "DaemonSet"
            replicas = len(nodes) if every else workload.replicas
            runs = 0
            for index in range(replicas):
                host = nodes[index] if every else ready[index % len(ready)] if ready else None
                runs += self._pod(workload, index, host if host in ready else None, when)
            document = _controller(workload, replicas, runs)
            self.store.put(KINDS[workload.kind], document, when)
        budgets.count(self.store, when)

    def _pod(self, workload: Workload, index: int, host: str | None, when: dt.datetime) -> bool:
        name = f"{workload.name}-{index}" if workload.kind == "StatefulSet" else _pod_name(workload, index)
        held = self.store.get(PODS, workload.namespace, name)
        if held is None or held["spec"].get("nodeName") != host:
            if self.blocked and workload.namespace != "kube-system":
                self.store.delete(PODS, workload.namespace, name)
                return False
            self.store.put(PODS, _pod_document(workload, name, host, when), when)
        return host is not None

    def scale(self, pools: Iterable[Pool]) -> None:
        """Set the pools that ARM asks for. `appear` brings the nodes."""
        self.pools = tuple(pools)

    def add(self, workloads: Iterable[Workload]) -> None:
        """Add workloads."""
        self.workloads = (*self.workloads, *(replace(it) for it in workloads))


def is_ready(node: Object) -> bool:
    """Return whether a node's Ready condition is True."""
    return any(it["type"] == "Ready" and it["status"] == "True" for it in node["status"]["conditions"])


def _pod_name(workload: Workload, index: int) -> str:
    digest = hashlib.sha256(f"{workload.namespace}/{workload.name}/{index}".encode()).hexdigest()
    middle = "" if workload.kind == "DaemonSet" else f"{digest[:9]}-"
    return f"{workload.name}-{middle}{digest[9:14]}"


def _template(workload: Workload) -> Object:
    container = {"name": workload.name, "image": f"mcr.microsoft.com/sandbox/{workload.name}:1", "resources": {}}
    spec: Object = {"containers": [container], "restartPolicy": "Always"}
    return {"metadata": {"labels": {"app": workload.name}}, "spec": spec}


def _pod_document(workload: Workload, name: str, host: str | None, when: dt.datetime) -> Object:
    template = _template(workload)
    owner = {"apiVersion": "apps/v1", "kind": workload.kind, "name": workload.name, "controller": True, "uid": ""}
    metadata = {
        "name": name,
        "namespace": workload.namespace,
        "labels": template["metadata"]["labels"],
        "ownerReferences": [owner],
    }
    if host is None:
        return {"metadata": metadata, "spec": template["spec"], "status": {"phase": "Pending", "conditions": []}}
    image = template["spec"]["containers"][0]["image"]
    container = {
        "name": workload.name,
        "ready": True,
        "started": True,
        "restartCount": 0,
        "image": image,
        "imageID": "",
        "state": {"running": {"startedAt": stamp(when)}},
    }
    status = {
        "phase": "Running",
        "startTime": stamp(when),
        "conditions": [{"type": it, "status": "True"} for it in ("PodScheduled", "ContainersReady", "Ready")],
        "containerStatuses": [container],
    }
    return {"metadata": metadata, "spec": {**template["spec"], "nodeName": host}, "status": status}


def _controller(workload: Workload, replicas: int, ready: int) -> Object:
    labels = {"app": workload.name}
    spec: Object = {"selector": {"matchLabels": labels}, "template": _template(workload)}
    status: Object = {"observedGeneration": 1}
    if workload.kind == "DaemonSet":
        status |= {"currentNumberScheduled": replicas, "desiredNumberScheduled": replicas, "numberMisscheduled": 0}
        status |= {"updatedNumberScheduled": replicas, "numberReady": ready}
        status |= _present({"numberAvailable": ready, "numberUnavailable": replicas - ready})
    else:
        spec["replicas"] = replicas
        status |= _present({"replicas": replicas, "updatedReplicas": replicas, "readyReplicas": ready})
        status |= _present({"availableReplicas": ready})
    if workload.kind == "Deployment":
        status |= _present({"unavailableReplicas": replicas - ready})
        state = "True" if ready == replicas else "False"
        status["conditions"] = [{"type": "Available", "status": state}]
    if workload.kind == "StatefulSet":
        spec["serviceName"] = workload.name
    metadata: dict[str, Any] = {"name": workload.name, "namespace": workload.namespace, "labels": labels}
    return {"metadata": {**metadata, "generation": 1}, "spec": spec, "status": status}


def _present(numbers: Mapping[str, int]) -> dict[str, int]:
    """Return the numbers without zeros, as Kubernetes does."""
    return {name: number for name, number in numbers.items() if number}


def namespace(name: str) -> Object:
    """Return a namespace with the fields that the API server adds."""
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def namespaces(workloads: Sequence[Workload], others: Iterable[str] = ()) -> list[str]:
    """Return the namespaces of a cluster with these workloads and other namespaces."""
    given = {"default", "kube-node-lease", "kube-public", "kube-system"}
    return sorted(given | {it.namespace for it in workloads} | set(others))
