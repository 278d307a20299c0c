"""The ledger: each static credential that ARM handed out, and whether the API server accepts it now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from azure_sandbox.arm.containerservice.spec import ClusterSpec
from azure_sandbox.faults.operations import OperationFault, OperationFaults
from azure_sandbox.server import Sandbox
from tests.support.arm_client import ADMINS, LONG, TENANT, ArmClient, cluster_id

NODES = "/api/v1/nodes"
ENTRA = {"managed": True, "tenantID": TENANT, "adminGroupObjectIDs": [ADMINS]}


@pytest.fixture
def faults() -> OperationFaults:
    return OperationFaults()


@pytest.fixture
def client(faults: OperationFaults) -> ArmClient:
    plain = ClusterSpec(name="plain", nodes=1, identity="none")
    return ArmClient(
        plain, ClusterSpec(name="entra", nodes=1, identity="managed", admin_groups=(ADMINS,)), faults=faults
    )


def shown(client: ArmClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.arm.ledger.shown(client.arm.state, client.clock.now())["handedOut"]
    return found


def accepted(client: ArmClient) -> list[tuple[bool, bool]]:
    return [(one["clientCertificate"]["accepted"], one["staticToken"]["accepted"]) for one in shown(client)]


async def test_the_ledger_lists_every_way_to_a_static_credential_and_no_other(client: ArmClient) -> None:
    await client.kubeconfig("plain")
    await client.kubeconfig("plain", who="User")
    await client.send("POST", f"{cluster_id('plain')}/accessProfiles/clusterUser/listCredential")
    await client.kubeconfig("entra")
    await client.kubeconfig("entra", who="User")
    await client.send("POST", f"{cluster_id('entra')}/accessProfiles/clusterAdmin/listCredential")
    await client.finish(await client.change("entra", disableLocalAccounts=True))
    assert (await client.refused("POST", f"{cluster_id('entra')}/listClusterAdminCredential"))[0] == 400
    said = [(one["cluster"].rpartition("/")[2], one["through"]) for one in shown(client)]
    assert said == [
        ("plain", "listClusterAdminCredential"),
        ("plain", "listClusterUserCredential"),
        ("plain", "accessProfiles/listCredential"),
        ("entra", "listClusterAdminCredential"),
        ("entra", "accessProfiles/listCredential"),
    ]


async def test_the_ledger_agrees_with_the_api_server(client: ArmClient) -> None:
    certificate, token = await client.held("entra")
    assert accepted(client) == [(True, True)]
    await client.finish(await client.change("entra", disableLocalAccounts=True))
    assert accepted(client) == [(True, True)]
    assert (await client.kube("entra", "GET", NODES, token=token)).status == 200
    assert (await client.kube("entra", "GET", NODES, certificate=certificate)).status == 200
    await client.finish(await client.send("POST", f"{cluster_id('entra')}/rotateClusterCertificates"))
    assert accepted(client) == [(False, False)]
    assert (await client.kube("entra", "GET", NODES, token=token)).status == 401
    assert (await client.kube("entra", "GET", NODES, certificate=certificate)).status == 401
    assert [one["generation"] for one in shown(client)] == [0]


async def test_the_ledger_shows_a_token_that_survives_a_rotation(client: ArmClient, faults: OperationFaults) -> None:
    await client.held("entra")
    faults.add(OperationFault(kind="token-survives"))
    await client.finish(await client.send("POST", f"{cluster_id('entra')}/rotateClusterCertificates"))
    assert accepted(client) == [(False, True)]


async def test_a_recreated_cluster_accepts_no_earlier_credential(client: ArmClient) -> None:
    await client.held("entra")
    held = await client.get(cluster_id("entra"))
    await client.send("DELETE", cluster_id("entra"))
    client.clock.advance(LONG)
    assert accepted(client) == [(False, False)]
    pool = {"name": "nodepool1", "count": 1, "vmSize": "Standard_D2s_v5", "mode": "System"}
    properties = {"dnsPrefix": "entra", "agentPoolProfiles": [pool], "aadProfile": ENTRA}
    body = {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": properties}
    made = await client.send("PUT", cluster_id("entra"), body)
    await client.finish(made)
    await client.held("entra")
    assert accepted(client) == [(False, False), (True, True)]
    first, second = shown(client)
    assert first["cluster"] == second["cluster"]
    assert first["resourceUID"] == held["properties"]["resourceUID"] != second["resourceUID"]
    assert first["ca"] != second["ca"]


async def test_the_ledger_shows_fingerprints_and_no_secret(client: ArmClient) -> None:
    _, token = await client.held("entra")
    (entry,) = client.arm.ledger.all()
    assert token not in json.dumps(shown(client)) + repr(entry)
    assert "PRIVATE" not in json.dumps(shown(client)) + repr(entry)


async def test_the_ledger_survives_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with Sandbox(Path("demo"), state=folder, pace="instant") as first:
        (cluster,) = [it for it in first.arm.state.clusters.values() if it.name == "pay-01"]
        first.arm.ledger.hand_out(cluster, first.clock.now(), "listClusterAdminCredential")
        before = first.ledger()
    async with Sandbox(state=folder) as second:
        assert second.ledger() == before
        assert before["handedOut"][0]["staticToken"]["accepted"] is True
