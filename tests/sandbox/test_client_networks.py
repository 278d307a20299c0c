"""Where a client is: private API servers answer only in their networks, and authorized IP ranges are enforced."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aks_entra.adapters.kubernetes.handshake import handshake
from aks_entra.errors import Refused, TryLater
from azure_sandbox.arm.containerservice.spec import ClusterSpec
from azure_sandbox.arm.network.client_networks import INTERNET, ClientNetwork, no_answer
from azure_sandbox.cli.control_client import NoSandbox, environment_of
from azure_sandbox.front.proxy import Target
from azure_sandbox.server import Sandbox
from azure_sandbox.world.model import WorldError
from tests.support.arm_client import ArmClient, cluster_id

WORLD = """\
version: 1
subscriptions:
  - name: s
    resourceGroups:
      - name: g
        virtualNetworks:
          - {name: north, addressPrefixes: [10.1.0.0/16], subnets: [{name: nodes, addressPrefix: 10.1.0.0/24}]}
          - {name: south, addressPrefixes: [10.2.0.0/16], subnets: [{name: nodes, addressPrefix: 10.2.0.0/24}]}
        clusters:
          - {name: northern, private: true, subnet: north/nodes}
          - {name: southern, private: true, subnet: south/nodes}
          - {name: alone, private: true}
          - {name: public}
          - {name: ranged, authorizedIpRanges: [198.51.100.0/24, 192.0.2.7/32]}
networks:
  - {name: north, virtualNetworks: [g/north], address: 198.51.100.20}
  - {name: hub, virtualNetworks: [g/north, G/SOUTH], address: 192.0.2.8}
"""


@pytest.fixture(name="world")
def a_world(tmp_path: Path) -> Path:
    world = tmp_path / "world.yaml"
    world.write_text(WORLD)
    return world


def hosts(sandbox: Sandbox) -> dict[str, str]:
    return {it.name: str(it.properties["fqdn"]) for it in sandbox.arm.state.clusters.values()}


async def test_an_api_server_answers_only_where_its_network_and_its_ranges_allow(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering: dict[str, list[str]] = {}
    said: dict[str, str] = {}
    async with Sandbox(world) as sandbox:
        for network in sandbox.networks:
            for name, value in sandbox.environment_in(network).items():
                monkeypatch.setenv(name, value)
            for cluster, fqdn in hosts(sandbox).items():
                try:
                    await handshake(fqdn, timeout=5)
                    answering.setdefault(network, []).append(cluster)
                except TryLater as error:
                    said[f"{cluster} from {network}"] = str(error)
    assert answering == {
        "": ["public"],
        "north": ["northern", "public", "ranged"],
        "hub": ["northern", "southern", "public"],
    }
    assert "the proxy cannot reach southern-" in said["southern from north"]
    assert "(HTTP 502)" in said["alone from hub"]
    assert "(HTTP 504)" in said["ranged from hub"]


async def test_arm_and_entra_answer_in_every_network(world: Path) -> None:
    async with Sandbox(world) as sandbox:
        for network in sandbox.networks:
            for host in ("management.azure.com", "login.microsoftonline.com", "graph.microsoft.com"):
                assert isinstance(sandbox.target(host, 443, network), Target)


async def test_a_network_that_the_world_does_not_have_is_refused(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(world) as sandbox:
        for name, value in sandbox.environment_in("north").items():
            monkeypatch.setenv(name, value.replace("//north:", "//nowhere:"))
        with pytest.raises(Refused) as refused:
            await handshake(hosts(sandbox)["public"], timeout=5)
        assert refused.value.code == "ProxyRefused"
        with pytest.raises(KeyError):
            sandbox.environment_in("nowhere")
        assert "//hub:network@127.0.0.1:" in (sandbox.greeting("/environment/hub") or "")
        assert sandbox.greeting("/environment/nowhere") is None


@pytest.mark.parametrize("sent", ["Basic //8=", "Basic *", "Bearer bm9ydGg6"])
async def test_a_credential_that_names_no_network_is_a_client_on_the_internet(
    world: Path, monkeypatch: pytest.MonkeyPatch, sent: str
) -> None:
    async with Sandbox(world) as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.proxy.port)
        head = f"CONNECT {hosts(sandbox)['northern']}:443 HTTP/1.1\r\nProxy-Authorization: {sent}\r\n\r\n"
        writer.write(head.encode())
        answer = (await reader.read()).decode()
        writer.close()
    assert answer.startswith("HTTP/1.1 502 Bad Gateway")
    assert "it is private, and its virtual network is not reached from outside of every network" in answer


async def test_ranges_that_a_client_writes_are_enforced_at_once() -> None:
    client = ArmClient(ClusterSpec(name="open"))
    properties: dict[str, Any] = client.arm.state.clusters[cluster_id("open").lower()].properties
    assert no_answer(INTERNET, properties) is None
    await client.finish(
        await client.change(
            "open", apiServerAccessProfile={"enablePrivateCluster": False, "authorizedIPRanges": ["192.0.2.0/24"]}
        )
    )
    properties = client.arm.state.clusters[cluster_id("open").lower()].properties
    assert no_answer(INTERNET, properties) == (
        504,
        "203.0.113.1 (outside of every network) is in none of its authorized IP ranges",
    )


def test_the_subnet_of_an_integrated_api_server_counts_too() -> None:
    network = ClientNetwork(name="hub", virtual_networks=frozenset({"/v/north"}))
    access = {"enablePrivateCluster": True, "subnetId": "/V/North/subnets/api"}
    assert no_answer(network, {"apiServerAccessProfile": access}) is None
    assert no_answer(network, {"apiServerAccessProfile": {**access, "subnetId": "/v/south/subnets/api"}}) is not None


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("[g/north],", "[g/west],", "network north: no resource group has the virtual network 'g/west'"),
        ("name: hub", "name: north", "two networks have the same name"),
        ("north/nodes}", "north/pods}", "cluster northern: no earlier `virtualNetworks` has 'north/pods'"),
    ],
)
def test_a_world_with_networks_that_contradict_each_other_is_refused(
    world: Path, before: str, after: str, words: str
) -> None:
    world.write_text(WORLD.replace(before, after))
    with pytest.raises(WorldError, match=words):
        Sandbox(world)


async def test_an_exported_world_has_the_same_networks(world: Path, tmp_path: Path) -> None:
    async with Sandbox(world) as sandbox:
        (tmp_path / "again.yaml").write_text(sandbox.export())
        assert Sandbox(tmp_path / "again.yaml").networks == sandbox.networks
        assert "//hub:network@" in await asyncio.to_thread(environment_of, sandbox.proxy.port, "hub")
        with pytest.raises(NoSandbox, match="no network nowhere"):
            await asyncio.to_thread(environment_of, sandbox.proxy.port, "nowhere")


def test_exec_puts_a_command_into_a_network_and_env_into_another(world: Path) -> None:
    sandbox = f"{sys.executable} -m azure_sandbox.cli"
    script = f'echo "$HTTPS_PROXY"; eval "$({sandbox} env --network hub)"; echo "$HTTPS_PROXY"'
    path = os.pathsep.join(it for it in sys.path if it)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "AZURE_SANDBOX_NETWORK": "north"}
    command = [*sandbox.split(), "exec", "--world", str(world), "--", "sh", "-c", script]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    north, hub = ran.stdout.split()
    assert north.startswith("http://north:network@127.0.0.1:")
    assert hub == north.replace("north", "hub")
    environment["AZURE_SANDBOX_NETWORK"] = "west"
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr == "aks-entra-sandbox: --network west: its networks are: north, hub\n"
