"""The rows of an inventory: what they cost, and what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from aks_entra.core.cluster import Depth, Identity, Posture
from aks_entra.core.evidence.observations import HandedOut
from aks_entra.core.evidence.rotation_debt import Debt, Record, Sighting
from aks_entra.core.planning.fleet import Fleet, Selector
from aks_entra.core.preflight import GroupFacts
from aks_entra.errors import AksEntraError, Refused, Rejected, TryLater
from aks_entra.planning.inventory import inventory
from aks_entra.planning.planner import plan_fleet
from aks_entra.planning.selection import Selection
from tests.support.memory_fleets import GROUPED, WHOLE, fleet_world, rows
from tests.support.memory_model import ADMINS, SUBSCRIPTION
from tests.support.memory_ports import World


async def test_an_inventory_costs_one_request_one_per_group_and_one_for_a_subscription_without_its_id() -> None:
    world = fleet_world(50)
    found = await rows(world, WHOLE, Selector(subscription=SUBSCRIPTION, name="shop-07"))

    assert [row.posture.cluster.name for row in found] == [f"shop-{number:02}" for number in range(1, 51)]
    assert Counter(world.calls) == {
        "callers.runner": 1,
        "arm.subscription_id": 1,  # the other selector names the subscription by its id
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
    cluster.ca_since = datetime(2026, 11, 2, 8, tzinfo=UTC)
    rotated = Record(
        cluster=cluster.id.key,
        sighting=Sighting.ROTATED_CLOSED,
        at="2026-11-02T09:00:00Z",
        ca=cluster.ca.fingerprint,
        source="r",
    )
    seen = replace(
        rotated, sighting=Sighting.ACCOUNTS_OFF, at="2026-11-20T09:00:00Z", etag=f"e-{cluster.uid}-{cluster.etag}"
    )
    ports, fleet = world.process().ports, Fleet(name="f", selectors=(WHOLE,), target=GROUPED)
    opened = HandedOut(at="2026-11-09T09:00:00+00:00", to="dana@contoso.com")
    for readable, told, debt in ((True, [], Debt.NONE), (False, [], Debt.UNKNOWN), (True, [opened], Debt.OWED)):
        world.log_readable, world.handed_out = readable, told
        (row,) = await inventory(ports, Selection(selectors=(WHOLE,)), probe=False, read=True, records=(rotated, seen))
        assert row.old_credentials.debt is debt
        plan = await plan_fleet(ports, fleet, (rotated, seen))
        assert plan.clusters[0].disposition == ("nothing to do" if debt is Debt.NONE else "migrate")


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
    ("selectors", "field", "said"),
    [
        (
            (Selector(subscription="nowhere"), Selector(subscription="nowhere", name="a")),
            "clusters[0].subscription",
            "no subscription nowhere",
        ),
        (
            (WHOLE, Selector(subscription="prod-eu", resource_group="pay-weu")),
            "clusters[1].resource_group",
            "no cluster matches 'pay-weu' in subscription prod-eu",
        ),
        (
            (Selector(subscription="prod-eu", resource_group="pay-weu"),),
            "clusters[0].resource_group",
            "no cluster matches 'pay-weu'",
        ),
        (
            (Selector(subscription="prod-eu", resource_group="shop-weu", name="shop-09"),),
            "clusters[0].name",
            "no cluster matches 'shop-09'",
        ),
        (
            (Selector(subscription="prod-eu", tags=(("env", "prod"),)),),
            "clusters[0].tags",
            "no cluster in subscription prod-eu has env=prod",
        ),
    ],
)
async def test_what_is_not_there_is_refused_by_its_field(
    selectors: tuple[Selector, ...], field: str, said: str
) -> None:
    with pytest.raises(Refused) as refused:
        await rows(fleet_world(), *selectors)
    assert refused.value.field == field
    assert said in refused.value.message


@pytest.mark.parametrize("selector", [WHOLE, Selector(subscription="prod-eu", resource_group="shop-weu")])
async def test_a_list_that_is_forbidden_says_so(selector: Selector) -> None:
    world = fleet_world()
    world.faults["arm.list_clusters"] = [Refused("no right to list", status=403)]
    with pytest.raises(Refused, match="no right to list"):
        await rows(world, selector)


TENANT = Selector(tenant=True)
PROD = Selector(management_group="prod")


async def found(world: World, wanted: Selection) -> list[str]:
    rows = await inventory(world.process().ports, wanted, probe=False, read=False, records=())
    return [row.posture.cluster.name for row in rows]


async def test_an_inventory_of_a_tenant_asks_resource_graph_and_lists_nothing() -> None:
    world = fleet_world(2)
    told: list[str] = []
    wanted = Selection(selectors=(TENANT,), fresh=False, on_note=told.append)
    assert await found(world, wanted) == ["shop-01", "shop-02"]
    assert "arm.list_clusters" not in world.calls
    (note,) = told
    assert note.startswith("the clusters of the tenant are shown as Azure Resource Graph knows them: minutes old")


async def test_a_management_group_without_clusters_is_shown_to_be_readable_first() -> None:
    """Resource Graph answers with nothing where nothing may be read."""
    world = fleet_world(1)
    hidden = Selector(management_group="hidden")
    assert await found(world, Selection(selectors=(hidden,), fresh=False)) == []
    assert world.calls.count("arm.subscription_ids") == 1
    world.faults["arm.subscription_ids"] = [Refused("no right", status=403)]
    world.faults["arm.clusters_in_resource_graph"] = []
    with pytest.raises(Refused, match="no right") as refused:
        await found(world, Selection(selectors=(hidden,), fresh=False))
    assert refused.value.field == "clusters[0].management_group"


async def test_a_plan_of_a_management_group_reads_its_clusters_from_arm() -> None:
    world = fleet_world(2)
    plan = await plan_fleet(world.process().ports, Fleet(name="f", selectors=(PROD,), target=GROUPED), ())
    assert [one.cluster.name for one in plan.clusters] == ["shop-01", "shop-02"]
    assert world.calls.count("arm.clusters_in_resource_graph") == 1
    assert world.calls.count("arm.list_clusters") == 1


@pytest.mark.parametrize("fresh", [True, False])
async def test_without_resource_graph_each_subscription_is_listed(fresh: bool) -> None:
    world = fleet_world(1)
    world.faults["arm.clusters_in_resource_graph"] = [Refused("no right to ask", status=403)]
    told: list[str] = []
    assert await found(world, Selection(selectors=(PROD,), fresh=fresh, on_note=told.append)) == ["shop-01"]
    assert told == ["no right to ask; so the subscriptions of management group prod are listed one by one: 1"]


async def test_the_error_of_resource_graph_is_raised_if_no_subscription_is_known_either() -> None:
    world = fleet_world(1)
    world.faults["arm.clusters_in_resource_graph"] = [Refused("no such management group")]
    world.faults["arm.subscription_ids"] = [Refused("no right", status=403)]
    with pytest.raises(Refused, match="no such management group") as refused:
        await found(world, Selection(selectors=(PROD,)))
    assert refused.value.field == "clusters[0].management_group"


async def test_a_subscription_of_a_tenant_that_cannot_be_listed_is_a_problem() -> None:
    world = fleet_world(1)
    world.faults["arm.list_clusters"] = [Refused("no right to list", status=403)]
    with pytest.raises(Refused, match="no right to list") as refused:
        await found(world, Selection(selectors=(TENANT,)))
    assert refused.value.field == "clusters[0].tenant"
    assert refused.value.remedy == f"leave it out: `exclude: [{{subscription: {SUBSCRIPTION}}}]`"
    world.faults["arm.list_clusters"] = [Refused("no right to list", status=403, remedy="get it")]
    with pytest.raises(Refused, match="get it; or leave it out"):
        await found(world, Selection(selectors=(TENANT,)))


async def test_one_of_many_subscriptions_that_cannot_be_listed_does_not_hide_the_others() -> None:
    world = fleet_world(1)
    arm = world.process().ports.arm
    told: list[AksEntraError] = []

    class Two:
        def __getattr__(self, name: str) -> object:
            return getattr(arm, name)

        async def subscription_ids(self, management_group: str | None = None) -> tuple[str, ...]:
            assert management_group is None
            return (SUBSCRIPTION, "other")

        async def clusters_in_resource_graph(self, management_group: str | None) -> AsyncIterator[Posture]:
            assert management_group is None
            for posture in tuple[Posture, ...]():
                yield posture
            raise TryLater("it is down", after=1)

        async def list_clusters(self, subscription_id: str, group: str | None = None) -> AsyncIterator[Posture]:
            if subscription_id == "other":
                raise Rejected("a cluster in the list is malformed")
            async for posture in arm.list_clusters(subscription_id, group):
                yield posture

    ports = replace(world.process().ports, arm=Two())  # type: ignore[arg-type]  # it has what a listing asks
    wanted = Selection(selectors=(TENANT,), on_problem=told.append)
    rows = await inventory(ports, wanted, probe=False, read=False, records=())
    assert [row.posture.cluster.name for row in rows] == ["shop-01"]
    assert [one.message for one in told] == ["a cluster in the list is malformed"]


@pytest.mark.parametrize(
    ("excluded", "left"),
    [
        (Selector(name="shop-02"), ["shop-01", "shop-03"]),
        (Selector(subscription="prod-eu", name="SHOP-03"), ["shop-01", "shop-02"]),
        (Selector(subscription="prod-eu"), []),
        (Selector(resource_group="shop-weu"), []),
        (Selector(tags=(("env", "dev"),)), ["shop-01", "shop-02", "shop-03"]),
    ],
)
async def test_excluded_clusters_are_left_out(excluded: Selector, left: list[str]) -> None:
    assert await found(fleet_world(), Selection(selectors=(WHOLE,), excluded=(excluded,))) == left


@pytest.mark.parametrize(
    ("excluded", "field", "said"),
    [
        (Selector(name="shop-22"), "exclude[0].name", "no cluster of the fleet matches 'shop-22'"),
        (Selector(resource_group="shop"), "exclude[0].resource_group", "no cluster of the fleet matches 'shop'"),
        (Selector(subscription="nowhere", name="a"), "exclude[0].subscription", "no subscription nowhere"),
    ],
)
async def test_an_exclusion_that_names_nothing_is_refused(excluded: Selector, field: str, said: str) -> None:
    """A misspelt name would let the cluster into the fleet."""
    with pytest.raises(Refused, match=said) as refused:
        await found(fleet_world(), Selection(selectors=(WHOLE,), excluded=(excluded,)))
    assert refused.value.field == field


async def test_an_exclusion_may_name_what_an_earlier_one_excludes() -> None:
    twice = (Selector(resource_group="shop-weu"), Selector(name="shop-02"))
    assert await found(fleet_world(), Selection(selectors=(WHOLE,), excluded=twice)) == []


NOWHERE = "11111111-2222-3333-4444-555555555555"


async def test_an_excluded_subscription_has_to_exist_if_nothing_is_excluded_by_it() -> None:
    """The id of a subscription that is misspelt would let its clusters into the fleet."""
    world = fleet_world(1)
    by_id = Selector(subscription=SUBSCRIPTION)
    wanted = Selection(selectors=(by_id,), excluded=(Selector(subscription=NOWHERE),))
    with pytest.raises(Refused, match=f"no subscription {NOWHERE}") as refused:
        await found(world, wanted)
    assert refused.value.field == "exclude[0].subscription"
    world.faults["arm.subscription_id"] = [Refused("no right to read it", status=403)]
    assert await found(world, wanted) == ["shop-01"]  # nobody else's clusters are in the fleet


@pytest.mark.parametrize(
    ("excluded", "said"),
    [
        (Selector(tags=(("env", "dve"),)), "no cluster of the fleet has env=dve"),
        (
            Selector(subscription="prod-eu", tags=(("env", "dve"), ("team", "a"))),
            f"no cluster of the fleet in subscription {SUBSCRIPTION} has env=dve, team=a",
        ),
    ],
)
async def test_an_exclusion_by_tags_that_excludes_nothing_is_told(excluded: Selector, said: str) -> None:
    told: list[str] = []
    wanted = Selection(selectors=(WHOLE,), excluded=(excluded,), on_note=told.append)
    assert await found(fleet_world(1), wanted) == ["shop-01"]
    assert told == [f"exclude[0] leaves out nothing: {said}"]


async def test_an_excluded_cluster_that_cannot_be_listed_does_not_hide_the_others() -> None:
    told: list[AksEntraError] = []
    wanted = Selection(
        selectors=(Selector(subscription="nowhere"), WHOLE),
        excluded=(Selector(name="hidden-01"),),
        on_problem=told.append,
    )
    assert await found(fleet_world(1), wanted) == ["shop-01"]
    assert [one.message for one in told] == ["no subscription nowhere"]


async def test_a_plan_lists_no_subscription_that_is_excluded_whole() -> None:
    """So a fleet can leave out a subscription that cannot be listed."""
    world = fleet_world(1)
    assert await found(world, Selection(selectors=(TENANT,), excluded=(Selector(subscription="prod-eu"),))) == []
    assert "arm.list_clusters" not in world.calls
    fleet = Fleet(name="f", selectors=(TENANT,), excluded=(Selector(subscription="prod-eu"),), target=GROUPED)
    with pytest.raises(Refused, match="or `exclude` leaves out all of them"):
        await plan_fleet(world.process().ports, fleet, ())
