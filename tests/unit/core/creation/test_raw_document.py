# ruff: noqa: E501 - a table reads best with one line for each case
"""A raw ARM document becomes a request: what must be closed is closed and said, and what Azure made is left out."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from aks_entra.core.creation.raw_document import TYPE, Unusable, read
from tests.support.new_clusters import ADMINS, IDENTITY, KUBELET, SUBSCRIPTION, TENANT

SHOWN: dict[str, Any] = {
    "id": f"/subscriptions/{SUBSCRIPTION}/resourcegroups/shop-weu/providers/{TYPE}/shop-01",
    "name": "shop-01",
    "type": TYPE,
    "location": "westeurope",
    "eTag": "8f2c",
    "systemData": None,
    "sku": {"name": "Base", "tier": "Standard"},
    "tags": {"env": "prod"},
    "identity": {"type": "UserAssigned", "principalId": None, "userAssignedIdentities": {IDENTITY: {"clientId": "c"}}},
    "properties": {
        "provisioningState": "Succeeded",
        "powerState": {"code": "Running"},
        "currentKubernetesVersion": "1.34.1",
        "kubernetesVersion": "1.34",
        "fqdn": "shop-01-x.hcp.westeurope.azmk8s.io",
        "nodeResourceGroup": "MC_shop-weu_shop-01_westeurope",
        "servicePrincipalProfile": {"clientId": "msi"},
        "disableLocalAccounts": True,
        "enableRBAC": True,
        "aadProfile": {"managed": True, "enableAzureRBAC": True, "adminGroupObjectIDs": [ADMINS], "tenantID": TENANT},
        "agentPoolProfiles": [
            {"name": "system", "count": 3, "nodeImageVersion": "x", "powerState": {"code": "Running"}, "eTag": "1"},
            {"name": "zoned", "count": 1, "availabilityZones": ["1"], "nodeTaints": None},
        ],
        "networkProfile": {
            "networkPlugin": "azure",
            "serviceCidrs": ["10.0.0.0/16"],
            "loadBalancerProfile": {"managedOutboundIPs": {"count": 1}, "effectiveOutboundIPs": [{"id": "x"}]},
        },
        "oidcIssuerProfile": {"enabled": True, "issuerURL": "https://x/"},
        "identityProfile": {"kubeletidentity": {"resourceId": KUBELET, "clientId": "c", "objectId": "o"}},
        "windowsProfile": None,
    },
}


def changed(**properties: Any) -> dict[str, Any]:
    document = deepcopy(SHOWN)
    document["properties"] |= properties
    return document


def test_what_az_shows_becomes_a_request_without_what_azure_made() -> None:
    raw = read(SHOWN)
    assert (raw.subscription_id, raw.resource_group, raw.name) == (SUBSCRIPTION, "shop-weu", "shop-01")
    assert raw.admin_group_ids == (ADMINS,)
    assert raw.notes == ()
    assert raw.body == {
        "location": "westeurope",
        "sku": {"name": "Base", "tier": "Standard"},
        "tags": {"env": "prod"},
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}},
        "properties": {
            "kubernetesVersion": "1.34",
            "agentPoolProfiles": [
                {"availabilityZones": [], "name": "system", "count": 3},
                {"availabilityZones": ["1"], "name": "zoned", "count": 1},
            ],
            "networkProfile": {
                "networkPlugin": "azure",
                "loadBalancerProfile": {"managedOutboundIPs": {"count": 1}},
            },
            "oidcIssuerProfile": {"enabled": True},
            "identityProfile": {"kubeletidentity": {"resourceId": KUBELET}},
        },
    }


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"disableLocalAccounts": False}, "local accounts are turned off: the document leaves them on"),
        ({"aadProfile": None}, "Microsoft Entra ID is turned on: the document has no `aadProfile`"),
        ({"aadProfile": {"managed": True}}, "Azure RBAC is turned on: the document leaves it off"),
        ({"aadProfile": {"clientAppID": "c", "enableAzureRBAC": True}}, "replaces the legacy integration"),
        ({"enableRBAC": False}, "Kubernetes RBAC is turned on: the document turns it off"),
    ],
)
def test_what_is_closed_is_said(properties: dict[str, Any], said: str) -> None:
    (note,) = read(changed(**properties)).notes
    assert said in note


def test_a_template_may_contain_one_cluster_and_what_else_it_contains_is_said() -> None:
    window = {"type": f"{TYPE}/maintenanceConfigurations", "dependsOn": ["[resourceId('x')]"]}
    cluster = {key: SHOWN[key] for key in ("type", "name", "location", "properties")} | {"dependsOn": ["[x]"]}
    for resources in ([cluster, window], {"aks": cluster, "window": window}):
        raw = read({"resources": resources})
        assert raw.notes == (f"{TYPE}/maintenanceConfigurations of the template is not created",)
        assert (raw.subscription_id, raw.name) == ("", "shop-01")
        assert raw.body["identity"] == {"type": "SystemAssigned"}


def test_the_nodes_own_identity_is_left_out_and_a_chosen_node_group_is_kept() -> None:
    own = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/nodes/providers/Microsoft.ManagedIdentity/userAssignedIdentities/k"
    raw = read(changed(nodeResourceGroup="nodes", identityProfile={"kubeletidentity": {"resourceId": own}}))
    assert raw.body["properties"]["nodeResourceGroup"] == "nodes"
    assert "identityProfile" not in raw.body["properties"]
    bare = read(
        changed(identityProfile=None, networkProfile=None, oidcIssuerProfile=None, servicePrincipalProfile=None)
    )
    assert set(bare.body["properties"]) == {"kubernetesVersion", "agentPoolProfiles"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "it is not an object"),
        ({}, "it has no `properties`"),
        ({"type": "Microsoft.Compute/disks"}, "it describes a Microsoft.Compute/disks"),
        ({"resources": []}, "the template contains 0 clusters"),
        ({"resources": ["x", SHOWN, SHOWN]}, "the template contains 2 clusters"),
        ({**SHOWN, "location": "[parameters('where')]"}, "`location` is an expression of a template"),
        (changed(networkProfile={"a": ["x", "[variables('b')]"]}), "`properties.networkProfile.a[1]` is an expression"),
        (changed(aadProfile=["x"]), "`properties.aadProfile` is not an object"),
        (changed(agentPoolProfiles=["x"]), "`properties.agentPoolProfiles` is not a list of pools"),
        ({**SHOWN, "location": None}, "it has no `location`"),
        (changed(httpProxyConfig={"httpsProxy": "http://me:s3cr3t@proxy:8080"}), "`properties.httpProxyConfig.httpsProxy` contains a password"),
        (changed(servicePrincipalProfile={"secret": "s3cr3t"}), "`properties.servicePrincipalProfile.secret` contains a secret"),
    ],
)  # fmt: skip
def test_an_unusable_document_is_one_error_with_a_remedy_and_without_its_secret(document: object, said: str) -> None:
    with pytest.raises(Unusable) as unusable:
        read(document)
    assert said in str(unusable.value)
    assert unusable.value.remedy
    assert "s3cr3t" not in str(unusable.value)
