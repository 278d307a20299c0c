"""The fleets of Azure Kubernetes Fleet Manager and their members, to read. The fleet's own writes are not modelled.

Relies on the documented API of Microsoft.ContainerService/fleets (2025-03-01); no recording has one.
"""

from __future__ import annotations

from typing import Any

from azure_sandbox.arm.authorization.access import normal
from azure_sandbox.arm.errors import resource_not_found
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import State
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
TYPE = "Microsoft.ContainerService/fleets"
SUBSCRIPTION = "/subscriptions/{subscription}"
FLEET = f"{SUBSCRIPTION}/resourceGroups/{{group}}/providers/{TYPE}/{{name}}"
JSON = {"content-type": "application/json; charset=utf-8"}


def fleet_id(subscription: str, group: str, name: str) -> str:
    """Return the resource id of a fleet."""
    return FLEET.format(subscription=subscription, group=group, name=name)


class FleetRoutes:
    """List the fleets of a subscription and the members of a fleet."""

    def __init__(self, door: FrontDoor) -> None:
        self._state: State = door.state
        door.add("GET", f"{SUBSCRIPTION}/providers/{TYPE}", self._list, scope=SUBSCRIPTION, action=f"{TYPE}/read")
        door.add("GET", f"{FLEET}/members", self._members, scope=FLEET, action=f"{TYPE}/members/read")

    async def _list(self, _: Call, subscription: str) -> Reply:
        home = self._state.subscription(subscription)
        mine = [it for it in self._state.fleets if normal(it).startswith(f"/subscriptions/{home.id.lower()}/")]
        return Reply(200, {"value": [_fleet(it) for it in sorted(mine)]}, JSON)

    async def _members(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        self._state.group(subscription, group)
        wanted = normal(fleet_id(subscription, group, name))
        found = next((it for it in self._state.fleets if normal(it) == wanted), None)
        if found is None:
            raise resource_not_found(group, TYPE, name)
        return Reply(200, {"value": [_member(found, it) for it in self._state.fleets[found]]}, JSON)


def _fleet(id_: str) -> Document:
    properties = {"provisioningState": "Succeeded", "status": {}}
    name = id_.rpartition("/")[2]
    return {"id": id_, "name": name, "type": TYPE, "location": "westeurope", "properties": properties}


def _member(fleet: str, cluster: str) -> Document:
    name = cluster.rpartition("/")[2]
    properties = {"clusterResourceId": cluster, "provisioningState": "Succeeded", "status": {}}
    return {"id": f"{fleet}/members/{name}", "name": name, "type": f"{TYPE}/members", "properties": properties}
