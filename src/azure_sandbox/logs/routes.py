"""ARM's side of Azure Monitor's logs: diagnostic settings of a cluster, and workspaces, which can only be read."""

from __future__ import annotations

from azure_sandbox.arm.errors import front, resource_not_found
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import State
from azure_sandbox.front.http import Reply
from azure_sandbox.logs.settings import check_others, read_setting
from azure_sandbox.logs.state import WORKSPACE_TYPE, Document, Setting, Workspace

GROUP = "/subscriptions/{subscription}/resourceGroups/{group}"
CLUSTER = GROUP + "/providers/Microsoft.ContainerService/managedClusters/{name}"
SETTINGS = CLUSTER + "/providers/Microsoft.Insights/diagnosticSettings"
WORKSPACE = GROUP + "/providers/" + WORKSPACE_TYPE + "/{name}"
WRITE = "Microsoft.Insights/diagnosticSettings/write"
LINKED = "Microsoft.OperationalInsights/workspaces/sharedKeys/action"  # that a client needs on the workspace
JSON = {"content-type": "application/json; charset=utf-8"}


class LogRoutes:
    """Routes of Microsoft.Insights/diagnosticSettings and Microsoft.OperationalInsights/workspaces."""

    def __init__(self, door: FrontDoor) -> None:
        self._door = door
        self._state: State = door.state
        read = "Microsoft.Insights/diagnosticSettings/read"
        door.add("GET", SETTINGS, self._settings, scope=CLUSTER, action=read)
        door.add("GET", SETTINGS + "/{setting}", self._setting, scope=CLUSTER, action=read)
        one = SETTINGS + "/{setting}"
        door.add("PUT", one, self._put, scope=CLUSTER, action=WRITE)
        door.add("DELETE", one, self._delete, scope=CLUSTER, action="Microsoft.Insights/diagnosticSettings/delete")
        door.add("GET", WORKSPACE, self._workspace, scope=WORKSPACE, action=f"{WORKSPACE_TYPE}/read")

    async def _settings(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        found = self._of(subscription, group, name)
        return Reply(200, {"value": [_shown(found[0], it) for it in found[1]]}, JSON)

    async def _setting(self, _: Call, subscription: str, group: str, name: str, setting: str) -> Reply:
        cluster, found = self._of(subscription, group, name)
        for it in found:
            if it.name.lower() == setting.lower():
                return Reply(200, _shown(cluster, it), JSON)
        raise front(404, "ResourceNotFound", f"The diagnostic setting '{setting}' was not found.")

    async def _put(self, call: Call, subscription: str, group: str, name: str, setting: str) -> Reply:
        cluster, found = self._of(subscription, group, name)
        made = read_setting(setting, call.request.json())
        self._door.require_linked(call, WRITE, [(LINKED, made.workspace)])
        if made.workspace.lower() not in self._state.logs.workspaces:
            raise front(404, "ResourceNotFound", f"The workspace '{made.workspace}' could not be found.")
        others = [it for it in found if it.name.lower() != setting.lower()]
        check_others(made, others)
        self._state.logs.settings[cluster.lower()] = [*others, made]
        return Reply(200, _shown(cluster, made), JSON)

    async def _delete(self, _: Call, subscription: str, group: str, name: str, setting: str) -> Reply:
        cluster, found = self._of(subscription, group, name)
        others = [it for it in found if it.name.lower() != setting.lower()]
        self._state.logs.settings[cluster.lower()] = others
        return Reply(204 if len(others) == len(found) else 200)

    def _of(self, subscription: str, group: str, name: str) -> tuple[str, list[Setting]]:
        self._state.group(subscription, group)
        cluster = self._state.find(subscription, group, name)
        if cluster is None:
            raise resource_not_found(group, "Microsoft.ContainerService/managedClusters", name)
        return cluster.id, self._state.logs.settings.get(cluster.id.lower(), [])

    async def _workspace(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        self._state.group(subscription, group)
        scope = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{WORKSPACE_TYPE}/{name}"
        found = self._state.logs.workspaces.get(scope.lower())
        if made := self._state.plain.get(scope.lower()):
            return Reply(200, made.shown(), JSON)
        if found is None:
            raise resource_not_found(group, WORKSPACE_TYPE, name)
        return Reply(200, _workspace(found), JSON)


def _workspace(it: Workspace) -> Document:
    return {
        "id": it.id,
        "name": it.name,
        "type": WORKSPACE_TYPE,
        "location": it.location,
        "properties": {
            "customerId": it.customer,
            "provisioningState": "Succeeded",
            "retentionInDays": 30,
            "sku": {"name": "PerGB2018"},
            "publicNetworkAccessForIngestion": "Enabled",
            "publicNetworkAccessForQuery": "Enabled",
        },
    }


def _shown(cluster: str, it: Setting) -> Document:
    retention = {"enabled": False, "days": 0}
    logs: list[Document] = [
        {"category": name, "categoryGroup": None, "enabled": True, "retentionPolicy": retention}
        for name in it.categories
    ]
    logs += [
        {"category": name, "categoryGroup": None, "enabled": False, "retentionPolicy": retention} for name in it.off
    ]
    if it.group:
        logs.append({"category": None, "categoryGroup": it.group, "enabled": True, "retentionPolicy": retention})
    metrics = [{"category": "AllMetrics", "enabled": True, "retentionPolicy": retention}]
    subscription = "/".join(cluster.split("/")[:5])
    storage = None if it.workspace else f"{subscription}/providers/Microsoft.Storage/storageAccounts/audit"
    return {
        "id": f"{cluster.lower()}/providers/microsoft.insights/diagnosticSettings/{it.name}",
        "type": "Microsoft.Insights/diagnosticSettings",
        "name": it.name,
        "location": None,
        "kind": None,
        "tags": None,
        "properties": {
            "storageAccountId": storage,
            "serviceBusRuleId": None,
            "workspaceId": it.workspace or None,
            "eventHubAuthorizationRuleId": None,
            "eventHubName": None,
            "metrics": metrics if it.metrics else [],
            "logs": logs,
            "logAnalyticsDestinationType": "Dedicated" if it.dedicated and it.workspace else None,
        },
        "identity": None,
    }
