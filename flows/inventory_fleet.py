"""Take inventory: every cluster, how people sign in, and whether old credentials still work. It only reads."""

from __future__ import annotations

import json
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from aks_entra.core.planning.fleet import Selector
from aks_entra.errors import Refused
from aks_entra.fleet_file.model import FleetFile
from aks_entra.planning.selection import Selection
from aks_entra.prefect_client import artifacts, pages
from aks_entra.prefect_client.liveness import register
from aks_entra.settings import Settings
from aks_entra.text.safe import for_log
from tasks.planning import take_inventory
from tasks.session import open_session


@flow(name="inventory-fleet", persist_result=False)
async def inventory_fleet(
    subscriptions: list[str] | None = None,
    management_groups: list[str] | None = None,
    tenant: bool = False,
    fleet: FleetFile | None = None,
    probe: bool = False,
    read: bool = False,
) -> State[Any]:
    """Take inventory of subscriptions, or of a fleet's clusters.

    Args:
        subscriptions: names or ids.
        management_groups: ids; every subscription below them.
        tenant: every subscription that the worker's identity can see.
        fleet: the fleet file's content.
        probe: also ask each API server for its certificate. This needs no credential.
        read: also read each cluster's CA from its user kubeconfig.
    """
    await register()
    whole = fleet.to_fleet() if fleet else None
    selectors = (
        *(Selector(subscription=name) for name in subscriptions or ()),
        *(Selector(management_group=name) for name in management_groups or ()),
        *([Selector(tenant=True)] if tenant else []),
        *(whole.selectors if whole else ()),
    )
    if not selectors:
        raise Refused("no clusters were named", remedy="give subscriptions or a fleet as the run's parameters")
    async with open_session(Settings()):
        wanted = Selection(selectors=selectors, excluded=whole.excluded if whole else ())
        declared = whole.target.admin_groups if whole else ()
        rows, problems = await take_inventory(wanted, probe=probe, read=read, declared=declared)
    await artifacts.show("inventory", kind="table", data=json.dumps(pages.inventory_rows(rows)))
    if problems:
        return Failed(message=f"{len(rows)} clusters; not shown: {'; '.join(map(for_log, problems))}")
    return Completed(message=f"{len(rows)} clusters")
