"""The lists of resources of all types in a subscription or group, for `az resource list` and Terraform's destroy."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from azure_sandbox.arm.authorization.role_assignments import terms
from azure_sandbox.arm.containerservice.paging import ARM_SKIP, cut
from azure_sandbox.arm.errors import front, not_modelled
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.network.networks import NETWORK_TYPE
from azure_sandbox.arm.network.routes import ADDRESSES, addresses_of
from azure_sandbox.arm.resources.plain import IDENTITY_TYPE
from azure_sandbox.arm.state import CLUSTER_TYPE, State
from azure_sandbox.front.http import Reply
from azure_sandbox.logs.state import WORKSPACE_TYPE

Document = dict[str, Any]
SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/{{group}}"
JSON = {"content-type": "application/json; charset=utf-8"}
LISTED = (CLUSTER_TYPE, NETWORK_TYPE, IDENTITY_TYPE, WORKSPACE_TYPE, ADDRESSES)
SHOWN = ("id", "name", "type", "location", "sku", "kind", "identity", "zones", "tags")
ADDED = ("createdTime", "changedTime", "provisioningState")
FILTERS = {"resourcetype": "type", "resourcegroup": "group", "location": "location", "name": "name"}


class ResourceList:
    """The resources that the caller may read; each one shows what all types have in common."""

    def __init__(self, door: FrontDoor) -> None:
        self._state: State = door.state
        options = ("$filter", "$expand", *ARM_SKIP)
        for scope in (SUBSCRIPTION, GROUP):
            door.add("GET", f"{scope}/resources", self._list, scope=scope, action=None, options=options)

    async def _list(self, call: Call, subscription: str, group: str = "") -> Reply:
        home = self._state.subscription(subscription)
        scope = self._state.group(subscription, group).id if group else home.scope
        wanted, added = self._wanted(call), self._added(call)
        found = []
        for it, created in self._resources(scope):
            if not self._state.access.allows(call.principals, f"{it['type']}/read", it["id"]):
                continue
            if all(_value(it, key).lower() == value.lower() for key, value in wanted.items()):
                found.append(_shown(it, created, added))
        return Reply(200, cut(found, call), JSON)

    @staticmethod
    def _wanted(call: Call) -> dict[str, str]:
        wanted = terms(call.option("$filter"))
        if unknown := set(wanted) - set(FILTERS):
            raise not_modelled(f"the filter {sorted(unknown)} on resources")
        kind = wanted.get("resourcetype", "")
        if kind and kind.lower() not in {it.lower() for it in LISTED}:
            text = f"The sandbox does not model resources of the type {kind}, and therefore cannot list them."
            raise front(501, "SandboxRouteNotModelled", text)
        return {FILTERS[key]: value for key, value in wanted.items()}

    @staticmethod
    def _added(call: Call) -> set[str]:
        added = {it.strip() for it in call.option("$expand").split(",") if it.strip()}
        if unknown := sorted(added - set(ADDED)):
            raise front(400, "InvalidExpand", f"The value '{', '.join(unknown)}' of $expand is invalid.")
        return added

    def _resources(self, scope: str) -> Iterator[tuple[Document, dt.datetime | None]]:
        for cluster in self._state.clusters_below(scope):
            whole = {
                **cluster.document,
                "name": cluster.name,
                "type": CLUSTER_TYPE,
                "id": cluster.id.replace("/resourcegroups/", "/resourceGroups/"),
                "properties": {"provisioningState": cluster.state},
            }
            yield whole, cluster.server.blueprint.created
        home = scope.split("/")[2]
        for cluster in self._state.clusters_below(f"/subscriptions/{home}"):
            if f"{cluster.node_group}/".lower().startswith(f"{scope}/".lower()):
                yield from ((it, cluster.server.blueprint.created) for it in addresses_of(cluster))
        for it in self._state.networks.below(scope):
            network: Document = {"id": it.id, "name": it.name, "type": NETWORK_TYPE, "location": it.location}
            yield {**network, "tags": it.tags, "properties": {"provisioningState": "Succeeded"}}, None
        for plain in self._state.plain_below(scope):
            yield plain.shown(), plain.created


def _value(it: Document, key: str) -> str:
    return str(it["id"].split("/")[4] if key == "group" else it[key])


def _shown(it: Document, created: dt.datetime | None, added: set[str]) -> Document:
    shown = {key: it[key] for key in SHOWN if it.get(key)}
    if created is not None:
        shown |= {key: f"{created:%Y-%m-%dT%H:%M:%S.%f}0Z" for key in ("createdTime", "changedTime") if key in added}
    if "provisioningState" in added:
        shown["provisioningState"] = it["properties"].get("provisioningState", "Succeeded")
    return shown
