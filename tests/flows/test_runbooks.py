from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aks_entra import prefect_client
from aks_entra.core.debt import Sighting
from aks_entra.core.verdict import Outcome
from aks_entra.fleet_file import AdminGroupFile, FleetFile
from azure_sandbox.http import Reply
from flows.inventory_fleet import inventory_fleet
from flows.provision_cluster import provision_cluster
from flows.verify_fleet import verify_fleet

if TYPE_CHECKING:
    from tests.flows.conftest import House

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_cluster_is_provisioned_closed_and_our_evidence_says_so(house: House) -> None:
    with house.inside():
        group = AdminGroupFile(name="new-admins", create=True)
        for again in (False, True):
            state = await provision_cluster(
                "prod-eu", "fresh", "new-01", "westeurope", [group], nodes=1, return_state=True
            )
            assert state.is_completed(), state.message
            assert house.writes("fresh") == ["PUT new-01"], again
        mine = [one for one in await prefect_client.records() if one.cluster.endswith("/new-01")]
        assert Sighting.CREATED_CLOSED in {one.sighting for one in mine}


async def test_a_cluster_that_is_there_otherwise_is_refused_and_no_group_is_made(house: House) -> None:
    with house.inside():
        before = len(house.exchanges)
        group = AdminGroupFile(name="never-made", create=True)
        state = await provision_cluster("prod-eu", "quiet", "open", "westeurope", [group], return_state=True)
        assert state.is_failed()
        assert "the cluster exists and is otherwise" in str(state.message)
        assert not [one for one in house.exchanges[before:] if one.method in {"PUT", "PATCH"}]


async def test_a_cluster_that_may_not_be_seen_is_not_taken_for_missing(house: House) -> None:
    denied = {"error": {"code": "AuthorizationFailed", "message": "The client does not have authorization."}}
    with house.inside():
        house.sandbox.faults.add(
            "GET", "/resourceGroups/quiet/.*/managedClusters/unseen$", answer=Reply(403, denied, {})
        )
        group = AdminGroupFile(name="never-made", create=True)
        state = await provision_cluster("prod-eu", "quiet", "unseen", "westeurope", [group], return_state=True)
        assert state.is_failed()
        assert house.sandbox.faults.waiting == ()
        assert house.writes("quiet") == []


async def test_inventory_and_the_drift_watch_only_read(house: House) -> None:
    with house.inside():
        fleet = FleetFile.model_validate(house.fleet("quiet"))
        assert (await inventory_fleet(["prod-eu"], probe=True, return_state=True)).is_completed()
        assert (await inventory_fleet(fleet=fleet, return_state=True)).message == "2 clusters"
        assert (await inventory_fleet(return_state=True)).is_failed()
        state = await verify_fleet(fleet=fleet, return_state=True)
        assert state.is_failed()
        assert str(state.message).startswith("2 of 2 clusters are not verified")
        plan = await house.plan("quiet")
        assert (await verify_fleet(plan=plan.digest, return_state=True)).is_failed()
        assert house.writes("quiet") == []
        assert {one.outcome for one in (await prefect_client.verdicts(plan.digest)).values()} <= {Outcome.VERIFIED}


async def test_the_drift_watch_takes_the_last_plan_of_every_fleet(house: House) -> None:
    with house.inside():
        state = await verify_fleet(return_state=True)
        assert state.message is not None
