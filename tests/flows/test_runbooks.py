from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aks_entra import prefect_client
from aks_entra.core.evidence.rotation_debt import Sighting
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.fleet_file.cluster_file import ClusterFile
from aks_entra.fleet_file.model import FleetFile
from aks_entra.prefect_client import events
from azure_sandbox.front.http import Reply
from flows.inventory_fleet import inventory_fleet
from flows.provision_cluster import provision_cluster
from flows.verify_fleet import verify_fleet
from tests.support.sent_events import sent

if TYPE_CHECKING:
    from tests.flows.conftest import PrefectStack

pytestmark = pytest.mark.asyncio(loop_scope="session")


def wanted(group: str, name: str, **others: object) -> ClusterFile:
    said = {"version": 1, "kind": "cluster", "subscription": "prod-eu", "resource_group": group, "name": name}
    return ClusterFile.model_validate({**said, "location": "westeurope", **others})


async def test_a_cluster_is_provisioned_closed_and_our_evidence_says_so(stack: PrefectStack) -> None:
    window = {"name": "aksManagedAutoUpgradeSchedule", "day": "sat", "start_time": "02:00"}
    with stack.inside():
        cluster = wanted(
            "fresh",
            "new-01",
            admin_groups=[{"name": "new-admins", "create": True}],
            node_pools=[{"name": "system", "count": 1}],
            maintenance_windows=[window],
        )
        for again in (False, True):
            state = await provision_cluster(cluster, return_state=True)
            assert state.is_completed(), state.message
            assert stack.writes("fresh") == ["PUT new-01", "PUT aksManagedAutoUpgradeSchedule"], again
        mine = [one for one in await prefect_client.records() if one.cluster.endswith("/new-01")]
        assert Sighting.CREATED_CLOSED in {one.sighting for one in mine}


async def test_what_cannot_be_created_is_refused_and_no_group_is_created(stack: PrefectStack) -> None:
    with stack.inside():
        before = len(stack.exchanges)
        group = {"name": "never-made", "create": True}
        for cluster, said in (
            (wanted("quiet", "open", admin_groups=[group]), "a cluster with this name exists, but differs"),
            (wanted("quiet", "old", admin_groups=[group], kubernetes_version="1.19"), "does not offer Kubernetes 1.19"),
        ):
            state = await provision_cluster(cluster, return_state=True)
            assert state.is_failed()
            assert said in str(state.message)
        assert not [one for one in stack.exchanges[before:] if one.method in {"PUT", "PATCH"}]


async def test_a_cluster_that_may_not_be_read_does_not_count_as_missing(stack: PrefectStack) -> None:
    denied = {"error": {"code": "AuthorizationFailed", "message": "The client does not have authorization."}}
    with stack.inside():
        stack.sandbox.faults.add(
            "GET", "/resourceGroups/quiet/.*/managedClusters/unseen$", answer=Reply(403, denied, {})
        )
        cluster = wanted("quiet", "unseen", admin_groups=[{"name": "never-made", "create": True}])
        state = await provision_cluster(cluster, return_state=True)
        assert state.is_failed()
        assert stack.sandbox.faults.waiting == ()
        assert stack.writes("quiet") == []


async def test_inventory_and_the_drift_watch_only_read(stack: PrefectStack) -> None:
    with stack.inside():
        fleet = FleetFile.model_validate(stack.fleet("quiet"))
        assert (await inventory_fleet(["prod-eu"], probe=True, return_state=True)).is_completed()
        assert (await inventory_fleet(fleet=fleet, return_state=True)).message == "2 clusters"
        assert (await inventory_fleet(return_state=True)).is_failed()
        state = await verify_fleet(fleet=fleet, return_state=True)
        assert state.is_failed()
        assert str(state.message).startswith("2 of 2 clusters are not verified")
        told = await sent(events.fleet_id("quiet"), events.FLEET_DRIFT_FOUND, events.DRIFT_FOUND)
        assert told[events.FLEET_DRIFT_FOUND]["payload"]["drifted"] == 2
        assert told[events.DRIFT_FOUND]["resource"]["prefect.resource.id"].startswith(
            "aks-entra.cluster/subscriptions/"
        )
        plan = await stack.plan("quiet")
        assert (await verify_fleet(plan=plan.digest, return_state=True)).is_failed()
        assert stack.writes("quiet") == []
        assert {one.outcome for one in (await prefect_client.verdicts(plan.digest)).values()} <= {Outcome.VERIFIED}


async def test_the_drift_watch_takes_the_last_plan_of_every_fleet(stack: PrefectStack) -> None:
    with stack.inside():
        state = await verify_fleet(return_state=True)
        assert state.message is not None
