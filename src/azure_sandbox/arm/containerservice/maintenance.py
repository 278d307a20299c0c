"""The routes of maintenance configurations: the maintenance windows in which AKS upgrades clusters by itself."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from azure_sandbox.arm.containerservice.clusters import CLUSTER, JSON
from azure_sandbox.arm.errors import bad_request, resource_not_found
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import CLUSTER_TYPE, ManagedCluster, State
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
CONFIGURATIONS = f"{CLUSTER}/maintenanceConfigurations"
CONFIGURATION = f"{CONFIGURATIONS}/{{configuration}}"
OWN_SCHEDULE = ("aksManagedAutoUpgradeSchedule", "aksManagedNodeOSUpgradeSchedule")
NAMES = ("default", *OWN_SCHEDULE)


def check(name: str, properties: Document) -> None:
    """Raise AKS's 400 for an invalid maintenance configuration. The rules are documented, the wording is not."""
    own = {it.lower() for it in OWN_SCHEDULE}
    if name.lower() not in {it.lower() for it in NAMES}:
        raise bad_request(
            f"The maintenance configuration name '{name}' is invalid: it must be one of {', '.join(NAMES)}.",
            target="maintenanceConfigurationName",
        )
    window = properties.get("maintenanceWindow")
    if name.lower() in own and not isinstance(window, dict):
        raise bad_request(f"Maintenance configuration '{name}' needs a maintenanceWindow.", target="maintenanceWindow")
    if isinstance(window, dict):
        if not isinstance(window.get("schedule"), dict) or not window.get("startTime"):
            raise bad_request("maintenanceWindow needs schedule, startTime and durationHours.", target="schedule")
        hours = window.get("durationHours")
        shortest, longest = 4, 24
        if not isinstance(hours, int) or not shortest <= hours <= longest:
            raise bad_request("maintenanceWindow.durationHours must be between 4 and 24.", target="durationHours")


class Maintenance:
    """The maintenance configuration resource of ARM; its writes are not long-running operations."""

    def __init__(self, door: FrontDoor) -> None:
        self._state: State = door.state
        act = f"{CLUSTER_TYPE}/maintenanceConfigurations/"
        one = CONFIGURATION
        door.add("GET", CONFIGURATIONS, self._list, scope=CLUSTER, action=act + "read")
        door.add("GET", one, self._get, scope=one, action=act + "read")
        door.add("PUT", one, self._put, scope=one, action=act + "write")
        door.add("DELETE", one, self._delete, scope=one, action=act + "delete")

    @staticmethod
    def _shown(cluster: ManagedCluster, name: str) -> Document:
        return {
            "id": f"{cluster.id}/maintenanceConfigurations/{name}",
            "name": name,
            "properties": cluster.maintenance[name],
        }

    @staticmethod
    def _completed(call: Call, properties: Document) -> Document:
        """Return what the service keeps: without nulls, and with the start date and UTC offset of a window."""
        kept = {key: deepcopy(it) for key, it in properties.items() if it is not None}
        if isinstance(window := kept.get("maintenanceWindow"), dict):
            given = {key: it for key, it in window.items() if it is not None}
            kept["maintenanceWindow"] = {"utcOffset": "+00:00", "startDate": f"{call.request.now:%Y-%m-%d}", **given}
        return kept

    @staticmethod
    def _name(cluster: ManagedCluster, name: str) -> str | None:
        return next((it for it in cluster.maintenance if it.lower() == name.lower()), None)

    async def _list(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        return Reply(200, {"value": [self._shown(cluster, it) for it in sorted(cluster.maintenance)]}, JSON)

    async def _get(self, _: Call, subscription: str, group: str, name: str, configuration: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        held = self._name(cluster, configuration)
        if held is None:
            raise resource_not_found(group, f"{CLUSTER_TYPE}/{name}/maintenanceConfigurations", configuration)
        return Reply(200, self._shown(cluster, held), JSON)

    async def _put(self, call: Call, subscription: str, group: str, name: str, configuration: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        properties = call.request.json().get("properties")
        if not isinstance(properties, dict):
            raise bad_request("Required parameter properties is missing (null).", target="properties")
        held = self._name(cluster, configuration) or configuration
        check(held, properties)
        cluster.maintenance[held] = self._completed(call, properties)
        return Reply(200, self._shown(cluster, held), JSON)

    async def _delete(self, _: Call, subscription: str, group: str, name: str, configuration: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        held = self._name(cluster, configuration)
        if held is None:
            return Reply(204)
        del cluster.maintenance[held]
        return Reply(200)
