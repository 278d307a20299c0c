"""What somebody put on the scale sets of a cluster is known before the rotation recreates them."""

from __future__ import annotations

import pytest

from aks_entra.core.preflight import ScaleSetAddition
from azure_sandbox.front.http import Reply
from azure_sandbox.server import Sandbox
from tests.contract.small_world import SUBSCRIPTION, Opener, cluster

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/app"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/pods"
ADDON = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/omsagent"


def extension(name: str, publisher: str) -> dict[str, object]:
    return {"name": name, "properties": {"publisher": publisher}}


def listed(**scale_set: object) -> Reply:
    return Reply(200, {"value": [{"name": "aks-a-1-vmss", **scale_set}]})


async def test_only_what_aks_did_not_put_there_is_an_addition(opened: Opener, box: Sandbox) -> None:
    held = box.arm.state.cluster(SUBSCRIPTION, "shop-weu", "plain")
    held.properties["addonProfiles"] = {"omsagent": {"enabled": True, "identity": {"resourceId": ADDON}}}
    async with opened() as session:
        arm, plain = session.ports.arm, cluster("plain")
        assert await arm.scale_set_additions(plain) == ()
        extensions = [
            extension("vmssCSE", "Microsoft.Azure.Extensions"),
            extension("AKSLinuxExtension", "Microsoft.AKS"),
            extension("AzureMonitorLinuxAgent", "Microsoft.Azure.Monitor"),
        ]
        answer = listed(
            identity={"userAssignedIdentities": {IDENTITY: {}, ADDON.lower(): {}}},
            properties={"virtualMachineProfile": {"extensionProfile": {"extensions": extensions}}},
            tags={"ENV": "prod", "poolName": "a", "aks-managed-x": "1", "cost": "12"},
        )
        box.faults.add("GET", "/virtualMachineScaleSets$", answer=answer)
        assert await arm.scale_set_additions(plain) == tuple(
            ScaleSetAddition(scale_set="aks-a-1-vmss", what=what)
            for what in ("identity pods", "extension AzureMonitorLinuxAgent", "tag cost")
        )


@pytest.mark.parametrize(
    "answer",
    [
        Reply(403, {"error": {"code": "AuthorizationFailed", "message": "no"}}),
        Reply(200, {"value": [{"tags": {"cost": "12"}}]}),
        listed(identity="none"),
        listed(properties={"virtualMachineProfile": {"extensionProfile": {"extensions": [{}]}}}),
    ],
)
async def test_scale_sets_that_cannot_be_read_are_unknown(opened: Opener, box: Sandbox, answer: Reply) -> None:
    async with opened() as session:
        box.faults.add("GET", "/virtualMachineScaleSets$", answer=answer)
        assert await session.ports.arm.scale_set_additions(cluster("plain")) is None
