"""A cluster with an identity and a subnet of its own: the rights on them are asked for before the first write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aks_entra.core.cluster import LinkedRight
from aks_entra.core.steps import Guarded
from aks_entra.errors import Refused
from azure_sandbox.front.http import Reply
from azure_sandbox.server import Sandbox
from tests.contract.small_world import SUBSCRIPTION, UNLOCKED, Opener, cluster

NETWORK = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/net/providers"
IDENTITY = f"{NETWORK}/Microsoft.ManagedIdentity/userAssignedIdentities/shop"
SUBNET = f"{NETWORK}/Microsoft.Network/virtualNetworks/hub/subnets/nodes"
ASSIGN = LinkedRight(action="Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", scope=IDENTITY)
JOIN = LinkedRight(action="Microsoft.Network/virtualNetworks/subnets/join/action", scope=SUBNET)
MINE = json.loads((Path(__file__).parents[2] / "deployments" / "roles" / "migrate.json").read_text())
ROLE = f"customRoles: [{json.dumps({'name': MINE['Name'], 'actions': MINE['Actions'], 'dataActions': []})}]\n"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop-weu"
BOX = pytest.mark.parametrize(
    "box",
    [{"world": UNLOCKED.replace("      - {principal: operator, role: Owner}\n", ""), "more": ROLE}],
    indirect=True,
)


def own(box: Sandbox) -> None:
    """Give a cluster an identity and a subnet outside of its resource group."""
    found = box.arm.state.cluster(SUBSCRIPTION, "shop-weu", "plain")
    found.document["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}
    found.pools[0]["vnetSubnetID"] = SUBNET
    found.pools[0]["podSubnetID"] = SUBNET.upper()


@BOX
async def test_a_right_on_an_identity_or_subnet_is_known_before_the_write(opened: Opener, box: Sandbox) -> None:
    own(box)
    async with opened() as session:
        arm, runner = session.ports.arm, (await session.ports.callers.runner()).object_id
        box.arm.assign(GROUP, runner, MINE["Name"])
        posture = await arm.cluster(cluster("plain"))
        assert posture.linked == (ASSIGN, JOIN)
        expected = Guarded.of(posture)
        assert [await arm.may(right.scope, right.action) for right in posture.linked] == [False, False]
        with pytest.raises(Refused, match=f"lacks {ASSIGN}") as refused:
            await arm.set_local_accounts(posture.cluster, expected, enabled=True, tags=(("a", "b"),))
        assert (refused.value.code, IDENTITY in refused.value.remedy) == ("LinkedAuthorizationFailed", True)
        box.arm.assign(IDENTITY, runner, MINE["Name"])
        box.arm.assign(SUBNET, runner, MINE["Name"])
        assert [await arm.may(right.scope, right.action) for right in posture.linked] == [True, True]
        await arm.set_local_accounts(posture.cluster, expected, enabled=True, tags=(("a", "b"),))


@BOX
@pytest.mark.parametrize(
    "answer", [Reply(403, {"error": {"code": "AuthorizationFailed"}}), Reply(200, {"value": [{}]})]
)
async def test_rights_that_cannot_be_read_are_unknown(opened: Opener, box: Sandbox, answer: Reply) -> None:
    async with opened() as session:
        box.faults.add("GET", "/permissions$", answer=answer)
        assert await session.ports.arm.may(IDENTITY, ASSIGN.action) is None
