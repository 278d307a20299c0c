"""The properties that a PUT may carry, as the contract of the API names them (2026-08-01), and a few older ones.

What is not in here, and not in the resource already, is refused aloud: an ignored property would be a lie.
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
        "virtualMachineNodesStatus",
        "virtualMachinesProfile",
        "vmSize",
        "vnetSubnetID",
        "windowsProfile",
        "workloadRuntime",
    ]
)


AROUND = frozenset(
    {"id", "name", "type", "location", "tags", "properties", "sku", "identity", "kind", "systemData", "eTag"}
    | {"extendedLocation", "managedBy", "plan", "zones"}
)
WITHIN: Final[Document] = json.loads(files("azure_sandbox.arm").joinpath("properties.json").read_text("utf-8"))
"""What stands within each profile, down to the last word; `*` is any name, null a value that is not looked into."""

WITHIN["aadProfile"]["adminUsers"] = None  # of answers only, and sent back by those who change one word of them


def check_around(sent: Document, held: Document) -> None:
    """Refuse what stands beside a cluster's properties and nobody knows."""
    if unknown := sorted(set(sent) - AROUND - set(held)):
        raise not_modelled(f"the property {', '.join(unknown)}")


def check(properties: Document, held: Document) -> None:
    """Refuse properties of a cluster, and of its pools, that nobody knows."""
    _check(properties, held, OF_CLUSTERS, "properties")
    profiles = {name: value for name, value in properties.items() if name in WITHIN and name != "agentPoolProfiles"}
    _refuse(_unknown(profiles, held, WITHIN, "properties"))
    pools = {it.get("name"): it for it in held.get("agentPoolProfiles") or ()}
    for pool in properties.get("agentPoolProfiles") or ():
        check_pool(pool, pools.get(pool.get("name")) or {})


def check_pool(pool: Document, held: Document) -> None:
    """Refuse properties of a pool that nobody knows."""
    _check(pool, held, OF_POOLS, "agentPoolProfiles")
    known = WITHIN["agentPoolProfiles"]
    profiles = {name: value for name, value in pool.items() if name in known}
    _refuse(_unknown(profiles, held, known, "agentPoolProfiles"))


def _unknown(sent: Any, held: Any, known: Document | None, where: str) -> Iterator[str]:
    """The paths of what is sent, is not known, and is not in the resource already."""
    if known is None:
        return
    if isinstance(sent, list):
        for at, one in enumerate(sent):
            there = held[at] if isinstance(held, list) and at < len(held) else None
            yield from _unknown(one, there, known, f"{where}[{at}]")
    elif isinstance(sent, dict):
        stands = held if isinstance(held, dict) else {}
        for name, value in sent.items():
            if name in known or "*" in known:
                yield from _unknown(value, stands.get(name), known.get(name, known.get("*")), f"{where}.{name}")
            elif name not in stands:
                yield f"{where}.{name}"


def _refuse(unknown: Iterable[str]) -> None:
    if paths := sorted(unknown):
        raise not_modelled(f"the property {', '.join(paths)}")


def _check(sent: Document, held: Document, known: frozenset[str], where: str) -> None:
    _refuse(f"{where}.{key}" for key in sent if key not in known and key not in held)
