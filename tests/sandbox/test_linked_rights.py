"""ARM asks for rights on what the body of a PUT names: user-assigned identities and subnets."""

from __future__ import annotations

from typing import Any

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec
from tests.support.arm_client import ADMINS, GROUP, OUTSIDER, SCOPE, ArmClient, cluster_id

CLUSTER = cluster_id("shop-01")
IDENTITY = f"{SCOPE}/resourceGroups/net/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shop"
NETWORK = f"{SCOPE}/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/hub"


@pytest.fixture(name="client")
def a_client() -> ArmClient:
    client = ArmClient(ClusterSpec(name="shop-01", identity="managed", admin_groups=(ADMINS,)))
    client.arm.assign(GROUP, OUTSIDER, "Contributor")
    return client


def naming(document: dict[str, Any], **names: str) -> dict[str, Any]:
    """Return the document with an identity, and with subnets of its first pool and its API server."""
    pool = document["properties"]["agentPoolProfiles"][0]
    pool |= {key: names[key] for key in ("vnetSubnetID", "podSubnetID") if key in names}
    if "subnetId" in names:
        document["properties"]["apiServerAccessProfile"] = {"subnetId": names["subnetId"]}
    if "identity" in names:
        document["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {names["identity"]: {}}}
    return document


@pytest.mark.parametrize(
    ("names", "action", "scopes"),
    [
        ({"identity": IDENTITY}, "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", IDENTITY),
        (
            {"vnetSubnetID": f"{NETWORK}/subnets/nodes", "podSubnetID": f"{NETWORK}/subnets/pods"},
            "Microsoft.Network/virtualNetworks/subnets/join/action",
            f"{NETWORK}/subnets/nodes,{NETWORK}/subnets/pods",
        ),
        (
            {"subnetId": f"{NETWORK}/subnets/api"},
            "Microsoft.Network/virtualNetworks/subnets/join/action",
            f"{NETWORK}/subnets/api",
        ),
    ],
)
async def test_a_put_that_names_a_resource_needs_the_right_on_it(
    client: ArmClient, names: dict[str, str], action: str, scopes: str
) -> None:
    sent = naming(await client.get(CLUSTER), **names)
    client.caller = client.outsider
    status, code, text = await client.refused("PUT", CLUSTER, sent)
    assert (status, code) == (403, "LinkedAuthorizationFailed")
    assert text.endswith(
        f"with object id '{OUTSIDER}' has permission to perform action "
        f"'Microsoft.ContainerService/managedClusters/write' on scope '{CLUSTER}'; however, it does not have "
        f"permission to perform action '{action}' on the linked scope(s) '{scopes}' or the linked scope(s) are invalid."
    )
    for scope in scopes.split(","):
        client.arm.assign(scope, OUTSIDER, "Contributor")
    reply = await client.send("PUT", CLUSTER, sent)
    assert "LinkedAuthorizationFailed" not in str(reply.body), "a subnet that is not there is refused after this check"


async def test_a_put_of_a_pool_needs_the_right_on_its_subnet(client: ArmClient) -> None:
    client.caller = client.outsider
    sent = {"properties": {"count": 1, "vmSize": "Standard_D4s_v5", "vnetSubnetID": f"{NETWORK}/subnets/nodes"}}
    assert (await client.refused("PUT", f"{CLUSTER}/agentPools/more", sent))[1] == "LinkedAuthorizationFailed"
    client.arm.assign(NETWORK, OUTSIDER, "Contributor")
    assert (await client.refused("PUT", f"{CLUSTER}/agentPools/more", sent))[1] == "SubnetNotFound"
