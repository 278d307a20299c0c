"""The scale sets of the nodes: list those of a resource group or a subscription, read, and what a PATCH puts on them.

A rotation recreates them (documented), so that what a PATCH added is gone. The form is that of Microsoft.Compute
2024-07-01, without the details of the machines. That AKS sets these tags is known from programs that look for them,
such as Cluster API's provider for Azure. The list of a subscription ("Virtual Machine Scale Sets - List All") has a
`nextLink` while there is more. It shows what the caller may read, as ARM's list of clusters does; that, and how many a
page has, is inferred.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from azure_sandbox.arm.containerservice.validation import mapping
from azure_sandbox.arm.errors import front, not_modelled, resource_not_found
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import ManagedCluster, State
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
TYPE = "Microsoft.Compute/virtualMachineScaleSets"
SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/{{group}}"
ONE = f"{GROUP}/providers/{TYPE}/{{name}}"
JSON = {"content-type": "application/json; charset=utf-8"}
PATCHED = {"identity", "tags"}


class ScaleSets:
    """The routes of scale sets; `page` is the number of them on a page of a subscription's list."""

    def __init__(self, door: FrontDoor, *, page: int) -> None:
        self._page = page
        self._door = door
        self._state: State = door.state
        door.add("GET", f"{GROUP}/providers/{TYPE}", self._list, scope=GROUP, action=f"{TYPE}/read")
        door.add(
            "GET",
            f"{SUBSCRIPTION}/providers/{TYPE}",
            self._list_all,
            scope=SUBSCRIPTION,
            action=None,
            options=("$skiptoken",),
        )
        door.add("GET", ONE, self._get, scope=ONE, action=f"{TYPE}/read")
        door.add("PATCH", ONE, self._patch, scope=ONE, action=f"{TYPE}/write")

    def _all(self, subscription: str, group: str) -> list[Document]:
        home = self._state.group(subscription, group)
        clusters = [it for it in self._state.clusters.values() if it.node_group.lower() == home.id.lower()]
        return [self._shown(cluster, pool) for cluster in clusters for pool in cluster.pools]

    def _shown(self, cluster: ManagedCluster, pool: Document) -> Document:
        name = cluster.server.machines.scale_set(pool["name"])
        identity = f"{cluster.node_group}/providers/{TYPE}/{name}"
        kubelet = ((cluster.properties.get("identityProfile") or {}).get("kubeletidentity") or {}).get("resourceId")
        owns = {"aks-managed-poolName": pool["name"], "aks-managed-orchestrator": "Kubernetes"}
        shown: Document = {
            "name": name,
            "id": identity,
            "type": TYPE,
            "location": cluster.location,
            "tags": {**owns, **(cluster.document.get("tags") or {}), **(pool.get("tags") or {})},
            "identity": {"type": "UserAssigned", "userAssignedIdentities": {kubelet: {}} if kubelet else {}},
            "sku": {"name": pool.get("vmSize"), "tier": "Standard", "capacity": pool.get("count")},
            "properties": {
                "provisioningState": "Succeeded",
                "virtualMachineProfile": {"extensionProfile": {"extensions": [_extension()]}},
            },
        }
        added = self._state.scale_sets.get(identity.lower(), {})
        shown["tags"] |= added.get("tags", {})
        shown["identity"]["userAssignedIdentities"] |= added.get("identities", {})
        return shown

    def _find(self, subscription: str, group: str, name: str) -> Document:
        found = next((it for it in self._all(subscription, group) if it["name"].lower() == name.lower()), None)
        if found is None:
            raise resource_not_found(group, TYPE, name)
        return found

    async def _list(self, _: Call, subscription: str, group: str) -> Reply:
        return Reply(200, {"value": self._all(subscription, group)}, JSON)

    async def _list_all(self, call: Call, subscription: str) -> Reply:
        home = self._state.subscription(subscription)
        access, right = self._state.access, f"{TYPE}/read"
        seen = [
            shown
            for cluster in self._state.clusters_below(home.scope)
            if access.allows(call.principals, right, cluster.node_group)
            for shown in (self._shown(cluster, pool) for pool in cluster.pools)
        ]
        if not seen and not access.knows(call.principals, call.scope):
            self._door.require(call, right, call.scope)
        token = call.option("$skiptoken") or "0"
        if not token.isdecimal():
            raise front(400, "InvalidSkipToken", "The skip token cannot be read.")
        end = int(token) + self._page
        body: Document = {"value": seen[int(token) : end]}
        if end < len(seen):
            query = f"api-version={call.version}&%24skiptoken={end}"
            body["nextLink"] = f"https://management.azure.com{call.request.path}?{query}"
        return Reply(200, body, JSON)

    async def _get(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        return Reply(200, self._find(subscription, group, name), JSON)

    async def _patch(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        found = self._find(subscription, group, name)
        sent = call.request.json()
        if others := set(sent) - PATCHED:
            raise not_modelled(f"a PATCH of a scale set's {', '.join(sorted(others))}")
        identity = mapping(sent.get("identity"), "identity")
        added = self._state.scale_sets.setdefault(found["id"].lower(), {})
        added["tags"] = {**added.get("tags", {}), **mapping(sent.get("tags"), "tags")}
        given = mapping(identity.get("userAssignedIdentities"), "identity.userAssignedIdentities")
        added["identities"] = {**added.get("identities", {}), **given}
        return Reply(200, self._find(subscription, group, name), JSON)


def _extension() -> Document:
    properties = {"publisher": "Microsoft.Azure.Extensions", "type": "CustomScript", "typeHandlerVersion": "2.0"}
    return {"name": "vmssCSE", "properties": properties}


def recreate(state: State, cluster: ManagedCluster, when: dt.datetime) -> None:
    """Let the nodes of new scale sets appear; what was put on the old ones is gone."""
    cluster.server.machines.appear(when)
    prefix = f"{cluster.node_group}/".lower()
    for key in [it for it in state.scale_sets if it.startswith(prefix)]:
        del state.scale_sets[key]
