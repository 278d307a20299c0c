"""The node disruption policy and upgrade gates, which only a preview of ARM shows."""

from __future__ import annotations

from typing import Any

import pytest

from aks_entra.core.preflight import NodeDisruption
from azure_sandbox.front.http import Reply
from azure_sandbox.server import Sandbox
from tests.contract.small_world import SUBSCRIPTION, Opener, cluster


async def seen(opened: Opener) -> NodeDisruption | None:
    async with opened() as session:
        return await session.ports.arm.node_disruption(cluster("plain"))


def shown(**properties: Any) -> Reply:
    return Reply(200, {"properties": properties})


async def test_the_policy_is_read(opened: Opener, box: Sandbox) -> None:
    assert await seen(opened) == NodeDisruption()
    held = box.arm.state.cluster(SUBSCRIPTION, "shop-weu", "plain")
    held.properties["nodeDisruptionProfile"] = {"nodeDisruptionPolicy": "Block"}
    assert await seen(opened) == NodeDisruption(policy="Block")


async def test_gates_of_the_cluster_and_its_pools_are_named(opened: Opener, box: Sandbox) -> None:
    pools = [
        {"name": "a", "upgradeSettings": {"upgradeGateSettings": {"enabled": True}, "maxSurge": "10%"}},
        {"name": "b", "upgradeSettings": {"upgradeGateSettings": {"enabled": False}}},
        {"name": "c", "upgradeSettings": None},
    ]
    answer = shown(upgradeSettings={"gateSettings": {"enabled": True}}, agentPoolProfiles=pools)
    box.faults.add("GET", "/managedClusters/plain$", answer=answer)
    assert await seen(opened) == NodeDisruption(gated=("the cluster", "pool a"))


@pytest.mark.parametrize(
    "answer",
    [
        Reply(403, {"error": {"code": "AuthorizationFailed", "message": "no"}}),
        Reply(200, {}),
        shown(nodeDisruptionProfile="Block"),
        shown(agentPoolProfiles=[{"upgradeSettings": {}}]),
        shown(upgradeSettings={"gate": "on"}),
    ],
)
async def test_an_answer_that_cannot_be_read_is_unknown(opened: Opener, box: Sandbox, answer: Reply) -> None:
    box.faults.add("GET", "/managedClusters/plain$", answer=answer)
    assert await seen(opened) is None
