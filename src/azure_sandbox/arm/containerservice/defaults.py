"""The defaults that the service adds to clusters and pools, and which api-versions show them. Recorded up to 2026-09.

The service's defaults have grown over the years. What a cluster got is told by the Kubernetes release that it was
created with, as in the recordings: a cluster of 1.25 looks as the service of 2023 answered it.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from azure_sandbox.arm.containerservice.versions import number

Document = dict[str, Any]
Release = tuple[int, ...]
GROWN, OVERLAY, STRATEGIES, HOSTED, LEAN = (1, 28), (1, 30), (1, 32), (1, 33), (1, 35)  # since these it adds more
DOCKER = (1, 25)  # the release from which on the bridge of Docker is not shown
PLUGINS = ("azure-monitor-metrics-ccp", "karpenter", "live-patching-controller", "static-egress-controller")
LATER_PLUGINS = ("gpu-provisioner", "kubelet-serving-csr-approver")
NEWEST_PLUGINS = ("secure-tls-bootstrap",)
OVERLAY_PODS = 250
SKU = {"name": "Base", "tier": "Free"}


AUTOSCALER: Document = {
    "balance-similar-node-groups": "false",
    "daemonset-eviction-for-empty-nodes": False,
    "daemonset-eviction-for-occupied-nodes": True,
    "expander": "random",
    "ignore-daemonsets-utilization": False,
    "max-empty-bulk-delete": "10",
    "max-graceful-termination-sec": "600",
    "max-node-provision-time": "15m",
    "max-total-unready-percentage": "45",
    "new-pod-scale-up-delay": "0s",
    "ok-total-unready-count": "3",
    "scale-down-delay-after-add": "10m",
    "scale-down-delay-after-delete": "10s",
    "scale-down-delay-after-failure": "3m",
    "scale-down-unneeded-time": "10m",
    "scale-down-unready-time": "20m",
    "scale-down-utilization-threshold": "0.5",
    "scan-interval": "10s",
    "skip-nodes-with-local-storage": "false",
    "skip-nodes-with-system-pods": "true",
}
OF_DAEMONSETS = (
    *("daemonset-eviction-for-empty-nodes", "daemonset-eviction-for-occupied-nodes", "ignore-daemonsets-utilization"),
)


def release_of(version: str) -> Release:
    """Return the release of a Kubernetes version: (1, 33) for 1.33.5."""
    return number(version)[:2]


def fill_pool(pool: Document, release: Release) -> None:
    """Add the defaults of an agent pool that was created on a release of Kubernetes."""
    if release < GROWN:
        return
    for name in ("enableAutoScaling", "enableNodePublicIP"):
        pool.setdefault(name, False)
    later = release > GROWN
    if pool.get("mode") != "Gateway":
        sent = pool.get("upgradeSettings") or {}
        without = "maxUnavailable" in sent or (pool.get("mode") == "User" and OVERLAY <= release < STRATEGIES)
        surge = {} if without else {"maxSurge": "10%"}
        pool["upgradeSettings"] = surge | ({"maxUnavailable": "0"} if later else {}) | sent
    if later:
        pool.setdefault("scaleDownMode", "Delete")
    trusted = pool.get("osSKU") == "AzureContainerLinux"
    security = pool.get("securityProfile") or {}
    access = {"localuser": "LocalUser", "entraid": "EntraId", "disabled": "Disabled"}
    ssh = str(security.get("sshAccess") or "LocalUser")
    fixed = {"sshAccess": access.get(ssh.lower(), ssh)}
    pool["securityProfile"] = {"enableVTPM": trusted, "enableSecureBoot": trusted} | security | fixed
    if "upgradeSettingsBlueGreen" in pool:
        pool.setdefault("upgradeStrategy", "Rolling")


def network_of(release: Release) -> Document:
    """Return the defaults of `networkProfile` for a new cluster."""
    if release < OVERLAY:
        return {"networkPlugin": "kubenet"}
    return {"networkPlugin": "azure", "networkPluginMode": "overlay"}


def fill_network(network: Document, release: Release) -> None:
    """Add the defaults of a new cluster's `networkProfile` that depend on its other values."""
    if release < DOCKER and network["networkPlugin"] == "azure":
        network.setdefault("dockerBridgeCidr", "172.17.0.1/16")
        network.setdefault("networkDataplane", "azure")
    if (advanced := network.get("advancedNetworking") or {}).get("enabled"):
        security = {"enabled": True, "advancedNetworkPolicies": "FQDN"} | (advanced.get("security") or {})
        more = {"observability": {"enabled": True}, "performance": {"accelerationMode": "None"}}
        network["advancedNetworking"] = more | advanced | {"security": security}
    if network["outboundType"] == "managedNATGateway":
        gateway = {"managedOutboundIPProfile": {"count": 1}, "idleTimeoutInMinutes": 4}
        network["natGatewayProfile"] = gateway | (network.get("natGatewayProfile") or {})
        if release >= GROWN:
            network.setdefault("loadBalancerProfile", {"backendPoolType": "nodeIPConfiguration"})
    if network.get("networkDataplane") == "cilium":
        network.setdefault("networkPolicy", "cilium")
        network.setdefault("kubeProxyConfig", {})
    if release >= GROWN:
        network.setdefault("networkPolicy", "none")
    if release > GROWN:
        network.setdefault("podLinkLocalAccess", "IMDS")
        if network["networkPlugin"] == "azure":
            network.setdefault("networkDataplane", "azure")


def fill_autoscaler(properties: Document) -> None:
    """Add the settings of the autoscaler once a pool of the cluster scales by itself, as public documents show them."""
    if any(it.get("enableAutoScaling") for it in properties.get("agentPoolProfiles") or ()):
        properties["autoScalerProfile"] = AUTOSCALER | (properties.get("autoScalerProfile") or {})


def fill_cluster(properties: Document, release: Release, issuer: str) -> None:
    """Add the defaults of a cluster; `issuer` is the URL of its OIDC issuer, if that is enabled."""
    fill_autoscaler(properties)
    issuing = properties.get("oidcIssuerProfile") or {}
    if issuing.get("enabled"):
        properties["oidcIssuerProfile"] = issuing | {"issuerURL": issuer}
    if release < GROWN:
        return
    agent = (properties.get("addonProfiles") or {}).get("omsagent") or {}
    workspace = (agent.get("config") or {}).get("logAnalyticsWorkspaceResourceID")
    if agent.get("enabled") and workspace:
        insights = {"enabled": True, "logAnalyticsWorkspaceResourceId": workspace}
        properties["azureMonitorProfile"] = {"containerInsights": insights} | (
            properties.get("azureMonitorProfile") or {}
        )
    upgrades = properties.get("autoUpgradeProfile") or {}
    properties["autoUpgradeProfile"] = {"nodeOSUpgradeChannel": "NodeImage"} | upgrades
    properties.setdefault("metricsProfile", {"costAnalysis": {"enabled": False}})
    properties.setdefault("bootstrapProfile", {"artifactSource": "Direct"})
    if release < OVERLAY:
        properties.setdefault("nodeResourceGroupProfile", {"restrictionLevel": "Unrestricted"})
    pools = {"defaultNodePools": "Auto"} if OVERLAY < release < LEAN else {}
    properties["nodeProvisioningProfile"] = {"mode": "Manual", **pools} | (
        properties.get("nodeProvisioningProfile") or {}
    )
    later = (*(LATER_PLUGINS if release > (1, 31) else ()), *(NEWEST_PLUGINS if release >= HOSTED else ()))
    names = (*PLUGINS, *later)
    properties.setdefault("controlPlanePluginProfiles", {it: {"enableV2": True} for it in sorted(names)})
    if release >= HOSTED:
        properties.setdefault("hostedSystemProfile", {"enabled": False})
        properties.setdefault("enableFIPS", False)
        health = {"enableContinuousControlPlaneAndAddonMonitor": False, "enableOnDemandMonitor": False}
        properties.setdefault("healthMonitorProfile", health)


def asks_for_windows(wanted: Document, release: Release) -> bool:
    """Return whether the service adds `windowsProfile`: a client that creates a cluster names the plugin `azure`."""
    named = (wanted.get("networkProfile") or {}).get("networkPlugin") == "azure"
    return named and release >= GROWN and "fqdn" not in wanted  # a whole document, of an imported world, has its fqdn


def fill_automatic(properties: Document, tenant: str) -> None:
    """Add what a new AKS Automatic cluster has: Entra ID with Azure RBAC, no local accounts, its networks and add-ons.

    A PUT without `aadProfile` is accepted. A hosted system pool is not listed among the agent pools. Recorded in
    August 2025.
    """
    entra = {"managed": True, "adminGroupObjectIDs": None, "enableAzureRBAC": True, "tenantID": tenant}
    properties["aadProfile"] = entra | (properties.get("aadProfile") or {})
    properties["disableLocalAccounts"] = True
    network = {"networkPlugin": "azure", "networkPluginMode": "overlay", "networkDataplane": "cilium"}
    properties["networkProfile"] = network | (properties.get("networkProfile") or {})
    access = {"enablePrivateCluster": False, "enableVnetIntegration": True, "subnetId": ""}
    properties["apiServerAccessProfile"] = access | (properties.get("apiServerAccessProfile") or {})
    properties.setdefault("autoUpgradeProfile", {"upgradeChannel": "stable"})
    cleaner = {"imageCleaner": {"enabled": True, "intervalHours": 168}, "workloadIdentity": {"enabled": True}}
    properties["securityProfile"] = cleaner | (properties.get("securityProfile") or {})
    properties["oidcIssuerProfile"] = {"enabled": True}
    properties.setdefault("nodeResourceGroupProfile", {"restrictionLevel": "ReadOnly"})
    nginx = {"defaultIngressControllerType": "AnnotationControlled"}
    routing = {"enabled": True, "dnsZoneResourceIds": None, "identity": {}, "nginx": nginx}
    properties.setdefault("ingressProfile", {"webAppRouting": routing})
    scaling = {"enabled": True, "addonAutoscaling": "Unspecified"}
    properties["workloadAutoScalerProfile"] = {"keda": {"enabled": True}, "verticalPodAutoscaler": scaling} | (
        properties.get("workloadAutoScalerProfile") or {}
    )
    properties.setdefault("nodeProvisioningProfile", {"mode": "Auto"})
    secrets = {"enabled": True, "config": {"enableSecretRotation": "true"}}
    addons = {"azureKeyvaultSecretsProvider": secrets, "azurepolicy": {"enabled": True, "config": None}}
    properties["addonProfiles"] = addons | (properties.get("addonProfiles") or {})
    for pool in properties.get("agentPoolProfiles") or ():
        pool["nodeTaints"] = pool.get("nodeTaints") or ["CriticalAddonsOnly=true:NoSchedule"]
        pool["availabilityZones"] = pool.get("availabilityZones") or ["1", "2", "3"]


def _since(day: str, *, preview: str = "") -> Callable[[str, Release], bool]:
    first = preview or day
    return lambda version, _: version[:10] >= (first if version.endswith("-preview") else day)


def is_preview(version: str) -> bool:
    """Return whether an api-version is a preview."""
    return version.endswith("-preview")


def _preview(version: str, _: Release) -> bool:
    return is_preview(version)


def _measured(version: str, release: Release) -> bool:
    return version[:10] >= "2024-09-01" and (release > GROWN or version.endswith("-preview"))


SHOWN: dict[str, Callable[[str, Release], bool]] = {
    "autoUpgradeProfile.nodeOSUpgradeChannel": _since("2023-06-01"),
    "metricsProfile": _measured,
    "bootstrapProfile": _since("2025-01-01", preview="2024-01-01"),
    "nodeProvisioningProfile": _since("2025-01-01", preview="2024-01-01"),
    "hostedSystemProfile": _since("2026-01-01"),
    "controlPlanePluginProfiles": _since("9999", preview="2024-01-01"),
    "enableFIPS": _since("9999", preview="2026-01-01"),
    "healthMonitorProfile": _since("9999", preview="2026-01-01"),
    "supportPlan": _since("2023-06-01"),
    "ingressProfile": _since("2023-06-01"),
    "azureMonitorProfile.containerInsights": _preview,
    "networkProfile.networkPluginMode": _since("2023-06-01"),
    "networkProfile.networkDataplane": _since("2023-02-01"),
    "networkProfile.podLinkLocalAccess": _since("9999", preview="2024-01-01"),
    "networkProfile.kubeProxyConfig": _preview,
    "networkProfile.loadBalancerProfile.backendPoolType": lambda version, release: (
        _preview(version, release) or (_since("2023-06-01")(version, release) and release >= GROWN)
    ),
    **{f"autoScalerProfile.{it}": _since("2024-05-01", preview="2023-11-01") for it in OF_DAEMONSETS},
    "nodeResourceGroupProfile": _since("2025-01-01", preview="2022-08-01"),
    "securityProfile.imageCleaner": _since("2023-05-01", preview="2022-06-01"),
    "securityProfile.workloadIdentity": _since("2023-03-01", preview="2022-05-01"),
    "workloadAutoScalerProfile.verticalPodAutoscaler": _since("2023-05-01", preview="2022-09-01"),
    "workloadAutoScalerProfile.verticalPodAutoscaler.addonAutoscaling": _preview,
    "storageProfile.diskCSIDriver.version": _preview,
}
SHOWN_OF_POOLS: dict[str, Callable[[str, Release], bool]] = {
    "securityProfile": lambda version, release: (
        _since("2024-01-01")(version, release) and (_preview(version, release) or release > GROWN)
    ),
    "securityProfile.sshAccess": _since("2025-08-01", preview="2024-01-01"),
    "upgradeSettings.maxUnavailable": _since("2025-01-01"),
    "networkProfile": _since("2024-01-01", preview="2023-06-01"),
    "enableCustomCATrust": _preview,
    "upgradeStrategy": _preview,
    "upgradeSettingsBlueGreen": _preview,
    "nodeInitializationTaints": _preview,
}


def hide_values(shown: Document, version: str, release: Release) -> None:
    """Remove from properties that an answer shows the values that depend on another property that it does not show."""
    network = shown.get("networkProfile") or {}
    if not SHOWN["networkProfile.networkPluginMode"](version, release) and network.get("networkPlugin") == "azure":
        network.pop("podCidr", None)
        network.pop("podCidrs", None)
    if network.get("networkPolicy") == "none" and release == GROWN and not _preview(version, release):
        del network["networkPolicy"]


def keep_hidden(properties: Document, held: Document) -> None:
    """Keep, in what a PUT wrote, the properties inside profiles that the api-version of the writer does not show."""
    for path in SHOWN:
        *above, last = path.split(".")
        new, old = _inner(properties, above), _inner(held, above)
        if isinstance(new, dict) and isinstance(old, dict) and last in old:
            new.setdefault(last, deepcopy(old[last]))


def _inner(document: Document, steps: list[str]) -> Any:
    found: Any = document
    for step in steps:
        found = found.get(step) if isinstance(found, dict) else None
    return found


def shown(
    document: Document, rules: dict[str, Callable[[str, Release], bool]], version: str, release: Release
) -> Document:
    """Return a copy of properties without those that an api-version does not show; `rules` are keyed by dotted path."""
    answer = deepcopy(document)
    for path, visible in rules.items():
        *above, last = path.split(".")
        inner = _inner(answer, above)
        if isinstance(inner, dict) and last in inner and not visible(version, release):
            del inner[last]
    return answer
