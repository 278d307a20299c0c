"""The properties that a PUT may carry, as the contract of the API names them (2026-08-01), and a few older ones.

What is not in here, and not in the resource already, is refused aloud: an ignored property would be a lie.
"""

from __future__ import annotations

from typing import Any

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
WITHIN: dict[str, frozenset[str]] = {  # profiles whose effect is here: a word in them that has none is refused
    "aadProfile": frozenset(
        {"managed", "enableAzureRBAC", "adminGroupObjectIDs", "adminUsers", "tenantID"}
        | {"clientAppID", "serverAppID", "serverAppSecret"}
    ),
    "apiServerAccessProfile": frozenset(
        {"authorizedIPRanges", "enablePrivateCluster", "privateDNSZone", "enablePrivateClusterPublicFQDN"}
        | {"disableRunCommand", "enableVnetIntegration", "subnetId"}
    ),
}


def check_around(sent: Document, held: Document) -> None:
    """Refuse what stands beside a cluster's properties and nobody knows."""
    if unknown := sorted(set(sent) - AROUND - set(held)):
        raise not_modelled(f"the property {', '.join(unknown)}")


def check(properties: Document, held: Document) -> None:
    """Refuse properties of a cluster, and of its pools, that nobody knows."""
    _check(properties, held, OF_CLUSTERS, "properties")
    for name, known in WITHIN.items():
        _check(properties.get(name) or {}, held.get(name) or {}, known, f"properties.{name}")
    pools = {it.get("name"): it for it in held.get("agentPoolProfiles") or ()}
    for pool in properties.get("agentPoolProfiles") or ():
        check_pool(pool, pools.get(pool.get("name")) or {})


def check_pool(pool: Document, held: Document) -> None:
    """Refuse properties of a pool that nobody knows."""
    _check(pool, held, OF_POOLS, "agentPoolProfiles")


def _check(sent: Document, held: Document, known: frozenset[str], where: str) -> None:
    unknown = sorted(key for key in sent if key not in known and key not in held)
    if unknown:
        raise not_modelled(f"the property {', '.join(f'{where}.{key}' for key in unknown)}")
