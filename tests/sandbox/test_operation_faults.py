"""Operations that fail, hang, are pre-empted or leave something behind, each as scripted and counted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from azure_sandbox.arm.containerservice.durations import DURATIONS, RANGES, Durations
from azure_sandbox.arm.containerservice.spec import ClusterSpec, WorkloadSpec
from azure_sandbox.clock import Clock
from azure_sandbox.faults.operations import OperationFault, OperationFaultKind, OperationFaults
from tests.support.arm_client import ADMINS, LONG, ArmClient, cluster_id

SHOP = cluster_id("shop-01")


class FaultyCluster:
    """One cluster with a queue of operation faults."""

    def __init__(self) -> None:
        self.faults = OperationFaults()
        web = WorkloadSpec(name="web", namespace="shop", replicas=2)
        spec = ClusterSpec(name="shop-01", nodes=3, identity="managed", admin_groups=(ADMINS,), workloads=(web,))
        self.client = ArmClient(spec, faults=self.faults)

    def add(self, kind: OperationFaultKind, operation: str = "*", **more: Any) -> None:
        self.faults.add(OperationFault(kind=kind, operation=operation, **more))

    async def rotate(self) -> str:
        self.url = (await self.client.send("POST", f"{SHOP}/rotateClusterCertificates")).headers["azure-asyncoperation"]
        return self.url

    async def body(self) -> Any:
        return await self.client.get(self.url)

    def ready(self) -> int:
        nodes = self.client.server("shop-01").store.list(("", "nodes"))
        return sum(it["status"]["conditions"][0]["status"] == "True" for it in nodes)


@pytest.fixture(name="faulty")
def a_faulty_cluster() -> FaultyCluster:
    return FaultyCluster()


async def test_a_failed_operation_has_azures_error_and_can_be_repeated(faulty: FaultyCluster) -> None:
    faulty.add("fails", "rotate", at=0.6)
    await faulty.rotate()
    faulty.client.clock.advance(LONG)
    failed = await faulty.body()
    assert (failed["status"], failed["error"]["code"]) == ("Failed", "ProvisioningControlPlaneError")
    assert (await faulty.client.get(SHOP))["properties"]["provisioningState"] == "Failed"
    assert 0 < faulty.ready() < 3
    assert not faulty.faults.waiting
    await faulty.rotate()
    faulty.client.clock.advance(LONG)
    assert ((await faulty.body())["status"], faulty.ready()) == ("Succeeded", 3)


async def test_an_operation_is_cancelled_never_ends_or_takes_longer(faulty: FaultyCluster) -> None:
    faulty.add("canceled", "stop")
    faulty.add("never-ends", "rotate")
    faulty.add("slow-operation", "update", factor=100)
    stopped = await faulty.client.send("POST", f"{SHOP}/stop")
    faulty.client.clock.advance(LONG)
    assert await faulty.client.status_of(stopped) == "Canceled"
    changed = await faulty.client.change("shop-01", tags=None)
    faulty.client.clock.advance(timedelta(seconds=DURATIONS["update"] + 10))
    assert await faulty.client.status_of(changed) == "InProgress"
    faulty.client.clock.advance(LONG * 5)
    assert await faulty.client.status_of(changed) == "Succeeded"
    await faulty.rotate()
    faulty.client.clock.advance(LONG * 100)
    assert (await faulty.body())["status"] == "InProgress"
    assert (await faulty.client.refused("POST", f"{SHOP}/stop"))[:2] == (409, "OperationNotAllowed")


async def test_another_operation_replaces_the_present_one(faulty: FaultyCluster) -> None:
    faulty.add("pre-empted", "update")
    changed = await faulty.client.change("shop-01", tags=None)
    faulty.client.clock.advance(timedelta(seconds=70))
    found = await faulty.client.get(changed.headers["azure-asyncoperation"])
    assert (found["status"], found["error"]["code"]) == ("Failed", "OriginalEtagNotExpect")
    assert (await faulty.client.get(SHOP))["properties"]["provisioningState"] == "Updating"
    assert (await faulty.client.refused("POST", f"{SHOP}/stop"))[0] == 409
    faulty.client.clock.advance(LONG)
    assert (await faulty.client.get(SHOP))["properties"]["provisioningState"] == "Succeeded"


async def test_an_error_with_status_in_progress_does_not_end_an_operation(faulty: FaultyCluster) -> None:
    faulty.add("error-inside", "rotate", at=0.1)
    await faulty.rotate()
    faulty.client.clock.advance(timedelta(seconds=300))
    found = await faulty.body()
    assert (found["status"], found["error"]["code"]) == ("InProgress", "NotLatestOperation")
    faulty.client.clock.advance(LONG)
    assert (await faulty.body())["status"] == "Succeeded"


async def test_a_node_does_not_come_back(faulty: FaultyCluster) -> None:
    faulty.add("node-missing", "rotate")
    await faulty.rotate()
    faulty.client.clock.advance(LONG)
    assert ((await faulty.body())["status"], faulty.ready()) == ("Succeeded", 2)


async def test_a_webhook_that_trusts_the_old_ca_blocks_pods(faulty: FaultyCluster) -> None:
    faulty.add("webhook-breaks", "rotate")
    await faulty.rotate()
    faulty.client.clock.advance(LONG)
    assert (await faulty.body())["status"] == "Succeeded"
    store = faulty.client.server("shop-01").store
    web = store.get(("apps", "deployments"), "shop", "web")
    assert web is not None
    assert "availableReplicas" not in web["status"]
    dns = store.get(("apps", "deployments"), "kube-system", "coredns")
    assert dns is not None
    assert dns["status"]["availableReplicas"] == 2


async def test_a_static_token_survives_the_rotation(faulty: FaultyCluster) -> None:
    certificate, token = await faulty.client.held("shop-01")
    faulty.add("token-survives")
    await faulty.rotate()
    faulty.client.clock.advance(LONG)
    assert (await faulty.client.kube("shop-01", "GET", "/api/v1/nodes", certificate=certificate)).status == 401
    assert (await faulty.client.kube("shop-01", "GET", "/api/v1/nodes", token=token)).status == 200


async def test_one_instance_of_an_api_server_keeps_the_old_keys(faulty: FaultyCluster) -> None:
    certificate, token = await faulty.client.held("shop-01")
    faulty.add("instance-stale")
    await faulty.rotate()
    faulty.client.clock.advance(LONG)
    for held in ({"certificate": certificate}, {"token": token}):
        answers = [(await faulty.client.kube("shop-01", "GET", "/api/v1/nodes", **held)).status for _ in range(3)]
        assert sorted(answers) == [200, 401, 401]


def test_the_queue_refuses_unknown_kinds_and_counts_faults() -> None:
    faults = OperationFaults()
    with pytest.raises(ValueError, match="unknown kind of operation fault 'odd'"):
        faults.add(OperationFault(kind="odd"))  # type: ignore[arg-type]  # the test passes a wrong kind
    with pytest.raises(ValueError, match="point in the operation"):
        faults.add(OperationFault(kind="fails", at=2))
    faults.add(OperationFault(kind="fails", operation="stop", cluster="pay-*"), times=2)
    assert faults.take("stop", "shop-01") == faults.take("start", "pay-01") == {}
    assert set(faults.take("stop", "PAY-01")) == {"fails"}
    assert (faults.injected, len(faults.consumed), len(faults.waiting)) == (2, 1, 1)
    faults.clear()
    assert faults.waiting == ()


def test_durations_are_drawn_from_recorded_ones_and_repeatable() -> None:
    drawn = [[Durations({}, 7)("create", f"c-{it}") for it in range(50)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    low, high = RANGES["create"]
    assert all(low <= it <= high for it in drawn[0])
    assert len(set(drawn[0])) == 50
    assert Durations({"create": 5}, 7)("create", "x") == 5
    assert Durations({})("create", "x") == DURATIONS["create"]


async def test_by_hand_operations_progress_only_when_the_clock_is_advanced() -> None:
    clock = Clock.at("by-hand")
    client = ArmClient(ClusterSpec(name="shop-01"), clock=clock)
    rotated = await client.send("POST", f"{SHOP}/rotateClusterCertificates")
    before = clock.now()
    assert await client.status_of(rotated) == "InProgress"
    clock.advance(timedelta(minutes=12))
    assert await client.status_of(rotated) == "InProgress"
    assert client.server("shop-01").reachable
    authority = client.server("shop-01").generation.authority.certificate
    assert authority.not_valid_before_utc < clock.now() < before + timedelta(minutes=1)  # certificates use real time
    clock.advance(timedelta(minutes=15))
    assert await client.status_of(rotated) == "Succeeded"


@pytest.mark.parametrize("pace", ["", "slow", "-1", "0", "nan"])
def test_a_wrong_pace_is_refused(pace: str) -> None:
    with pytest.raises(ValueError, match="pace"):
        Clock.at(pace)


def test_paces_have_names() -> None:
    assert [Clock.at(it).pace for it in ("real", "fast", "7")] == [1, 1000, 7]
    assert Clock.at("instant").duration_scale == 0
