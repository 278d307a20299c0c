"""What preflight needs to know is read once, and is unknown where it cannot be read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from aks_entra.core.cluster import LinkedRight, Pool
from aks_entra.core.doctor import Tool
from aks_entra.core.planning.fleet import ONE_STAGE, GroupSpec, StageSpec
from aks_entra.core.planning.gates import Gate
from aks_entra.core.preflight import Endpoint, Home
from aks_entra.core.target import AzureRbac, LocalAccounts, RotationPolicy
from aks_entra.errors import Refused
from tests.support.memory_fleets import GROUPED, fleet_world, planned
from tests.support.memory_model import ADMINS, PROVER
from tests.support.memory_ports import World

SUBNET = "/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/nodes"
SERVER = Endpoint(variable="PREFECT_API_URL", host="prefect.contoso.com", addresses=("20.9.9.9",))


async def test_facts_that_cannot_be_read_are_unknown() -> None:
    world = fleet_world(1)
    world.missing_permissions = None
    world.locks = world.denials = world.policies = world.windows = world.writers = world.versions = (
        world.memberships
    ) = world.policy_evaluations = world.scale_set_additions = world.node_disruption = None
    world.faults["kubernetes.inside"] = [Refused("no right", status=403)]
    world.faults["directory.group"] = [Refused("no right", status=403)] * 2
    plan = await planned(world)
    assert [finding.rule for finding in plan.clusters[0].findings] == [
        "U111",  # an unknown way back refuses the cluster, until a person accepts it
        "U112",
        "U121",
        "U126",
        "W103",
        "U108",
        "U109",
        "U117",
        "U119",
        "U120",
        "U122",
        "U130",
        "U130",
        "U131",
        "U132",
        "U136",
        "U140",
        "U141",
        "U142",
        "U143",
    ]


async def test_a_right_on_a_shared_subnet_is_asked_for_once_and_its_grant_is_printed() -> None:
    world = fleet_world(2)
    right = LinkedRight(action="Microsoft.Network/virtualNetworks/subnets/join/action", scope=SUBNET)
    for cluster in world.clusters.values():
        cluster.linked = (right,)
    assert (await planned(world)).clusters[0].blockers == ()
    world.linked[SUBNET] = False
    world.calls.clear()
    plan = await planned(world)
    assert world.calls.count("arm.may") == 1
    for one in plan.clusters:
        (finding,) = one.blockers
        assert (finding.rule, SUBNET in finding.message) == ("B011", True)
        assert f'--assignee {PROVER} --role "aks-entra migrate" --scope {SUBNET}' in finding.remedy


@pytest.mark.parametrize(
    ("rbac", "wanted", "asked"),
    [(True, AzureRbac.KEEP, 1), (False, AzureRbac.KEEP, 0), (True, AzureRbac.OFF, 0), (False, AzureRbac.ON, 1)],
)
async def test_the_role_is_asked_for_where_it_will_count(asked: int, wanted: AzureRbac, *, rbac: bool) -> None:
    world = fleet_world(1)
    (cluster,) = world.clusters.values()
    cluster.azure_rbac = rbac
    cluster.roles = {PROVER}
    world.groups[ADMINS].members = {"dana"}
    plan = await planned(world, replace(GROUPED, azure_rbac=wanted))
    assert world.calls.count("arm.is_cluster_admin") == asked
    assert (plan.clusters[0].disposition == "migrate") is bool(asked)


async def test_what_clusters_share_is_read_once_and_a_rotation_asks_for_more() -> None:
    world = fleet_world(3)
    for cluster in world.clusters.values():
        cluster.pools = (Pool(name="a", count=1, subnet_id=SUBNET), Pool(name="b", count=1, subnet_id=SUBNET.upper()))
    await planned(world)
    calls = Counter(world.calls)
    shared = (
        "arm.supported_versions",
        "arm.subnet",
        "host.home",
        "host.tools",
        "directory.memberships",
    )
    assert {calls[name] for name in shared} == {1}
    each = ("arm.policies", "arm.writers", "arm.maintenance_windows", "kubernetes.inside", "arm.locks")
    assert {calls[name] for name in each} == {3}
    assert calls["arm.published_addresses"] == 0  # nothing that this process depends on is elsewhere

    world.calls.clear()
    later = replace(GROUPED, rotation=RotationPolicy.LATER)
    await planned(world, later)
    assert not {"arm.maintenance_windows", "arm.subnet", "kubernetes.inside", "host.home"} & set(world.calls)
    world.calls.clear()
    await planned(world, replace(GROUPED, local_accounts=LocalAccounts.KEEP))
    assert "arm.policies" not in world.calls


async def test_a_server_on_the_cluster_is_found_by_its_address() -> None:
    for addresses, published, rule in (
        (("20.1.2.3",), (), "B016"),  # the API server's own
        (("20.9.9.9",), ("20.9.9.9",), "B016"),
        (("20.9.9.9",), (), ""),
        (("20.9.9.9",), None, "U116"),
    ):
        world = fleet_world(1)
        world.home = Home(endpoints=(replace(SERVER, addresses=addresses),))
        world.published = published
        found = {finding.rule for finding in (await planned(world)).clusters[0].findings}
        assert found & {"B016", "U116"} == ({rule} if rule else set())


async def test_a_cluster_without_an_address_answers_under_what_it_publishes() -> None:
    world = fleet_world(1)
    world.home = Home(endpoints=(SERVER,))
    (cluster,) = world.clusters.values()
    cluster.fqdn = None
    assert "B016" not in {finding.rule for finding in (await planned(world)).clusters[0].findings}


async def test_a_machine_that_cannot_be_read_is_unknown() -> None:
    world = fleet_world(1)
    world.faults |= {"host.home": [Refused("no right")], "host.tools": [Refused("no right")]}
    assert {"U116", "U118"} <= {finding.rule for finding in (await planned(world)).clusters[0].findings}


@pytest.mark.parametrize(
    ("tool", "rules"),
    [
        (Tool(name="kubectl", path="/usr/bin/kubectl", version="v1.34.1"), set()),
        (Tool(name="kubectl", path="/usr/bin/kubectl", version="v1.20.0"), {"W118"}),
        (Tool(name="kubectl", path="/usr/bin/kubectl"), set()),
        (Tool(name="kubectl"), {"I118"}),
    ],
    ids=["installed", "old", "says-no-version", "missing"],
)
async def test_tools_of_this_machine(tool: Tool, rules: set[str]) -> None:
    world = fleet_world(1)
    world.tools["kubectl"] = tool
    assert {finding.rule for finding in (await planned(world)).clusters[0].findings} & {"I118", "U118", "W118"} == rules


async def test_a_subnet_that_cannot_be_read_is_unknown() -> None:
    world = fleet_world(1)
    (cluster,) = world.clusters.values()
    cluster.pools = (Pool(name="a", count=1, subnet_id=SUBNET),)
    world.faults["arm.subnet"] = [Refused("no right", status=403)]
    assert "U130" in {finding.rule for finding in (await planned(world)).clusters[0].findings}


async def test_before_entra_is_on_nobody_looks_inside() -> None:
    world = World()
    world.add("shop-01")
    finding = next(one for one in (await planned(world)).clusters[0].findings if one.rule == "U140")
    assert "Microsoft Entra ID is not on yet" in finding.message
    assert "kubernetes.inside" not in world.calls


WAITING = StageSpec(
    name="all", groups=(GroupSpec(name="all", rest=True),), gate_before=Gate(approval=True, maintenance_window=True)
)


@pytest.mark.parametrize(
    ("count", "stages", "reads", "why"),
    [
        (50, ONE_STAGE, 50, ""),
        (51, ONE_STAGE, 0, "the plan has more than 50 clusters"),
        (1, (WAITING,), 0, "the gate before the stage reads them, and waits for them"),
    ],
)
async def test_maintenance_windows_are_read_unless_a_gate_waits_for_them_or_the_plan_is_large(
    count: int, stages: tuple[StageSpec, ...], reads: int, why: str
) -> None:
    world = fleet_world(count)
    plan = await planned(world, stages=stages)
    assert Counter(world.calls)["arm.maintenance_windows"] == reads
    said = [finding.message for finding in plan.clusters[0].findings if finding.rule == "I122"]
    assert (said == []) is (reads > 0)
    assert all(why in one for one in said)
    assert "U122" not in {finding.rule for finding in plan.clusters[0].findings}
