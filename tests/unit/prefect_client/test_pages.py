"""The pages and tables that Prefect shows."""

from __future__ import annotations

from dataclasses import replace

from aks_entra.prefect_client.pages import inventory_rows
from tests.support.memory_fleets import WHOLE, fleet_world, rows


async def test_an_inventory_of_several_subscriptions_names_them() -> None:
    """Clusters of two subscriptions may have the same name and resource group."""
    (one,) = await rows(fleet_world(1), WHOLE)
    elsewhere = replace(one.posture.cluster, subscription_id="other")
    other = replace(one, posture=replace(one.posture, cluster=elsewhere))
    assert "subscription" not in inventory_rows((one,))[0]
    assert [row["subscription"] for row in inventory_rows((one, other))] == [
        one.posture.cluster.subscription_id,
        "other",
    ]
