"""Reading a fleet: what it costs, what it finds, what it refuses."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from aks_entra.core.callers import AuditedCallers
from aks_entra.core.cluster import Depth, Identity, Pool
from aks_entra.core.debt import Debt, Record, Sighting
from aks_entra.core.fleet import Fleet, GroupSpec, ProverSpec, Selector, StageSpec, WantedGroup, WantedTarget
from aks_entra.core.plan import FleetPlan, plan_cluster
from aks_entra.core.preflight import Endpoint, GroupFacts, Home, Severity, Skip
from aks_entra.core.target import AzureRbac, LocalAccounts, RotationPolicy
from aks_entra.errors import AksEntraError, Refused, Rejected, TryLater
from aks_entra.survey import Row, inventory, needed_actions, plan_fleet
from tests.unit.cases import facts, managed, target
from tests.unit.ports_world import ADMINS, OTHERS, PROVER, SUBSCRIPTION, TENANT, Group, World

WHOLE = Selector(subscription="prod-eu")
GROUPED = WantedTarget(admin_groups=(WantedGroup(id=ADMINS),))


def fleet_world(count: int = 3) -> World:
    world = World()
    for number in range(1, count + 1):
        world.add(f"shop-{number:02}", identity=Identity.MANAGED, fqdn=f"{number}.azmk8s.io")
    return world


async def rows(world: World, *selectors: Selector, probe: bool = False, read: bool = False) -> tuple[Row, ...]:
    return await inventory(world.process().ports, selectors or (WHOLE,), probe=probe, read=read, records=())


async def planned(world: World, wanted: WantedTarget = GROUPED, **fleet: object) -> FleetPlan:
    whole = Fleet(name="prod", selectors=(WHOLE,), target=wanted)
    return await plan_fleet(world.process().ports, replace(whole, **fleet), ())  # type: ignore[arg-type]  # the tests' own fields


async def test_an_inventory_costs_two_requests_and_one_per_group() -> None:
    world = fleet_world(50)
    found = await rows(world, WHOLE, Selector(subscription=SUBSCRIPTION, name="shop-07"))

    assert [row.posture.cluster.name for row in found] == [f"shop-{number:02}" for number in range(1, 51)]
    assert Counter(world.calls) == {
        "callers.runner": 1,
        "arm.subscription_id": 2,  # once for each way in which it was named
        "arm.list_clusters": 1,
        "directory.group": 1,
    }
    assert found[0].groups[0].display_name == "aks-admins"
    assert found[0].old_credentials.debt is Debt.ALIVE
    assert found[0].posture.depth is Depth.LISTED
    assert found[0].problem == ""


async def test_deeper_looks() -> None:
    world = fleet_world(2)
    world.add("batch-01", power_state="Stopped", fqdn="3.azmk8s.io")
    for cluster in world.clusters.values():
        cluster.local_accounts = False
    legacy = world.add("batch-02", identity=Identity.LEGACY, fqdn=None)

    _, off, one, two = await rows(world, probe=True, read=True)
    assert one.posture.depth is Depth.READ
    assert one.posture.serving is not None
    assert "no record of the day" in one.old_credentials.because
    assert two.problem == ""
    assert off.problem == "it has no address yet"
    assert off.groups == ()
    assert legacy.rotations == 0

    probed = await rows(world, probe=True)
    assert probed[2].posture.depth is Depth.PROBED
    assert "API server certificate from" in probed[2].old_credentials.because


async def test_what_cannot_be_reached_or_read_is_a_problem_of_its_row() -> None:
    world = fleet_world(1)
    world.clusters[next(iter(world.clusters))].reachable = False
    (row,) = await rows(world, probe=True)
    assert row.problem == "nobody answers"
    world.faults["arm.certificate_authority"] = [Refused("no right", status=403)]
    (row,) = await rows(world, read=True)
    assert row.problem == "no right"
    world.faults["directory.group"] = [Refused("no right", status=403)]
    (row,) = await rows(world)
    assert row.groups == (GroupFacts(id=ADMINS),)


async def test_our_own_records_are_cited_and_azures_activity_log_may_contradict_them() -> None:
    world = fleet_world(1)
    (cluster,) = world.clusters.values()
    cluster.local_accounts = False
    rotated = Record(
        cluster=cluster.id.key, sighting=Sighting.ROTATED_CLOSED, at="2026-03-02", ca=cluster.ca.fingerprint, source="r"
    )
    ports, fleet = world.process().ports, Fleet(name="f", selectors=(WHOLE,), target=GROUPED)
    opened = replace(rotated, sighting=Sighting.ACCOUNTS_ON, at="2026-03-09", source="activity log")
    for told, dead in (((), True), (None, True), ((opened,), False)):  # None: the log may not be read
        world.handed_out = told
        (row,) = await inventory(ports, (WHOLE,), probe=False, read=True, records=(rotated,))
        assert (row.old_credentials.debt is Debt.NONE) is dead
        plan = await plan_fleet(ports, fleet, (rotated,))
        assert plan.clusters[0].disposition == ("nothing to do" if dead else "migrate")


async def test_resource_groups_alone_need_no_right_on_the_subscription() -> None:
    world = fleet_world(1)
    world.add("pay-01", "pay-weu", fqdn="pay.azmk8s.io")
    both = (
        Selector(subscription="prod-eu", resource_group="shop-weu"),
        Selector(subscription="prod-eu", resource_group="PAY-weu"),
    )
    assert [row.posture.cluster.name for row in await rows(world, *both)] == ["pay-01", "shop-01"]
    assert world.calls.count("arm.list_clusters") == 2


@pytest.mark.parametrize(
    ("selectors", "said"),
    [
        (
            (Selector(subscription="nowhere"), Selector(subscription="nowhere", name="a")),
            "`clusters[0].subscription`: no subscription nowhere",
        ),
        (
            (WHOLE, Selector(subscription="prod-eu", resource_group="pay-weu")),
            "`clusters[1].resource_group`: no cluster matches 'pay-weu' in subscription prod-eu",
        ),
        (
            (Selector(subscription="prod-eu", resource_group="pay-weu"),),
            "`clusters[0].resource_group`: no cluster matches 'pay-weu'",
        ),
        (
            (Selector(subscription="prod-eu", resource_group="shop-weu", name="shop-09"),),
            "`clusters[0].name`: no cluster matches 'shop-09'",
        ),
        (
            (Selector(subscription="prod-eu", tags=(("env", "prod"),)),),
            "`clusters[0].tags`: no cluster in subscription prod-eu has env=prod",
        ),
    ],
)
async def test_what_is_not_there_is_refused_by_its_field(selectors: tuple[Selector, ...], said: str) -> None:
    with pytest.raises(Refused) as refused:
        await rows(fleet_world(), *selectors)
    assert said in refused.value.message


async def test_an_empty_subscription() -> None:
    assert await rows(World()) == ()
    with pytest.raises(Refused, match="`clusters`: no cluster is there"):
        await planned(World())


@pytest.mark.parametrize("selector", [WHOLE, Selector(subscription="prod-eu", resource_group="shop-weu")])
async def test_a_list_that_is_forbidden_says_so(selector: Selector) -> None:
    world = fleet_world()
    world.faults["arm.list_clusters"] = [Refused("no right to list", status=403)]
    with pytest.raises(Refused, match="no right to list"):
        await rows(world, selector)


async def test_a_plan_of_a_fleet() -> None:
    world = fleet_world(2)
    world.add("shop-03", kubernetes_rbac=False, fqdn="3.azmk8s.io")
    world.add("shop-04", power_state="Stopped", fqdn="4.azmk8s.io")
    told: list[tuple[int, int, str]] = []
    fleet = Fleet(name="prod", selectors=(WHOLE,), target=GROUPED)

    plan = await plan_fleet(
        world.process().ports, fleet, (), on_progress=lambda done, total, what: told.append((done, total, what))
    )

    assert [one.disposition for one in plan.clusters] == ["migrate", "migrate", "refused", "skipped"]
    assert plan.created_at == "2026-11-24T08:00:00.000Z"
    assert plan.prover.object_id == PROVER
    assert plan.clusters[0].target.tenant_id == TENANT
    assert [done for done, _, _ in told] == [1, 2, 3, 4]
    assert {total for _, total, _ in told} == {4}
    assert world.writes == []
    assert world.calls.count("arm.tenant_of") == 1
    again = await plan_fleet(world.process().ports, fleet, ())
    assert again.digest == plan.digest


async def test_throttling_is_waited_out() -> None:
    world = fleet_world(1)
    for name in ("arm.list_clusters", "arm.certificate_authority", "arm.locks", "directory.group", "arm.tenant_of"):
        world.faults[name] = [TryLater("throttled", after=20)]
    plan = await planned(world)
    assert plan.clusters[0].disposition == "migrate"
    assert world.consumed()


async def test_facts_that_cannot_be_read_are_unknown() -> None:
    world = fleet_world(1)
    world.missing_permissions = None
    world.locks = world.policies = world.windows = world.writers = world.versions = world.memberships = None
    world.faults["kubernetes.inside"] = [Refused("no right", status=403)]
    world.faults["directory.group"] = [Refused("no right", status=403)] * 2
    plan = await planned(world)
    assert [finding.rule for finding in plan.clusters[0].findings] == [
        "W103",
        "U108",
        "U109",
        "U111",
        "U112",
        "U117",
        "U119",
        "U120",
        "U121",
        "U122",
        "U130",
        "U130",
        "U131",
        "U132",
        "U136",
        "U140",
    ]


async def test_missing_rights_of_the_steps() -> None:
    world = fleet_world(1)
    world.missing_permissions = ("Microsoft.ContainerService/managedClusters/rotateClusterCertificates/action",)
    plan = await planned(world)
    assert [finding.message for finding in plan.clusters[0].blockers] == [
        "the runner lacks Microsoft.ContainerService/managedClusters/rotateClusterCertificates/action"
    ]


async def test_an_api_server_that_does_not_answer() -> None:
    world = fleet_world(1)
    (cluster,) = world.clusters.values()
    cluster.reachable = False
    plan = await planned(world)
    assert [finding.rule for finding in plan.clusters[0].blockers] == ["B013"]


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


async def test_a_rollout_that_leaves_clusters_out_is_refused() -> None:
    stages = (StageSpec(name="canary", groups=(GroupSpec(name="a", clusters=("shop-01",)),)),)
    with pytest.raises(Refused, match="`rollout`: no group of the rollout takes shop-weu/shop-02"):
        await planned(fleet_world(2), stages=stages)


async def test_another_prover_is_named_without_its_secret() -> None:
    plan = await planned(fleet_world(1), prover=ProverSpec(client_id="c", tenant_id="t", secret_from="PROVER_SECRET"))
    assert (plan.prover.client_id, plan.prover.tenant_id, plan.prover.secret_from) == ("c", "t", "PROVER_SECRET")


async def test_a_credential_that_is_refused_stops_at_once() -> None:
    world = fleet_world(1)
    world.faults["callers.runner"] = [Refused("expired", code="AADSTS7000222")]
    with pytest.raises(Refused, match="expired"):
        await planned(world)
    assert world.calls == ["callers.runner"]


async def test_one_clusters_error_is_one_error() -> None:
    world = fleet_world(3)
    world.faults["arm.tenant_of"] = [Rejected("gone", status=410)]
    with pytest.raises(AksEntraError, match="gone"):
        await planned(world)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (WantedGroup(id=ADMINS.upper()), (ADMINS, None, "aks-admins")),
        (WantedGroup(name="aks-admins"), (ADMINS, None, "aks-admins")),
        (WantedGroup(name="aks-admins", create=True), (ADMINS, None, "aks-admins")),
        (WantedGroup(name="Cluster Admins", create=True), (None, "cluster-admins", "Cluster Admins")),
        (WantedGroup(unique_name="made-once", create=True), (OTHERS, "made-once", "made-once")),
        (WantedGroup(name="another", unique_name="new-one", create=True), (None, "new-one", "another")),
    ],
)
async def test_groups_as_a_person_names_them(wanted: WantedGroup, found: tuple[str | None, str | None, str]) -> None:
    world = fleet_world(1)
    world.groups[OTHERS] = Group(id=OTHERS, name="others", unique_name="made-once", members={PROVER})
    plan = await planned(world, WantedTarget(admin_groups=(wanted,)))
    (group,) = plan.clusters[0].target.admin_groups
    assert (group.id, group.unique_name, group.display_name) == found


async def test_members_and_owners_become_ids() -> None:
    world = fleet_world(1)
    dana = world.users["dana@contoso.com"]
    wanted = WantedGroup(name="new", create=True, members=("dana@contoso.com", OTHERS.upper()), owners=(dana,))
    plan = await planned(world, WantedTarget(admin_groups=(wanted,)))
    (group,) = plan.clusters[0].target.admin_groups
    assert group.members == (dana, OTHERS)
    assert group.owners == (dana,)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (WantedGroup(name="nobody"), "`admin_groups[0].name`: no group is called 'nobody'"),
        (WantedGroup(name="twice"), f"`admin_groups[0].name`: 2 groups are called 'twice': {TENANT}, {OTHERS}"),
        (WantedGroup(), "`admin_groups[0]` names no group"),
        (
            WantedGroup(name="new", create=True, members=("eve@contoso.com",)),
            "`admin_groups[0].members`: nobody is called eve@contoso.com",
        ),
        (
            WantedGroup(name="new", create=True, owners=("eve@contoso.com",)),
            "`admin_groups[0].owners`: nobody is called eve@contoso.com",
        ),
    ],
)
async def test_groups_that_are_not_clear_are_refused(wanted: WantedGroup, said: str) -> None:
    world = fleet_world(1)
    for group_id in (OTHERS, TENANT):
        world.groups[group_id] = Group(id=group_id, name="twice")
    with pytest.raises(Refused) as refused:
        await planned(world, WantedTarget(admin_groups=(wanted,)))
    assert said in refused.value.message
    assert world.writes == []


async def test_a_group_id_that_does_not_exist_refuses_the_cluster() -> None:
    plan = await planned(fleet_world(1), WantedTarget(admin_groups=(WantedGroup(id=OTHERS),)))
    assert "B005" in [finding.rule for finding in plan.clusters[0].blockers]


async def test_a_person_who_may_not_be_looked_up_is_no_object_id() -> None:
    world = fleet_world(1)
    world.faults["directory.user_id"] = [Refused("no right", status=403)]
    wanted = WantedGroup(name="new", create=True, members=(OTHERS,))
    with pytest.raises(Refused, match=r"`admin_groups\[0\]\.members`: no right"):
        await planned(world, WantedTarget(admin_groups=(wanted,)))


async def test_a_directory_that_is_busy_is_asked_again() -> None:
    world = fleet_world(1)
    world.faults["directory.group"] = [TryLater("throttled", after=5)]
    plan = await planned(world)
    assert plan.clusters[0].target.admin_groups[0].display_name == "aks-admins"


def test_actions_follow_the_steps() -> None:
    plan = plan_cluster(managed(local_accounts=False), target(), facts())
    assert [action.rpartition("managedClusters/")[2] for action in needed_actions(plan.steps)] == [
        "read",
        "listClusterUserCredential/action",
        "write",
        "listClusterAdminCredential/action",
        "rotateClusterCertificates/action",
    ]
    whole = needed_actions(plan_cluster(managed(), target(), facts()).steps)
    assert len(set(whole)) == len(whole) == 5
    assert needed_actions(()) == (
        "Microsoft.ContainerService/managedClusters/read",
        "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
    )


SUBNET = "/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/nodes"
SERVER = Endpoint(variable="PREFECT_API_URL", host="prefect.contoso.com", addresses=("20.9.9.9",))


async def test_what_clusters_share_is_read_once_and_a_rotation_asks_for_more() -> None:
    world = fleet_world(3)
    for cluster in world.clusters.values():
        cluster.pools = (Pool(name="a", count=1, subnet_id=SUBNET), Pool(name="b", count=1, subnet_id=SUBNET.upper()))
    await planned(world)
    calls = Counter(world.calls)
    shared = (
        "arm.supported_versions",
        "arm.subnet",
        "surroundings.home",
        "surroundings.tools",
        "directory.memberships",
    )
    assert {calls[name] for name in shared} == {1}
    each = ("arm.policies", "arm.writers", "arm.maintenance_windows", "kubernetes.inside", "arm.locks")
    assert {calls[name] for name in each} == {3}
    assert calls["arm.published_addresses"] == 0  # nothing that this process depends on is elsewhere

    world.calls.clear()
    later = replace(GROUPED, rotation=RotationPolicy.LATER)
    await planned(world, later)
    assert not {"arm.maintenance_windows", "arm.subnet", "kubernetes.inside", "surroundings.home"} & set(world.calls)
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


async def test_without_surroundings_the_machine_is_unknown() -> None:
    world = fleet_world(1)
    ports = replace(world.process().ports, surroundings=None)
    plan = await plan_fleet(ports, Fleet(name="prod", selectors=(WHOLE,), target=GROUPED), ())
    assert {"U116", "U118"} <= {finding.rule for finding in plan.clusters[0].findings}


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


async def test_a_skipped_rule_stands_in_plan_and_digest() -> None:
    world = fleet_world(1)
    plan = await planned(world)
    skipped = await planned(world, skip_rules=(Skip(rule="W103", reason="CHG-1042"),))
    other = await planned(world, skip_rules=(Skip(rule="W103", reason="CHG-1043"),))
    assert skipped.skip_rules == (Skip(rule="W103", reason="CHG-1042"),)
    assert len({plan.digest, skipped.digest, other.digest}) == 3
    finding = next(one for one in skipped.clusters[0].findings if one.rule == "W103")
    assert (finding.severity, finding.message[:18]) == (Severity.INFO, "skipped (CHG-1042)")
    with pytest.raises(Refused, match="keeps a way in open"):
        await planned(world, skip_rules=(Skip(rule="B009", reason="CHG-1042"),))


QUIET_LOG = AuditedCallers(since="2026-11-01", until="2026-11-24", events=7, complete=True)


@pytest.mark.parametrize(("count", "name"), [(1, ""), (2, "shop-weu/shop-01")])
async def test_an_audit_log_belongs_to_the_cluster_that_it_names_or_to_the_only_one(count: int, name: str) -> None:
    world = fleet_world(count)
    fleet = Fleet(name="prod", selectors=(WHOLE,), target=GROUPED)
    ports = world.process().ports
    plan = await plan_fleet(ports, fleet, (), callers={name: QUIET_LOG})
    assert "I120" in {finding.rule for finding in plan.clusters[0].findings}
    assert all("U120" in {finding.rule for finding in one.findings} for one in plan.clusters[1:])
    by_id = await plan_fleet(ports, fleet, (), callers={plan.clusters[0].cluster.key: QUIET_LOG})
    assert by_id.clusters[0].findings == plan.clusters[0].findings


@pytest.mark.parametrize(
    ("name", "message"),
    [("", "which of the 2 clusters"), ("shop-weu/shop-99", "the fleet has no cluster shop-weu/shop-99")],
)
async def test_an_audit_log_of_nobody_is_refused(name: str, message: str) -> None:
    fleet = Fleet(name="prod", selectors=(WHOLE,), target=GROUPED)
    with pytest.raises(Refused, match=message):
        await plan_fleet(fleet_world(2).process().ports, fleet, (), callers={name: QUIET_LOG})
