"""Which clusters a fleet file means, and in which order they go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.planning.fleet import ONE_STAGE, GroupSpec, Selector, StageSpec, arrange
from aks_entra.core.planning.rollout import MemberGroup
from tests.support.access_cases import POSTURE
from tests.support.cases import SHOP, posture

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
    ("group", "taken"),
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
def test_groups(group: GroupSpec, *, taken: bool) -> None:
    assert group.takes(CLUSTER) is taken


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


def test_a_stage_is_arranged_as_it_was_described() -> None:
    group = GroupSpec(name="g", rest=True)
    spec = StageSpec(name="one", groups=(group,), max_concurrency=2, max_allowed_failures=3, gate_before=False)
    (stage,) = arrange((replace(spec, gate_after=True),), (POSTURE,))
    assert stage.groups == (MemberGroup(name="g", members=(POSTURE.cluster,)),)
    assert (stage.name, stage.max_concurrency, stage.max_allowed_failures) == ("one", 2, 3)
    assert (stage.gate_before, stage.gate_after) == (False, True)


def test_every_cluster_that_no_stage_takes_is_named() -> None:
    first = POSTURE
    second = replace(first, cluster=replace(first.cluster, name="shop-02"))
    stages = (StageSpec(name="one", groups=(GroupSpec(name="g", clusters=("other",)),)),)
    with pytest.raises(ValueError, match=r"^no group of the rollout takes shop-weu/shop-01, shop-weu/shop-02; add a"):
        arrange(stages, (second, first))
