"""What there is: every cluster, who signs in how, and whether old credentials still open it. Reads only."""

from __future__ import annotations

import json
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from aks_entra.core.fleet import Selector
from aks_entra.errors import Refused
from aks_entra.fleet_file import FleetFile
from aks_entra.prefect_client import pages, store
from aks_entra.prefect_client.life import sign_on
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tasks.surveys import take_inventory


@flow(name="inventory-fleet", persist_result=False)
async def inventory_fleet(
    subscriptions: list[str] | None = None,
    fleet: FleetFile | None = None,
    probe: bool = False,
    read: bool = False,
) -> State[Any]:
    """Take inventory of subscriptions, or of a fleet's clusters.

    Args:
        subscriptions: names or ids.
        fleet: the fleet file's content.
        probe: also ask each API server for its certificate (needs no credential).
        read: also read each cluster's CA from its user kubeconfig.
    """
    await sign_on()
    selectors = (
        *(Selector(subscription=name) for name in subscriptions or ()),
        *(fleet.to_fleet().selectors if fleet else ()),
    )
    if not selectors:
        raise Refused("which clusters?", remedy="give subscriptions or a fleet as the run's parameters")
    async with open_session(Settings()):
        declared = fleet.to_fleet().target.admin_groups if fleet else ()
        rows = await take_inventory(selectors, probe=probe, read=read, declared=declared)
    await store.show("inventory", kind="table", data=json.dumps(pages.inventory_rows(rows)))
    return Completed(message=f"{len(rows)} clusters")
