"""A cluster of a landing zone, created over HTTPS by a runner with the role of deployments/roles and nothing more."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from aks_entra.core.creation.new_cluster import NewCluster
from aks_entra.core.creation.preview import Course
from aks_entra.core.evidence.observations import ClusterCreated, Evidence
from aks_entra.core.target import AzureRbac, GroupTarget, Target
from aks_entra.core.verdict.verdict import Outcome, Verdict, judge_created
from aks_entra.errors import AksEntraError, Refused
from aks_entra.execution.creation_preview import preview
from aks_entra.fleet_file.cluster_body import new_cluster_of
from aks_entra.fleet_file.cluster_file import parse_cluster_file
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from azure_sandbox.front.http import Reply
from azure_sandbox.server import Sandbox
from tests.contract.small_world import ADMINS, SUBSCRIPTION, TENANT, UNLOCKED, Opener

ROLE = json.loads((Path(__file__).parents[2] / "deployments" / "roles" / "provision.json").read_text())
MINE = json.dumps({"name": ROLE["Name"], "actions": ROLE["Actions"], "dataActions": []})
WORLD = UNLOCKED.replace("{principal: operator, role: Owner}", f"{{principal: operator, role: {ROLE['Name']}}}")
MORE = f"""\
      - name: hub
        location: westeurope
        virtualNetworks:
          - {{name: spoke, addressPrefixes: [10.1.0.0/16], subnets: [{{name: nodes, addressPrefix: 10.1.0.0/26}}]}}
        clusters:
          - {{name: other, identity: managed, adminGroups: [aks-admins], auditLog: {{workspace: logs}}}}
networks:
  - {{name: spoke, virtualNetworks: [hub/spoke], address: 192.0.2.8}}
customRoles: [{MINE}]
"""
HUB = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/hub/providers"
FILE = f"""\
version: 1
kind: cluster
subscription: prod-eu
resource_group: pay-new
name: pay-01
location: westeurope
tags: {{env: prod}}
admin_groups: [{{name: aks-admins}}]
kubernetes_version: "1.34"
identity: {{control_plane: {HUB}/Microsoft.ManagedIdentity/userAssignedIdentities/aks}}
subnet_id: {HUB}/Microsoft.Network/virtualNetworks/spoke/subnets/nodes
network: {{service_cidr: 10.100.0.0/16}}
api_server:
  private: true
  private_dns_zone: {HUB}/Microsoft.Network/privateDnsZones/privatelink.westeurope.azmk8s.io
node_pools:
  - {{name: system, mode: System, vm_size: Standard_D4s_v5, count: 2}}
  - {{name: apps, vm_size: Standard_D4s_v5, min_count: 1, max_count: 5, labels: {{team: pay}}, max_surge: "1"}}
maintenance_windows: [{{name: aksManagedAutoUpgradeSchedule, day: sat, start_time: "02:00"}}]
diagnostic_settings: [{{workspace_id: {HUB}/Microsoft.OperationalInsights/workspaces/logs}}]
"""
BOX = pytest.mark.parametrize("box", [{"world": WORLD, "more": MORE}], indirect=True)


def asked(text: str = FILE) -> NewCluster:
    return new_cluster_of(parse_cluster_file(text, "cluster.yaml"), SUBSCRIPTION, TENANT, (ADMINS,))


def judged(new: NewCluster, evidence: tuple[Evidence, ...]) -> Verdict:
    target = Target(tenant_id=TENANT, admin_groups=(GroupTarget(display_name="", id=ADMINS),), azure_rbac=AzureRbac.ON)
    return judge_created(new.cluster, target, evidence)


@BOX
async def test_a_private_cluster_is_created_and_proven_in_its_network(
    opened: Opener, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = asked()
    for name, value in box.environment_in("spoke").items():
        monkeypatch.setenv(name, value)
    async with opened() as session:
        arm = session.ports.arm
        before = await preview(arm, new)
        assert (before.course, before.problems, len(before.missing)) == (Course.CREATE, (), 2)
        verdict = judged(new, await session.executor.provision(new, ()))
        assert verdict.outcome is Outcome.VERIFIED, verdict.because
        shown = await arm.document(new.cluster)
        pools = {one["name"]: one for one in shown["properties"]["agentPoolProfiles"]}
        assert pools["apps"]["availabilityZones"] == ["1", "2", "3"]
        assert shown["properties"]["disableLocalAccounts"] is True
        assert (await preview(arm, new)).course is Course.NOTHING
        window, setting = new.children
        assert [await arm.child(new.cluster, replace(one, name="none")) for one in new.children] == [None, None]
        longer = replace(window, properties={"maintenanceWindow": {"durationHours": 8}})
        other = asked(FILE.replace('"1.34"', '"1.35"').replace("name: apps", "name: more"))
        found = await preview(arm, replace(other, children=(longer, setting)))
        assert found.course is Course.REFUSE
        assert [one.partition(" asked")[0] for one in found.differences] == [
            "properties.kubernetesVersion:",
            "properties.agentPoolProfiles[more]:",
            "maintenance window aksManagedAutoUpgradeSchedule: maintenanceWindow.durationHours:",
        ]


@BOX
@pytest.mark.usefixtures("box")
async def test_outside_of_its_network_a_private_cluster_is_created_and_not_verified() -> None:
    new = asked()
    async with open_session(Settings(poll_interval=0.02, look_interval=0.02, verify_limit=0.001)) as session:
        verdict = judged(new, await session.executor.provision(new, ()))
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert verdict.because[0].startswith("proof needs a worker in the network: the private API server does not answer")
    assert "admin credentials refused by Azure" in verdict.because


@BOX
async def test_what_azure_would_refuse_is_found_before_the_first_write(opened: Opener, box: Sandbox) -> None:
    wrong = (
        FILE.replace('"1.34"', '"1.19"')
        .replace("10.100.0.0/16", "10.1.0.0/20")
        .replace("count: 2", "count: 60")
        .replace("subnets/nodes\nnetwork", "subnets/nods\nnetwork")
        .replace("location: westeurope", "location: westus")
    )
    async with opened() as session:
        found = await preview(session.ports.arm, asked(wrong))
        assert {one.field for one in found.blockers} == {
            "kubernetesVersion",
            "networkProfile.serviceCidr",
            "agentPoolProfiles[0].vnetSubnetID",
        }
        with pytest.raises(Refused, match=r"does not offer Kubernetes 1\.19"):
            await session.executor.provision(asked(wrong), ())
    assert "pay-new" not in box.arm.state.subscription(SUBSCRIPTION).groups


@BOX
async def test_a_subnet_with_too_few_addresses_and_a_node_group_that_exists_are_found(opened: Opener) -> None:
    crowded = FILE.replace("network: {", "network: {cni: flat, ").replace("tags:", "node_resource_group: hub\ntags:")
    async with opened() as session:
        found = await preview(session.ports.arm, asked(crowded))
    assert [one.message for one in found.blockers] == [
        "subnet nodes has 59 free addresses, and the nodes can take 279, nodes of an upgrade included",
        "resource group hub exists: AKS makes the node resource group itself",
    ]


@BOX
@pytest.mark.usefixtures("as_reader")
async def test_missing_rights_are_named_and_what_may_not_be_read_is_unknown(opened: Opener) -> None:
    async with opened() as session:
        found = await preview(session.ports.arm, asked(FILE.replace("tags:", "node_resource_group: nodes\ntags:")))
    lacking = [one.message for one in found.blockers]
    assert len(lacking) >= 6
    assert all(one.startswith("the runner lacks Microsoft.") for one in lacking), lacking
    unknown = " ".join(one.message for one in found.unknown)
    for what in ("the regions of the subscription", "virtual network spoke", "resource group nodes"):
        assert f"{what} could not be read" in unknown


@pytest.mark.parametrize(
    "document",
    [
        {"properties": {"subnets": [{"properties": {"addressPrefix": "x"}}]}},
        {"properties": {"subnets": ["x"]}},
        {"properties": {"subnets": "x"}},
    ],
)
@BOX
async def test_a_network_that_cannot_be_understood_is_unknown(
    opened: Opener, box: Sandbox, document: dict[str, object]
) -> None:
    box.faults.add("GET", "/virtualNetworks/spoke$", answer=Reply(200, document, {}))
    async with opened() as session:
        network = await session.ports.arm.network(f"{HUB}/Microsoft.Network/virtualNetworks/spoke")
        odd = {"value": [{"name": "westus", "availabilityZoneMappings": "x"}, {"name": "WestEurope"}]}
        box.faults.add("GET", f"/subscriptions/{SUBSCRIPTION}/locations$", answer=Reply(200, odd, {}))
        assert await session.ports.arm.regions(SUBSCRIPTION) == {"westus": (), "westeurope": ()}
    assert network is None


@BOX
async def test_what_died_between_the_cluster_and_its_windows_is_created_by_the_next_run(
    opened: Opener, box: Sandbox
) -> None:
    new = replace(asked(FILE.replace("private: true", "public_fqdn: false").replace("  private_dns_zone", "#")))
    lost = Reply(
        403, {"error": {"code": "AuthorizationFailed", "message": "The client does not have authorization."}}, {}
    )
    box.faults.add("PUT", "/diagnosticSettings/aks-entra-audit$", answer=lost)
    async with opened() as session:
        with pytest.raises(AksEntraError, match="create diagnostic setting aks-entra-audit"):
            await session.executor.provision(new, ())
        found = await preview(session.ports.arm, new)
        assert (found.course, [one.name for one in found.missing]) == (Course.COMPLETE, ["aks-entra-audit"])
        evidence = await session.executor.provision(new, ())
        assert [one.changed for one in evidence if isinstance(one, ClusterCreated)] == [False]
        assert (await preview(session.ports.arm, new)).course is Course.NOTHING
