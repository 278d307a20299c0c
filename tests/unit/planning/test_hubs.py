"""What a plan says about hubs: whether Argo CD knows each cluster, read once for all clusters of a hub."""

from __future__ import annotations

from aks_entra.core.cluster import Identity
from aks_entra.core.hooks.model import EmitEvent, Hook, UpdateArgoCdSecret, UpdateFluxSecret
from aks_entra.core.planning.fleet import ONE_STAGE, Fleet, GroupSpec, Selector, StageSpec, WantedGroup, WantedTarget
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.target import RotationPolicy
from aks_entra.planning.planner import plan_again, plan_fleet
from aks_entra.ports.hubs import ArgoCdSecret, FluxSecret
from tests.support.memory_model import ADMINS, SUBSCRIPTION
from tests.support.memory_ports import World

ARGO = UpdateArgoCdSecret(cluster="hub-weu/hub-01")


async def planned(
    world: World,
    *after: Hook,
    rotation: RotationPolicy = RotationPolicy.AT_ONCE,
    stages: tuple[StageSpec, ...] = ONE_STAGE,
) -> tuple[FleetPlan, dict[str, list[str]]]:
    fleet = Fleet(
        name="prod",
        selectors=(Selector(subscription=SUBSCRIPTION, resource_group="shop-weu"),),
        target=WantedTarget(admin_groups=(WantedGroup(id=ADMINS),), rotation=rotation),
        after=after,
        stages=stages,
    )
    plan = await plan_fleet(world.process().ports, fleet, world.records)
    return plan, said_of(plan)


def said_of(plan: FleetPlan) -> dict[str, list[str]]:
    """Return the findings about hubs, by cluster."""
    return {
        one.cluster.name: [found.rule for found in one.findings if found.rule in {"W165", "U165"}]
        for one in plan.clusters
    }


def two_clusters() -> World:
    world = World()
    known = world.add("shop-01", identity=Identity.MANAGED)
    world.add("shop-02", identity=Identity.MANAGED, fqdn="shop-02.hcp.westeurope.azmk8s.io")
    world.add("hub-01", group="hub-weu", identity=Identity.MANAGED, local_accounts=False, fqdn="hub")
    server = f"https://{known.fqdn}:443/"
    world.hubs.secrets["argocd", server] = (ArgoCdSecret(name="cluster-shop-01", changed=False),)
    return world


async def test_a_cluster_that_argo_cd_does_not_know_is_named_before_anything_is_written() -> None:
    world = two_clusters()
    plan, said = await planned(world, ARGO, EmitEvent(event="contoso.rotated"))
    assert said == {"shop-01": [], "shop-02": ["W165"]}
    assert world.hubs.asked == ["hub-weu/hub-01"]  # once for both
    assert plan.after == (ARGO, EmitEvent(event="contoso.rotated"))
    again = await plan_again(world.process().ports, plan, {plan.clusters[1].cluster: ("it moved",)}, world.records)
    assert said_of(again) == said


async def test_a_hub_is_read_for_the_clusters_of_the_stage_that_names_it() -> None:
    world = two_clusters()
    stages = (
        StageSpec(name="canary", groups=(GroupSpec(name="one", clusters=("shop-02",)),), after=(ARGO,)),
        StageSpec(name="rest", groups=(GroupSpec(name="rest", rest=True),)),
    )
    plan, said = await planned(world, stages=stages)
    assert said == {"shop-01": [], "shop-02": ["W165"]}
    assert [one.after for one in plan.stages] == [(ARGO,), ()]
    again = await plan_again(world.process().ports, plan, {plan.clusters[1].cluster: ("it moved",)}, world.records)
    assert said_of(again) == said


async def test_the_name_of_the_secret_counts() -> None:
    named = UpdateArgoCdSecret(cluster="hub-weu/hub-01", name="cluster-{name}")
    other = UpdateArgoCdSecret(cluster="hub-weu/hub-01", name="{name}")
    elsewhere = UpdateArgoCdSecret(cluster="hub-weu/hub-01", namespace="argo-cd")
    _, said = await planned(two_clusters(), named, other, elsewhere)
    assert said == {"shop-01": ["W165", "W165"], "shop-02": ["W165", "W165", "W165"]}


async def test_a_kubeconfig_of_flux_that_the_rotation_ends_is_named_before_anything_is_written() -> None:
    world = two_clusters()
    server = f"https://{next(iter(world.clusters.values())).fqdn}"
    ends = "the rotation ends its client certificate"
    world.hubs.flux["flux-system", "shop-01", ""] = FluxSecret(server=server, problem=ends)
    world.hubs.flux["flux-system", "shop-02", ""] = FluxSecret(server=server)
    plan, said = await planned(world, UpdateFluxSecret(cluster="hub-weu/hub-01", name="{name}"))
    assert said == {"shop-01": ["W165"], "shop-02": ["W165"]}  # the secret of shop-02 is for another server
    first, second = (next(one for one in plan.clusters[place].findings if one.rule == "W165") for place in range(2))
    assert ends in first.message
    assert "configMapRef" in first.remedy
    assert "Flux in namespace flux-system of hub-weu/hub-01 has no secret" in second.message
    world.hubs.flux["flux-system", "shop-01", ""] = FluxSecret(server=server)
    del world.hubs.flux["flux-system", "shop-02", ""]
    _, said = await planned(world, UpdateFluxSecret(cluster="hub-weu/hub-01", name="{name}"))
    assert said == {"shop-01": [], "shop-02": ["W165"]}


async def test_a_hub_that_cannot_be_read_is_unknown_and_refuses_nobody() -> None:
    plan, said = await planned(two_clusters(), UpdateArgoCdSecret(cluster="hub-weu/missing"))
    assert said == {"shop-01": ["U165"], "shop-02": ["U165"]}
    assert {one.disposition for one in plan.clusters} == {"migrate"}


async def test_a_hub_is_not_read_where_nothing_is_rotated() -> None:
    world = two_clusters()
    _, said = await planned(world, ARGO, rotation=RotationPolicy.LATER)
    assert said == {"shop-01": [], "shop-02": []}
    assert world.hubs.asked == []
