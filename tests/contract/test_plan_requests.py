"""How many requests a first plan sends for each cluster, by kind. What clusters share is asked once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from aks_entra.adapters.arm.activity_log import MOST_PAGES
from aks_entra.core.planning.fleet import Fleet, GroupSpec, Selector, StageSpec, WantedGroup, WantedTarget
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.planning.planner import plan_fleet
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from azure_sandbox.arm.state import ManagementLock
from azure_sandbox.front.http import Reply
from azure_sandbox.front.proxy import Exchange
from azure_sandbox.server import Sandbox
from tests.contract.sandbox_environment import in_environment
from tests.contract.small_world import ADMINS, OWNER, SUBSCRIPTION, fleet_world

CLUSTERS, GROUPS = 20, 4
FLEET = Fleet(
    name="shop",
    selectors=(Selector(subscription=SUBSCRIPTION),),
    target=WantedTarget(admin_groups=(WantedGroup(id=ADMINS),)),
    stages=(
        StageSpec(
            name="all",
            groups=(GroupSpec(name="all", rest=True),),
            gate_before=Gate(approval=True, maintenance_window=True),
        ),
    ),
)
UNREADABLE = Reply(403, {"error": {"code": "AuthorizationFailed", "message": "no"}})
LOG = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Insights/eventtypes/management/values"


def kind(path: str) -> str:
    """Return a path without the names in it."""
    path = re.sub(r"(?i)^/subscriptions/[^/]+", "/S", path.partition("?")[0])
    path = re.sub(r"(?i)/resourcegroups/[^/]+", "/G", path)
    return re.sub(r"(?i)/providers/microsoft\.containerservice/managedclusters/[^/]+", "/C", path)


@asynccontextmanager
async def planning(
    folder: Path, *, in_subscription: str = OWNER, in_group: str = ""
) -> AsyncIterator[tuple[Sandbox, Callable[[], list[str]]]]:
    """Yield a sandbox with 20 clusters in four groups, and the kinds of ARM's requests so far."""
    groups = {
        f"group-{one}": [f"name: c-{n:03}, nodes: 1" for n in range(one, CLUSTERS, GROUPS)] for one in range(GROUPS)
    }
    world = fleet_world(groups, in_subscription=in_subscription, in_group=in_group)
    (folder / "world.yaml").write_text(world)
    seen: list[Exchange] = []

    def told() -> list[str]:
        return [f"{it.method} {kind(it.path)}" for it in seen if it.host == "management.azure.com"]

    with pytest.MonkeyPatch.context() as patch:
        async with in_environment(
            patch, folder / "world.yaml", pace=100_000, replication=0, observe=seen.append
        ) as box:
            yield box, told


async def planned(fleet: Fleet = FLEET) -> FleetPlan:
    async with open_session(Settings(group_reads=2, group_read_gap=0)) as session:
        return await plan_fleet(session.ports, fleet, ())


async def test_a_first_plan_asks_a_cluster_for_its_ca_and_its_diagnostic_settings_and_shares_the_rest(
    tmp_path: Path,
) -> None:
    async with planning(tmp_path) as (_, told):
        plan = await planned()
    assert {one.disposition for one in plan.clusters} == {"migrate"}
    found = Counter(told())
    per_cluster = {name for name, count in found.items() if count >= CLUSTERS}
    assert per_cluster == {
        "POST /S/G/C/listClusterUserCredential",
        "GET /S/G/C/providers/Microsoft.Insights/diagnosticSettings",
    }, found
    assert found["GET /S/G/providers/Microsoft.Authorization/permissions"] == GROUPS
    assert sum(found.values()) <= 2.5 * CLUSTERS + 20, found


async def test_a_plan_of_many_clusters_in_some_resource_groups_shares_what_the_subscription_lists(
    tmp_path: Path,
) -> None:
    groups = tuple(Selector(subscription=SUBSCRIPTION, resource_group=f"group-{one}") for one in range(GROUPS))
    async with planning(tmp_path) as (_, told):
        plan = await planned(replace(FLEET, selectors=groups))
        by_group = Counter(told())
        few = await planned(replace(FLEET, selectors=groups[:1]))
    assert [len(one.clusters) for one in (plan, few)] == [CLUSTERS, CLUSTERS // GROUPS]
    assert {name for name in by_group if "/C/" in name} == {
        "POST /S/G/C/listClusterUserCredential",
        "GET /S/G/C/providers/Microsoft.Insights/diagnosticSettings",
    }, by_group
    log = "GET /S/providers/Microsoft.Insights/eventtypes/management/values"
    assert (by_group[log], Counter(told())[log] - by_group[log]) == (1, CLUSTERS // GROUPS)


async def test_rights_in_resource_groups_are_enough_for_what_a_group_or_a_cluster_shows(tmp_path: Path) -> None:
    async with planning(tmp_path, in_subscription="", in_group=OWNER) as (_, told):
        plan = await planned()
    unknown = {one.rule for cluster in plan.clusters for one in cluster.findings if one.rule.startswith("U")}
    assert unknown.isdisjoint({"U111", "U121", "U126", "U141", "U143"}), "the narrower reads answer"
    assert {"U112", "U131"} <= unknown, "locks and the activity log are lists of the subscription alone"
    found = Counter(told())
    assert found["GET /S/G/providers/Microsoft.Authorization/policyAssignments"] == GROUPS
    assert found["GET /S/G/C/providers/Microsoft.Authorization/denyAssignments"] == CLUSTERS


async def test_a_right_that_only_a_cluster_grants_counts_for_that_cluster_alone(tmp_path: Path) -> None:
    reader = OWNER.replace("Owner", "Reader")
    place = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/group-1/providers/Microsoft.ContainerService/managedClusters"
    async with planning(tmp_path, in_subscription=reader) as (box, told):
        who = next(one.principal for one in box.arm.state.access.all())
        box.arm.assign(f"{place}/c-001", who, "Owner")
        plan = await planned()
    lacking = {one.cluster.name for one in plan.clusters if "B011" in {it.rule for it in one.findings}}
    assert lacking == {f"c-{one:03}" for one in range(CLUSTERS)} - {"c-001"}
    assert Counter(told())["GET /S/G/C/providers/Microsoft.Authorization/permissions"] == CLUSTERS


async def test_a_lock_of_somebody_is_seen_by_the_next_session_and_a_fault_costs_those_that_waited(
    tmp_path: Path,
) -> None:
    async with planning(tmp_path) as (box, _):
        box.faults.add("GET", "^/subscriptions/[^/]+/providers/Microsoft.Authorization/locks$", answer=UNREADABLE)
        unlocked = await planned()
        lock = ManagementLock(
            scope=f"/subscriptions/{SUBSCRIPTION}/resourceGroups/group-2", name="keep", level="ReadOnly"
        )
        box.arm.state.locks[lock.id.lower()] = lock
        locked = await planned()
    rules = [
        {one.cluster.name: {it.rule for it in one.findings} for one in plan.clusters} for plan in (unlocked, locked)
    ]
    assert any("U112" in found for found in rules[0].values())
    assert {name for name, found in rules[1].items() if "B012" in found} == {f"c-{one:03}" for one in range(2, 20, 4)}
    assert not any("U112" in found for found in rules[1].values())


async def test_an_activity_log_that_is_long_or_does_not_name_resources_is_read_by_cluster(tmp_path: Path) -> None:
    many = [
        Reply(
            200, {"value": [], "nextLink": f"https://management.azure.com{LOG}?api-version=2015-04-01&$skipToken={one}"}
        )
        for one in range(MOST_PAGES)
    ]
    nameless = [Reply(200, {"value": [{"caller": "dana@contoso.com"}]})]
    for answers in (many, nameless):
        async with planning(tmp_path) as (box, told):
            for answer in answers:
                box.faults.add("GET", "/eventtypes/management/values$", answer=answer)
            plan = await planned()
            assert box.faults.waiting == ()
        asked = Counter(told())["GET /S/providers/Microsoft.Insights/eventtypes/management/values"]
        assert asked == len(answers) + CLUSTERS
        assert all("U131" not in {it.rule for it in one.findings} for one in plan.clusters)
