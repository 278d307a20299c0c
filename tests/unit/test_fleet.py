"""Which clusters a fleet file means, and in which order they go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.fleet import ONE_STAGE, GroupSpec, Selector, StageSpec, arrange
from tests.unit.cases import SHOP, posture

CLUSTER = posture(tags=(("Env", "prod"),))


@pytest.mark.parametrize(
    ("selector", "meant"),
    [
        (Selector(subscription="s"), True),
        (Selector(subscription="s", resource_group="SHOP-weu"), True),
        (Selector(subscription="s", resource_group="pay-weu"), False),
        (Selector(subscription="s", name="Shop-01"), True),
        (Selector(subscription="s", name="shop-02"), False),
        (Selector(subscription="s", tags=(("env", "prod"),)), True),
        (Selector(subscription="s", tags=(("env", "Prod"),)), False),
        (Selector(subscription="s", tags=(("team", "shop"),)), False),
    ],
)
def test_selectors(selector: Selector, *, meant: bool) -> None:
    assert selector.matches(CLUSTER) is meant


@pytest.mark.parametrize(
    ("group", "claimed"),
    [
        (GroupSpec(name="a", clusters=("SHOP-01",)), True),
        (GroupSpec(name="a", clusters=("shop-weu/shop-01",)), True),
        (GroupSpec(name="a", clusters=("pay-weu/shop-01",)), False),
        (GroupSpec(name="a", resource_groups=("Shop-weu",)), True),
        (GroupSpec(name="a", tags=(("ENV", "prod"),)), True),
        (GroupSpec(name="a", tags=(("env", "test"),)), False),
        (GroupSpec(name="a", rest=True), False),
    ],
)
def test_groups(group: GroupSpec, *, claimed: bool) -> None:
    assert group.claims(CLUSTER) is claimed


def test_one_stage_takes_everything() -> None:
    (stage,) = arrange(ONE_STAGE, (CLUSTER,))
    assert stage.members == (SHOP,)
    assert stage.gate_before


def test_first_come_first_served_and_the_rest() -> None:
    others = tuple(replace(CLUSTER, cluster=replace(SHOP, name=f"shop-0{number}")) for number in (3, 2))
    stages = (
        StageSpec(name="canary", groups=(GroupSpec(name="first", clusters=("shop-01",)),), max_concurrency=1),
        StageSpec(name="empty", groups=(GroupSpec(name="none", clusters=("shop-09",)),)),
        StageSpec(name="all", groups=(GroupSpec(name="rest", rest=True),), gate_after=True),
    )
    canary, rest = arrange(stages, (CLUSTER, *others))
    assert (canary.name, canary.max_concurrency, canary.members) == ("canary", 1, (SHOP,))
    assert [member.name for member in rest.members] == ["shop-02", "shop-03"]
    assert rest.gate_after


def test_nobody_is_left_out_silently() -> None:
    stages = (StageSpec(name="canary", groups=(GroupSpec(name="a", clusters=("shop-09",)),)),)
    with pytest.raises(ValueError, match="no group of the rollout takes shop-weu/shop-01"):
        arrange(stages, (CLUSTER,))
