"""The properties that a PUT may contain: those of the API's contract (2026-08-01) and a few older ones.

A property that is neither listed here nor in the resource is refused with 501. To ignore it would be a lie.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Any, Final

from azure_sandbox.arm.errors import not_modelled

Document = dict[str, Any]
OF_CLUSTERS = frozenset(
    [
        "aadProfile",
        "addonProfiles",
        "agentPoolProfiles",
        "aiToolchainOperatorProfile",
        "apiServerAccessProfile",
        "autoScalerProfile",
        "autoUpgradeProfile",
        "azureMonitorProfile",
        "azurePortalFQDN",
        "bootstrapProfile",
        "controlPlanePluginProfiles",
        "creationData",
        "currentKubernetesVersion",
        "disableLocalAccounts",
        "diskEncryptionSetID",
        "dnsPrefix",
        "enableFIPS",
        "enableNamespaceResources",
        "enablePodSecurityPolicy",
        "enableRBAC",
        "fqdn",
        "fqdnSubdomain",
        "guardrailsProfile",
        "healthMonitorProfile",
        "hostedSystemProfile",
        "httpProxyConfig",
        "identityProfile",
        "ingressProfile",
        "kubernetesVersion",
        "linuxProfile",
        "maxAgentPools",
        "metricsProfile",
        "networkProfile",
        "nodeProvisioningProfile",
        "nodeResourceGroup",
        "nodeResourceGroupProfile",
        "oidcIssuerProfile",
        "podIdentityProfile",
        "powerState",
        "privateFQDN",
        "privateLinkResources",
        "provisioningState",
        "publicNetworkAccess",
        "resourceUID",
        "schedulerProfile",
        "securityProfile",
        "serviceMeshProfile",
        "servicePrincipalProfile",
        "status",
        "storageProfile",
        "supportPlan",
        "upgradeSettings",
        "windowsProfile",
        "workloadAutoScalerProfile",
    ]
)
OF_POOLS = frozenset(
    [
        "artifactStreamingProfile",
        "availabilityZones",
        "capacityReservationGroupID",
        "count",
        "creationData",
        "currentOrchestratorVersion",
        "eTag",
        "enableAutoScaling",
        "enableCustomCATrust",
        "enableEncryptionAtHost",
        "enableFIPS",
        "enableNodePublicIP",
        "enableUltraSSD",
        "etag",
        "gatewayProfile",
        "gpuInstanceProfile",
        "gpuProfile",
        "hostGroupID",
        "kubeletConfig",
        "kubeletDiskType",
        "linuxOSConfig",
        "localDNSProfile",
        "maxCount",
        "maxPods",
        "messageOfTheDay",
        "minCount",
        "mode",
        "name",
        "networkProfile",
        "nodeImageVersion",
        "nodeInitializationTaints",
        "nodeLabels",
        "nodePublicIPPrefixID",
        "nodeTaints",
        "orchestratorVersion",
        "osDiskSizeGB",
        "osDiskType",
        "osSKU",
        "osType",
        "podIPAllocationMode",
        "podSubnetID",
        "powerState",
        "provisioningState",
        "proximityPlacementGroupID",
        "scaleDownMode",
        "scaleSetEvictionPolicy",
        "scaleSetPriority",
        "securityProfile",
        "spotMaxPrice",
        "status",
        "tags",
        "type",
        "upgradeSettings",
        "upgradeSettingsBlueGreen",
        "upgradeStrategy",
        "virtualMachineNodesStatus",
        "virtualMachinesProfile",
        "vmSize",
        "vnetSubnetID",
        "windowsProfile",
        "workloadRuntime",
    ]
)


TOP_LEVEL = frozenset(
    {"id", "name", "type", "location", "tags", "properties", "sku", "identity", "kind", "systemData", "eTag"}
    | {"extendedLocation", "managedBy", "plan", "zones"}
)
WITHIN: Final[Document] = json.loads(
    files("azure_sandbox.arm.containerservice").joinpath("properties.json").read_text("utf-8")
)
"""The properties inside each profile, at any depth. `*` is any name; null is a value that is not checked further."""

WITHIN["aadProfile"]["adminUsers"] = None  # read-only, but clients send back the answer that they read


OF_PREVIEWS = frozenset(
    {
        "properties.storageProfile.diskCSIDriver.version",
        "properties.workloadAutoScalerProfile.verticalPodAutoscaler.addonAutoscaling",
    }
)
"""Properties inside profiles that only preview api-versions have. Clients that read them send them back."""


def check_top_level(sent: Document, held: Document) -> None:
    """Raise 501 for a property outside of `properties` that is neither known nor in the resource."""
    if unknown := sorted(set(sent) - TOP_LEVEL - set(held)):
        raise not_modelled(f"the property {', '.join(unknown)}")


def check(properties: Document, held: Document) -> None:
    """Raise 501 for a property of a cluster or its pools that is neither known nor in the resource."""
    _check(properties, held, OF_CLUSTERS, "properties")
    profiles = {name: value for name, value in properties.items() if name in WITHIN and name != "agentPoolProfiles"}
    _refuse(_unknown(profiles, held, WITHIN, "properties"))
    pools = {it.get("name"): it for it in held.get("agentPoolProfiles") or ()}
    for pool in properties.get("agentPoolProfiles") or ():
        check_pool(pool, pools.get(pool.get("name")) or {})


def check_pool(pool: Document, held: Document) -> None:
    """Raise 501 for a property of a pool that is neither known nor in the resource."""
    _check(pool, held, OF_POOLS, "agentPoolProfiles")
    known = WITHIN["agentPoolProfiles"]
    profiles = {name: value for name, value in pool.items() if name in known}
    _refuse(_unknown(profiles, held, known, "agentPoolProfiles"))


def _unknown(sent: Any, held: Any, known: Document | None, where: str) -> Iterator[str]:
    """Yield the paths of properties that are sent, but neither known nor in the resource."""
    if known is None:
        return
    if isinstance(sent, list):
        for at, one in enumerate(sent):
            there = held[at] if isinstance(held, list) and at < len(held) else None
            yield from _unknown(one, there, known, f"{where}[{at}]")
    elif isinstance(sent, dict):
        before = held if isinstance(held, dict) else {}
        for name, value in sent.items():
            if name in known or "*" in known:
                yield from _unknown(value, before.get(name), known.get(name, known.get("*")), f"{where}.{name}")
            elif name not in before and f"{where}.{name}" not in OF_PREVIEWS:
                yield f"{where}.{name}"


def _refuse(unknown: Iterable[str]) -> None:
    if paths := sorted(unknown):
        raise not_modelled(f"the property {', '.join(paths)}")


def _check(sent: Document, held: Document, known: frozenset[str], where: str) -> None:
    _refuse(f"{where}.{key}" for key in sent if key not in known and key not in held)
