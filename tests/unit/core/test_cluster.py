"""Names in ARM, postures, and what of them is guarded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.cluster import ClusterId, Depth, Identity, Pool, is_guid, is_terminal, same_id
from aks_entra.core.planning.plan import Moved, plan_cluster, remaining
from aks_entra.core.steps import Guarded
from tests.support.cases import ADMINS, NEW_CA, OLD_CA, SHOP, facts, managed, posture, target


def test_ids_ignore_case() -> None:
    parsed = ClusterId.parse(SHOP.resource_id.upper() + "/")
    assert parsed.key == SHOP.key
    assert str(SHOP) == "shop-weu/shop-01"
    assert same_id("A-b", "a-B")


@pytest.mark.parametrize(
    "text", ["", "shop-01", "/subscriptions/s/resourceGroups/g", SHOP.resource_id + "/agentPools/a"]
)
def test_what_is_no_id_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is not the id of a managed cluster; expected /subscriptions/"):
        ClusterId.parse(text)


def test_pools_and_rest() -> None:
    fixed, scaled = Pool(name="a", count=3), Pool(name="b", count=2, min_count=1, max_count=5)
    off = Pool(name="c", count=2, power_state="Stopped")
    assert [pool.bounds for pool in (fixed, scaled, off)] == [(3, 3), (1, 5), (0, 0)]
    cluster = posture(pools=(fixed, scaled, off))
    assert cluster.nodes == 5
    assert cluster.at_rest
    assert not replace(cluster, provisioning_state="RotatingClusterCertificates").at_rest
    assert not replace(cluster, pools=(replace(fixed, provisioning_state="Creating"),)).at_rest
    assert is_terminal("CANCELED")
    assert not is_terminal("SomethingNew")
    assert replace(cluster, power_state="Stopped").stopped
    assert replace(cluster, ca=None).with_ca(OLD_CA).depth is Depth.READ


def test_a_moved_cluster_is_described() -> None:
    plan = plan_cluster(managed(), target(), facts())
    now = Guarded.of(
        managed(identity=Identity.LEGACY, tenant_id=None, admin_group_ids=(ADMINS, "x"), azure_rbac=True, ca=NEW_CA)
    )
    moved = remaining(plan, now, {})
    assert isinstance(moved, Moved)
    assert moved.differences == (
        "Microsoft Entra ID: expected managed, found legacy",
        "tenant: expected 22222222-2222-2222-2222-222222222222, found none",
        f"admin groups: expected {ADMINS}, found {ADMINS}, x",
        "Azure RBAC: expected off, found on",
        f"CA: expected {OLD_CA.fingerprint}, found {NEW_CA.fingerprint}",
    )


@pytest.mark.parametrize("ca", [None, OLD_CA])
def test_a_rotation_is_only_done_when_the_ca_is_another(ca: object) -> None:
    plan = plan_cluster(managed(), target(), facts())
    state = plan.before
    for step in plan.steps:
        state = state.after(step)
    now = Guarded.of(replace(managed(), local_accounts=False, ca=ca))  # type: ignore[arg-type]  # None or a CA
    assert state.differences(now, ca_before=OLD_CA.fingerprint) == (
        "CA: expected a new one, found the one from before",
    )


@pytest.mark.parametrize(
    ("least", "most", "bounds"), [(None, None, (3, 3)), (1, None, (3, 3)), (None, 5, (3, 3)), (1, 5, (1, 5))]
)
def test_a_pool_has_bounds_only_in_pairs(least: int | None, most: int | None, bounds: tuple[int, int]) -> None:
    assert Pool(name="a", count=3, min_count=least, max_count=most).bounds == bounds


def test_what_is_no_resource_id_is_refused_with_the_form_of_one() -> None:
    form = "/resourceGroups/<group>/providers/Microsoft.ContainerService/managedClusters/<name>"
    with pytest.raises(ValueError, match="<subscription>" + form.replace(".", r"\.")):
        ClusterId.parse("/subscriptions/a")


def test_an_id_of_the_directory_has_one_form() -> None:
    assert is_guid("7C9E2F64-3a1d-4b58-9e07-5d4f1b8a6c32")
    assert not any(
        map(is_guid, ("prod-eu", "", "7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32-1", "7c9e2f643a1d4b589e075d4f1b8a6c32"))
    )
