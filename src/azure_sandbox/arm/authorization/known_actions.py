"""The actions that a role can name, from Microsoft's list of resource provider operations.

If a provider's actions are all listed here, a misspelt one is refused. Of the other providers only the namespace is
known.
"""

from __future__ import annotations

NAMESPACES: dict[str, bool] = {  # whether ACTIONS lists all actions of the provider
    "microsoft.authorization": True,
    "microsoft.compute": False,
    "microsoft.containerregistry": False,
    "microsoft.containerservice": True,
    "microsoft.features": False,
    "microsoft.insights": False,
    "microsoft.keyvault": False,
    "microsoft.kubernetes": False,
    "microsoft.managedidentity": False,
    "microsoft.network": False,
    "microsoft.operationalinsights": False,
    "microsoft.operationsmanagement": False,
    "microsoft.policyinsights": False,
    "microsoft.resourcegraph": False,
    "microsoft.resourcehealth": False,
    "microsoft.resources": False,
    "microsoft.storage": False,
    "microsoft.support": False,
}
_ALL = ("read", "write", "delete")


def _of(kind: str, *verbs: str) -> tuple[str, ...]:
    return tuple(f"{kind}/{it}" for it in verbs)


_AKS = "Microsoft.ContainerService"
_CLUSTER = f"{_AKS}/managedClusters"
_AUTHORIZATION = "Microsoft.Authorization"
ACTIONS: tuple[str, ...] = (
    *_of(_AKS, "operations/read", "register/action", "unregister/action"),
    *_of(
        f"{_AKS}/locations",
        *(f"{it}/read" for it in ("guardrailsVersions", "kubernetesVersions", "meshRevisionProfiles", "operations")),
        *(f"{it}/read" for it in ("operationresults", "orchestrators", "osOptions", "safeguardsVersions", "usages")),
    ),
    *_of(
        _CLUSTER,
        *_ALL,
        *(f"{it}/action" for it in ("abort", "listClusterAdminCredential", "listClusterMonitoringUserCredential")),
        *(f"{it}/action" for it in ("listClusterUserCredential", "privateEndpointConnectionsApproval", "runCommand")),
        *(f"{it}/action" for it in ("resetAADProfile", "resetServicePrincipalProfile", "rotateClusterCertificates")),
        *(f"{it}/action" for it in ("rotateServiceAccountSigningKeys", "start", "stop", "unpinManagedCluster")),
        *(f"{it}/read" for it in ("accessProfiles", "availableAgentPoolVersions", "commandResults", "detectors")),
        *(f"{it}/read" for it in ("diagnosticsState", "meshUpgradeProfiles", "privateLinkResources")),
        *(f"{it}/read" for it in ("outboundNetworkDependenciesEndpoints", "upgradeProfiles", "operations")),
        "accessProfiles/listCredential/action",
        "resolvePrivateLinkServiceId/action",
    ),
    *(
        action
        for kind in (
            "agentPools",
            "eventGridFilters",
            "extensionaddons",
            "jwtAuthenticators",
            "maintenanceConfigurations",
        )
        for action in _of(f"{_CLUSTER}/{kind}", *_ALL)
    ),
    *(
        action
        for kind in ("managedNamespaces", "privateEndpointConnections", "trustedAccessRoleBindings")
        for action in _of(f"{_CLUSTER}/{kind}", *_ALL)
    ),
    *_of(f"{_CLUSTER}/managedNamespaces", "listCredential/action"),
    *_of(
        f"{_CLUSTER}/agentPools",
        *("abort/action", "deleteMachines/action", "upgradeNodeImageVersion/write", "upgradeNodeImageVersion/action"),
        *("machines/read", "machines/write", "upgradeProfiles/read"),
    ),
    *(action for kind in ("snapshots", "managedclustersnapshots") for action in _of(f"{_AKS}/{kind}", *_ALL)),
    *_of(f"{_AKS}/fleets", *_ALL, "listCredentials/action"),
    *(
        action
        for kind in ("locks", "policyAssignments", "policyDefinitions", "policyExemptions", "policySetDefinitions")
        for action in _of(f"{_AUTHORIZATION}/{kind}", *_ALL)
    ),
    *_of(f"{_AUTHORIZATION}/policyAssignments", "exempt/action"),
    *(
        action
        for kind in ("roleAssignments", "roleDefinitions", "denyAssignments", "roleAssignmentScheduleRequests")
        for action in _of(f"{_AUTHORIZATION}/{kind}", *_ALL)
    ),
    *_of(
        _AUTHORIZATION,
        *(f"{it}/read" for it in ("classicAdministrators", "operations", "permissions", "providerOperations")),
        *(f"{it}/read" for it in ("roleAssignmentSchedules", "roleAssignmentScheduleInstances")),
        *(f"{it}/read" for it in ("roleEligibilitySchedules", "roleEligibilityScheduleInstances")),
        "elevateAccess/action",
    ),
)
