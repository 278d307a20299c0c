"""Operations that fail, hang, are pre-empted or leave something behind, each as it was scripted and accounted for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from azure_sandbox.arm.lengths import DURATIONS, RANGES, Lengths
from azure_sandbox.arm.spec import ClusterSpec, WorkloadSpec
from azure_sandbox.clock import Clock
from azure_sandbox.operation_faults import OperationFault, OperationFaultKind, OperationFaults
from tests.sandbox.arm_desk import ADMINS, LONG, Desk, cluster_id

SHOP = cluster_id("shop-01")


class Bad:
    """A desk on a bad day."""

    def __init__(self) -> None:
        self.faults = OperationFaults()
        web = WorkloadSpec(name="web", namespace="shop", replicas=2)
        spec = ClusterSpec(name="shop-01", nodes=3, identity="managed", admin_groups=(ADMINS,), workloads=(web,))
        self.desk = Desk(spec, faults=self.faults)

    def add(self, kind: OperationFaultKind, operation: str = "*", **more: Any) -> None:
        self.faults.add(OperationFault(kind=kind, operation=operation, **more))

    async def rotate(self) -> str:
        self.url = (await self.desk.send("POST", f"{SHOP}/rotateClusterCertificates")).headers["azure-asyncoperation"]
        return self.url

    async def body(self) -> Any:
        return await self.desk.get(self.url)

    def ready(self) -> int:
        nodes = self.desk.server("shop-01").store.list(("", "nodes"))
        return sum(it["status"]["conditions"][0]["status"] == "True" for it in nodes)


@pytest.fixture(name="bad")
def a_bad_day() -> Bad:
    return Bad()


async def test_it_fails_with_azures_error_and_can_be_repeated(bad: Bad) -> None:
    bad.add("fails", "rotate", at=0.6)
    await bad.rotate()
    bad.desk.clock.advance(LONG)
    failed = await bad.body()
    assert (failed["status"], failed["error"]["code"]) == ("Failed", "ProvisioningControlPlaneError")
    assert (await bad.desk.get(SHOP))["properties"]["provisioningState"] == "Failed"
    assert 0 < bad.ready() < 3
    assert not bad.faults.waiting
    await bad.rotate()
    bad.desk.clock.advance(LONG)
    assert ((await bad.body())["status"], bad.ready()) == ("Succeeded", 3)


async def test_it_is_cancelled_never_ends_or_takes_longer(bad: Bad) -> None:
    bad.add("canceled", "stop")
    bad.add("never-ends", "rotate")
    bad.add("slow-operation", "update", factor=100)
    stopped = await bad.desk.send("POST", f"{SHOP}/stop")
    bad.desk.clock.advance(LONG)
    assert await bad.desk.status_of(stopped) == "Canceled"
    changed = await bad.desk.change("shop-01", tags=None)
    bad.desk.clock.advance(timedelta(seconds=DURATIONS["update"] + 10))
    assert await bad.desk.status_of(changed) == "InProgress"
    bad.desk.clock.advance(LONG * 5)
    assert await bad.desk.status_of(changed) == "Succeeded"
    await bad.rotate()
    bad.desk.clock.advance(LONG * 100)
    assert (await bad.body())["status"] == "InProgress"
    assert (await bad.desk.refused("POST", f"{SHOP}/stop"))[:2] == (409, "OperationNotAllowed")


async def test_another_operation_takes_the_cluster_away(bad: Bad) -> None:
    bad.add("pre-empted", "update")
    changed = await bad.desk.change("shop-01", tags=None)
    bad.desk.clock.advance(timedelta(seconds=70))
    found = await bad.desk.get(changed.headers["azure-asyncoperation"])
    assert (found["status"], found["error"]["code"]) == ("Failed", "OriginalEtagNotExpect")
    assert (await bad.desk.get(SHOP))["properties"]["provisioningState"] == "Updating"
    assert (await bad.desk.refused("POST", f"{SHOP}/stop"))[0] == 409
    bad.desk.clock.advance(LONG)
    assert (await bad.desk.get(SHOP))["properties"]["provisioningState"] == "Succeeded"


async def test_an_error_beside_a_running_status_decides_nothing(bad: Bad) -> None:
    bad.add("error-inside", "rotate", at=0.1)
    await bad.rotate()
    bad.desk.clock.advance(timedelta(seconds=300))
    found = await bad.body()
    assert (found["status"], found["error"]["code"]) == ("InProgress", "NotLatestOperation")
    bad.desk.clock.advance(LONG)
    assert (await bad.body())["status"] == "Succeeded"


async def test_a_node_does_not_come_back(bad: Bad) -> None:
    bad.add("node-missing", "rotate")
    await bad.rotate()
    bad.desk.clock.advance(LONG)
    assert ((await bad.body())["status"], bad.ready()) == ("Succeeded", 2)


async def test_a_webhook_that_trusted_the_old_authority_lets_no_pod_in(bad: Bad) -> None:
    bad.add("webhook-breaks", "rotate")
    await bad.rotate()
    bad.desk.clock.advance(LONG)
    assert (await bad.body())["status"] == "Succeeded"
    store = bad.desk.server("shop-01").store
    web = store.get(("apps", "deployments"), "shop", "web")
    assert web is not None
    assert "availableReplicas" not in web["status"]
    dns = store.get(("apps", "deployments"), "kube-system", "coredns")
    assert dns is not None
    assert dns["status"]["availableReplicas"] == 2


async def test_a_static_token_outlives_the_rotation(bad: Bad) -> None:
    certificate, token = await bad.desk.held("shop-01")
    bad.add("token-survives")
    await bad.rotate()
    bad.desk.clock.advance(LONG)
    assert (await bad.desk.kube("shop-01", "GET", "/api/v1/nodes", certificate=certificate)).status == 401
    assert (await bad.desk.kube("shop-01", "GET", "/api/v1/nodes", token=token)).status == 200


def test_the_queue_refuses_what_it_does_not_know_and_keeps_account() -> None:
    faults = OperationFaults()
    with pytest.raises(ValueError, match="no fault of an operation is called 'odd'"):
        faults.add(OperationFault(kind="odd"))  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(ValueError, match="share"):
        faults.add(OperationFault(kind="fails", at=2))
    faults.add(OperationFault(kind="fails", operation="stop", cluster="pay-*"), times=2)
    assert faults.take("stop", "shop-01") == faults.take("start", "pay-01") == {}
    assert set(faults.take("stop", "PAY-01")) == {"fails"}
    assert (faults.injected, len(faults.consumed), len(faults.waiting)) == (2, 1, 1)
    faults.clear()
    assert faults.waiting == ()


def test_durations_are_drawn_between_the_recorded_ones_and_the_same_in_every_run() -> None:
    drawn = [[Lengths({}, 7)("create", f"c-{it}") for it in range(50)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    low, high = RANGES["create"]
    assert all(low <= it <= high for it in drawn[0])
    assert len(set(drawn[0])) == 50
    assert Lengths({"create": 5}, 7)("create", "x") == 5
    assert Lengths({})("create", "x") == DURATIONS["create"]


async def test_by_hand_operations_stand_still_until_somebody_moves_them() -> None:
    clock = Clock.at("by-hand")
    desk = Desk(ClusterSpec(name="shop-01"), clock=clock)
    rotated = await desk.send("POST", f"{SHOP}/rotateClusterCertificates")
    before = clock.now()
    assert await desk.status_of(rotated) == "InProgress"
    clock.advance(timedelta(minutes=12))
    assert await desk.status_of(rotated) == "InProgress"
    assert desk.server("shop-01").reachable
    authority = desk.server("shop-01").generation.authority.certificate
    assert (
        authority.not_valid_before_utc < clock.now() < before + timedelta(minutes=1)
    )  # certificates live in true time
    clock.advance(timedelta(minutes=15))
    assert await desk.status_of(rotated) == "Succeeded"


@pytest.mark.parametrize("pace", ["", "slow", "-1", "0", "nan"])
def test_a_wrong_pace_is_refused(pace: str) -> None:
    with pytest.raises(ValueError, match="pace"):
        Clock.at(pace)


def test_paces_have_names() -> None:
    assert [Clock.at(it).pace for it in ("real", "fast", "7")] == [1, 1000, 7]
    assert Clock.at("instant").duration_scale == 0
