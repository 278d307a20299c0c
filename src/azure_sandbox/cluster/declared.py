"""The objects that a world declares in a cluster besides workloads: budgets, webhooks, volumes, raw manifests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from azure_sandbox.cluster import admission
from azure_sandbox.cluster.budgets import BUDGETS
from azure_sandbox.cluster.resources import RESOURCES, Resource
from azure_sandbox.cluster.store import Key, Store

Object = Mapping[str, Any]
STORAGE: Key = ("storage.k8s.io", "storageclasses")
VOLUMES: Key = ("", "persistentvolumes")
CLAIMS: Key = ("", "persistentvolumeclaims")
CLASSES = ("default", "managed", "managed-csi", "managed-csi-premium", "azurefile-csi")


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSpec:
    """A PodDisruptionBudget for a workload's pods (label `app: <workload>`)."""

    name: str
    workload: str
    namespace: str = "default"
    min_available: int | str | None = None
    max_unavailable: int | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSpec:
    """An admission webhook. With `trusts_cluster`, its caBundle is the cluster's CA."""

    name: str
    kind: Literal["validating", "mutating"] = "validating"
    namespace: str = "default"
    groups: tuple[str, ...] = ("",)
    resources: tuple[str, ...] = ("pods",)
    failure_policy: Literal["Fail", "Ignore"] = "Fail"
    trusts_cluster: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSpec:
    """A persistent volume and its claim. With `host_path` instead of a disk, its data is lost with its node."""

    name: str
    namespace: str = "default"
    size: str = "8Gi"
    storage_class: str = "managed-csi"
    zone: str = ""
    host_path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The declared objects. `objects` are manifests of kinds that the sandbox's API server supports."""

    budgets: tuple[BudgetSpec, ...] = ()
    webhooks: tuple[WebhookSpec, ...] = ()
    volumes: tuple[VolumeSpec, ...] = ()
    objects: tuple[Object, ...] = field(default=())

    def namespaces(self) -> set[str]:
        """Return the namespaces of the objects."""
        named = {it.namespace for it in self.budgets} | {it.namespace for it in self.volumes}
        return named | {ns for it in self.objects if (ns := (it.get("metadata") or {}).get("namespace"))}

    def written(self) -> dict[str, Any]:
        """Return the objects as a world file declares them."""
        return {
            "disruptionBudgets": [_camel(it) for it in self.budgets],
            "webhooks": [_camel(it) for it in self.webhooks],
            "volumes": [_camel(it) for it in self.volumes],
            "objects": [dict(it) for it in self.objects],
        }

    def put(self, store: Store, authority_pem: bytes, when: dt.datetime) -> None:
        """Store the objects. Raises ValueError for an invalid manifest, which it names."""
        for name in CLASSES:
            store.put(STORAGE, _storage_class(name), when)
        for budget in self.budgets:
            store.put(BUDGETS, _budget(budget), when)
        for volume in self.volumes:
            for key, document in _volume(volume):
                store.put(key, document, when)
        for it in self.webhooks:
            admission.declare(
                store,
                it.name,
                authority_pem if it.trusts_cluster else b"",
                when,
                kind=it.kind,
                groups=it.groups,
                resources=it.resources,
                policy=it.failure_policy,
                namespace=it.namespace,
            )
        for manifest in self.objects:
            resource = resource_of(manifest)
            store.put(resource.key, {**manifest, "metadata": _metadata(manifest, resource)}, when)


def _camel(spec: BudgetSpec | WebhookSpec | VolumeSpec) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for name, value in asdict(spec).items():
        first, *rest = name.split("_")
        named[first + "".join(it.capitalize() for it in rest)] = list(value) if isinstance(value, tuple) else value
    return named


def resource_of(manifest: Object) -> Resource:
    """Return the resource type of a manifest. Raises ValueError for an unmodelled kind or a missing name."""
    kind, version = manifest.get("kind"), manifest.get("apiVersion")
    found = next((it for it in RESOURCES if (it.kind, it.api_version) == (kind, version)), None)
    if found is None:
        known = ", ".join(sorted(f"{it.api_version} {it.kind}" for it in RESOURCES))
        raise ValueError(f"objects: {version} {kind} is not modelled; there are {known}")
    metadata = manifest.get("metadata")
    if not isinstance(metadata, Mapping) or not metadata.get("name"):
        raise ValueError(f"objects: a {kind} without metadata.name")
    return found


def _metadata(manifest: Object, resource: Resource) -> dict[str, Any]:
    metadata = dict(manifest["metadata"])
    if resource.namespaced:
        metadata.setdefault("namespace", "default")
    return metadata


def _budget(it: BudgetSpec) -> dict[str, Any]:
    spec: dict[str, Any] = {"selector": {"matchLabels": {"app": it.workload}}}
    if it.max_unavailable is not None:
        spec["maxUnavailable"] = it.max_unavailable
    else:
        spec["minAvailable"] = 1 if it.min_available is None else it.min_available
    return {"metadata": {"name": it.name, "namespace": it.namespace, "generation": 1}, "spec": spec}


def _storage_class(name: str) -> dict[str, Any]:
    files = name.startswith("azurefile")
    metadata: dict[str, Any] = {"name": name}
    if name == "default":
        metadata["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
    return {
        "metadata": metadata,
        "provisioner": "file.csi.azure.com" if files else "disk.csi.azure.com",
        "parameters": {"skuName": "Premium_LRS" if name.endswith("premium") else "StandardSSD_LRS"},
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate" if files else "WaitForFirstConsumer",
        "allowVolumeExpansion": True,
    }


def _volume(it: VolumeSpec) -> list[tuple[Key, dict[str, Any]]]:
    name = f"pvc-{it.namespace}-{it.name}"
    spec: dict[str, Any] = {
        "capacity": {"storage": it.size},
        "accessModes": ["ReadWriteOnce"],
        "claimRef": {"kind": "PersistentVolumeClaim", "namespace": it.namespace, "name": it.name},
        "persistentVolumeReclaimPolicy": "Delete",
        "storageClassName": it.storage_class,
        "volumeMode": "Filesystem",
    }
    if it.host_path:
        spec["hostPath"] = {"path": it.host_path, "type": ""}
    else:
        driver = "file.csi.azure.com" if it.storage_class.startswith("azurefile") else "disk.csi.azure.com"
        spec["csi"] = {"driver": driver, "volumeHandle": name}
    if it.zone:
        term = {"key": "topology.disk.csi.azure.com/zone", "operator": "In", "values": [it.zone]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": it.size}},
        "storageClassName": it.storage_class,
        "volumeMode": "Filesystem",
        "volumeName": name,
    }
    bound = {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": it.size}}
    return [
        (VOLUMES, {"metadata": {"name": name}, "spec": spec, "status": {"phase": "Bound"}}),
        (CLAIMS, {"metadata": {"name": it.name, "namespace": it.namespace}, "spec": claim, "status": bound}),
    ]
