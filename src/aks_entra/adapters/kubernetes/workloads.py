"""Reads what a rotation affects in a cluster. Of secrets, only names are read.

The API server is asked for metadata alone (`PartialObjectMetadataList`), so no value of a secret leaves the cluster.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar

from aks_entra.adapters.http.readable import readable
from aks_entra.core.access.holders import SYSTEM_NAMESPACES
from aks_entra.core.preflight import Controller, Inside

Item: TypeAlias = Mapping[str, Any]
Pages: TypeAlias = Callable[[str], AsyncIterator[Item]]
"""Returns all items of the list at a path, such as `/api/v1/pods`."""

_T = TypeVar("_T")
_KUBECONFIG: Final = re.compile(r"kube-?config", re.IGNORECASE)
_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_RENEWED: Final = frozenset({"kube-root-ca.crt", "extension-apiserver-authentication"})
_UNREADABLE: Final = frozenset({403, 404})
_STOCK: Final = frozenset({"cluster-admin"})
_ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"
_OF_AKS: Final = ("aks-", "azure-")


async def look_inside(pages: Pages, names: Pages, ca: str = "") -> Inside:
    """Return what a rotation affects. A list that the prover may not read is None.

    Args:
        pages: lists whole objects.
        names: lists metadata alone.
        ca: fingerprint of the cluster's CA (SHA-256 of its DER, in hex), to find copies of it. Empty: do not look.
    """
    pods = await _readable(_all(pages("/api/v1/pods")))
    return Inside(
        controllers=await _readable(_controllers(pages)),
        budgets=await _readable(_budgets(pages)),
        bare_pods=None if pods is None else tuple(_label(pod) for pod in pods if _bare(pod)),
        node_local=await _node_local(pages, pods),
        webhooks=await _readable(_webhooks(pages)),
        pinned_ca=await _readable(_pinned_ca(pages, ca)) if ca else None,
        kubeconfigs=await _readable(_kubeconfigs(names)),
        static_tokens=await _readable(service_account_secrets(names)),
        masters=await _readable(_masters(pages)),
    )


async def _readable(reading: Awaitable[_T]) -> _T | None:
    return await readable(reading, _UNREADABLE)


async def _all(items: AsyncIterator[Item]) -> list[Item]:
    return [item async for item in items]


async def _controllers(pages: Pages) -> tuple[Controller, ...]:
    found = []
    for kind, plural in (("Deployment", "deployments"), ("StatefulSet", "statefulsets"), ("DaemonSet", "daemonsets")):
        items = [item async for item in pages(f"/apis/apps/v1/{plural}")]
        found += [_controller(kind, item) for item in items if _namespace(item) not in SYSTEM_NAMESPACES]
    return tuple(found)


def _controller(kind: str, item: Item) -> Controller:
    status = item.get("status") or {}
    if kind == "DaemonSet":
        desired, available = status.get("desiredNumberScheduled"), status.get("numberAvailable")
    else:
        replicas = (item.get("spec") or {}).get("replicas")
        desired, available = 1 if replicas is None else replicas, status.get("availableReplicas")
    return Controller(
        label=f"{kind} {_label(item)}",
        desired=int(desired or 0),
        available=int(available or 0),
        scalable=kind != "DaemonSet",
    )


async def _budgets(pages: Pages) -> tuple[str, ...]:
    found = []
    async for item in pages("/apis/policy/v1/poddisruptionbudgets"):
        status = item.get("status") or {}
        if status.get("expectedPods") and not status.get("disruptionsAllowed"):
            found.append(_label(item))
    return tuple(found)


async def _node_local(pages: Pages, pods: list[Item] | None) -> tuple[str, ...] | None:
    volumes = await _readable(_all(pages("/api/v1/persistentvolumes")))
    if pods is None or volumes is None:
        return None
    local = [f"volume {_label(one)}" for one in volumes if {"local", "hostPath"} & set(one.get("spec") or ())]
    return (*(dict.fromkeys(text for pod in pods for text in _local(pod))), *local)


def _local(pod: Item) -> list[str]:
    """Return a pod's volumes on its node's disk. An emptyDir in memory is not on it."""
    if _namespace(pod) in SYSTEM_NAMESPACES:
        return []
    found = []
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        empty = volume.get("emptyDir")
        if "hostPath" in volume:
            found.append(f"{_owner(pod)} hostPath {(volume['hostPath'] or {}).get('path')}")
        elif "emptyDir" in volume and (empty or {}).get("medium") != "Memory":
            size = (empty or {}).get("sizeLimit")
            found.append(f"{_owner(pod)} emptyDir{f' {size}' if size else ''}")
    return found


async def _webhooks(pages: Pages) -> tuple[str, ...]:
    found = []
    for plural in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"):
        async for item in pages(f"{_ADMISSION}/{plural}"):
            name = str((item.get("metadata") or {}).get("name") or "")
            pinned = any((hook.get("clientConfig") or {}).get("caBundle") for hook in item.get("webhooks") or ())
            if pinned and not name.startswith(_OF_AKS):
                found.append(name)
    return tuple(found)


async def _pinned_ca(pages: Pages, ca: str) -> tuple[str, ...]:
    """Return config maps with a copy of the cluster's CA, without those that Kubernetes itself renews."""
    found = []
    async for item in pages("/api/v1/configmaps"):
        name = str((item.get("metadata") or {}).get("name") or "")
        if (
            name not in _RENEWED
            and _namespace(item) not in SYSTEM_NAMESPACES
            and ca in _fingerprints(item.get("data") or {})
        ):
            found.append(_label(item))
    return tuple(found)


def _fingerprints(data: Mapping[str, Any]) -> set[str]:
    """Return the SHA-256 of the DER of every certificate in the values, in hex. Other text is ignored."""
    found = set()
    for block in (block for value in data.values() for block in _PEM.findall(str(value))):
        with suppress(ValueError):
            found.add(hashlib.sha256(base64.b64decode("".join(block.split()), validate=True)).hexdigest())
    return found


async def _kubeconfigs(names: Pages) -> tuple[str, ...]:
    secrets = [item async for item in names("/api/v1/secrets")]
    return tuple(_label(one) for one in secrets if _KUBECONFIG.search(_label(one)))


async def service_account_secrets(names: Pages) -> tuple[str, ...]:
    """Return the secrets with a token of a service account that does not expire. `names` lists metadata alone."""
    of_type = names("/api/v1/secrets?fieldSelector=type%3Dkubernetes.io%2Fservice-account-token")
    return tuple([_label(item) async for item in of_type])


async def _masters(pages: Pages) -> tuple[str, ...]:
    found = []
    async for item in pages("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"):
        name = str((item.get("metadata") or {}).get("name") or "")
        subjects = item.get("subjects") or ()
        if name not in _STOCK and any(
            (one.get("kind"), one.get("name")) == ("Group", "system:masters") for one in subjects
        ):
            found.append(name)
    return tuple(found)


def _bare(pod: Item) -> bool:
    owned = (pod.get("metadata") or {}).get("ownerReferences")
    over = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
    return not owned and not over and _namespace(pod) not in SYSTEM_NAMESPACES


def _owner(pod: Item) -> str:
    """Return the controller of a pod, such as `pay/ledger`, or the pod itself if it has none."""
    owners = (pod.get("metadata") or {}).get("ownerReferences") or ()
    name = str(owners[0].get("name") or "") if owners else ""
    if owners and owners[0].get("kind") == "ReplicaSet":
        name = name.rpartition("-")[0] or name
    return f"{_namespace(pod)}/{name}" if name else _label(pod)


def _namespace(item: Item) -> str:
    return str((item.get("metadata") or {}).get("namespace") or "")


def _label(item: Item) -> str:
    metadata = item.get("metadata") or {}
    return "/".join(part for part in (_namespace(item), str(metadata.get("name") or "")) if part)
