"""The routes of subscriptions, their resource groups, and the lists of clusters in them."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from typing import Any

from azure_sandbox.arm.authorization.role_assignments import terms
from azure_sandbox.arm.containerservice.paging import ARM_SKIP, SKIP, cut, page_of
from azure_sandbox.arm.containerservice.rendering import render
from azure_sandbox.arm.errors import being_deleted, front, group_not_found, not_modelled
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.resources import regions
from azure_sandbox.arm.state import CLUSTER_TYPE, ManagedCluster, ResourceGroup, State, Subscription
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
SUBSCRIPTION = "/subscriptions/{subscription}"
GROUPS = f"{SUBSCRIPTION}/resourceGroups"
GROUP = f"{GROUPS}/{{group}}"
RIGHT = "Microsoft.Resources/subscriptions/"
GROUP_DELETION = 15.0  # seconds of Azure's time: the recorded wait until an empty group is gone
JSON = {"content-type": "application/json; charset=utf-8"}


def _tagged(group: ResourceGroup, wanted: dict[str, str]) -> bool:
    """Return whether a group has the tag that a filter names, with the value that it names."""
    tags = {key.lower(): it for key, it in (group.tags or {}).items()}
    if "tagname" in wanted and wanted["tagname"].lower() not in tags:
        return False
    return "tagvalue" not in wanted or tags.get(wanted.get("tagname", "").lower()) == wanted["tagvalue"]


class Subscriptions:
    """The routes above a single cluster; `page` is the number of clusters on a page of a list."""

    def __init__(self, door: FrontDoor, *, page: int, delete_cluster: Callable[[ManagedCluster], object]) -> None:
        self._delete_cluster = delete_cluster
        self._door = door
        self._state: State = door.state
        self._page = page
        door.add("GET", "/subscriptions", self._list, action=None)
        door.add("GET", SUBSCRIPTION, self._get, scope=SUBSCRIPTION, action=None)
        door.add("GET", "/tenants", self._tenants, action=None, options=("$includeAllTenantCategories",))
        door.add("GET", f"{SUBSCRIPTION}/locations", self._locations, scope=SUBSCRIPTION, action=RIGHT + "read")
        group = RIGHT + "resourceGroups/"
        listing = ("$filter", *ARM_SKIP)
        door.add("GET", GROUPS, self._groups, scope=SUBSCRIPTION, action=None, options=listing)
        door.add("GET", GROUP, self._group, scope=GROUP, action=group + "read")
        door.add("HEAD", GROUP, self._group_exists, scope=GROUP, action=group + "read")
        door.add("PUT", GROUP, self._put_group, scope=GROUP, action=group + "write")
        door.add("DELETE", GROUP, self._delete_group, scope=GROUP, action=group + "delete")
        gone = f"{SUBSCRIPTION}/operationresults/{{token}}"
        door.add("GET", gone, self._deletion, scope=SUBSCRIPTION, action=None)
        paged = SKIP
        below = f"providers/{CLUSTER_TYPE}"
        in_all, in_group = f"{SUBSCRIPTION}/{below}", f"{GROUP}/{below}"
        door.add("GET", in_all, self._clusters_of, scope=SUBSCRIPTION, action=None, options=paged)
        door.add("GET", in_group, self._clusters_of, scope=GROUP, action=None, options=paged)

    def _visible(self, call: Call) -> list[Subscription]:
        known = self._state.access.knows
        return [
            it
            for it in self._state.subscriptions.values()
            if it.tenant.lower() == call.claims.tid.lower() and known(call.principals, it.scope)
        ]

    @staticmethod
    def _shown(it: Subscription) -> Document:
        return {
            "id": it.scope,
            "authorizationSource": "RoleBased",
            "managedByTenants": [],
            "subscriptionId": it.id,
            "tenantId": it.tenant,
            "displayName": it.name,
            "state": "Enabled",
            "subscriptionPolicies": {
                "locationPlacementId": "Public_2014-09-01",
                "quotaId": "PayAsYouGo_2014-09-01",
                "spendingLimit": "Off",
            },
        }

    async def _list(self, call: Call) -> Reply:
        shown = [self._shown(it) for it in self._visible(call)]
        return Reply(200, {"value": shown, "count": {"type": "Total", "value": len(shown)}}, JSON)

    async def _get(self, call: Call, subscription: str) -> Reply:
        found = self._state.subscription(subscription)
        if found not in self._visible(call):
            self._door.require(call, RIGHT + "read", call.scope)
        return Reply(200, self._shown(found), JSON)

    async def _tenants(self, call: Call) -> Reply:
        tenant = call.claims.tid
        return Reply(200, {"value": [{"id": f"/tenants/{tenant}", "tenantId": tenant}]}, JSON)

    async def _locations(self, call: Call, subscription: str) -> Reply:
        found = self._state.subscription(subscription)
        return Reply(200, {"value": [regions.shown(found.scope, it, call.version) for it in regions.REGIONS]}, JSON)

    @staticmethod
    def _shown_group(it: ResourceGroup) -> Document:
        shown: Document = {"id": it.id, "name": it.name, "type": "Microsoft.Resources/resourceGroups"}
        shown |= {
            "location": it.location,
            "properties": {"provisioningState": "Deleting" if it.deleting else "Succeeded"},
        }
        if it.tags is not None:
            shown["tags"] = it.tags
        if it.manager:
            shown["managedBy"] = it.manager
        return shown

    async def _groups(self, call: Call, subscription: str) -> Reply:
        found = self._state.subscription(subscription)
        self._state.sweep(subscription)
        wanted = terms(call.option("$filter"))
        if unknown := set(wanted) - {"tagname", "tagvalue"}:
            raise not_modelled(f"the filter {sorted(unknown)} on resource groups")
        allowed = self._state.access.allows
        right = RIGHT + "resourceGroups/read"
        seen = [it for it in found.groups.values() if allowed(call.principals, right, it.id) and _tagged(it, wanted)]
        if not seen and not wanted:
            self._door.require(call, right, call.scope)
        return Reply(200, cut([self._shown_group(it) for it in seen], call), JSON)

    async def _group(self, _: Call, subscription: str, group: str) -> Reply:
        return Reply(200, self._shown_group(self._state.group(subscription, group)), JSON)

    async def _group_exists(self, _: Call, subscription: str, group: str) -> Reply:
        self._state.sweep(subscription)
        groups = self._state.subscription(subscription).groups
        return Reply(204 if group.lower() in groups else 404)

    async def _put_group(self, call: Call, subscription: str, group: str) -> Reply:
        home = self._state.subscription(subscription)
        self._state.sweep(subscription)
        sent = call.request.json()
        location = str(sent.get("location") or "").replace(" ", "").lower()
        if not location:
            raise front(400, "LocationRequired", "The location property is required for this definition.")
        if not regions.is_region(location):
            text = (
                f"The provided location '{location}' is not available for resource group. List of available regions "
                f"is '{','.join(regions.REGIONS)}'."
            )
            raise front(400, "LocationNotAvailableForResourceGroup", text)
        held = home.groups.get(group.lower())
        if held is not None and held.location != location:
            text = (
                f"Invalid resource group location '{location}'. The Resource group already exists in location "
                f"'{held.location}'."
            )
            raise front(409, "InvalidResourceGroupLocation", text)
        if held is not None and held.deleting:
            raise being_deleted(group)
        made = held or ResourceGroup(subscription=home.id, name=group, location=location)
        made.tags = sent.get("tags")
        made.manager = str(sent.get("managedBy") or made.manager)
        home.groups[group.lower()] = made
        return Reply(200 if held else 201, self._shown_group(made), JSON)

    async def _delete_group(self, call: Call, subscription: str, group: str) -> Reply:
        home = self._state.subscription(subscription)
        self._state.sweep(subscription)
        found = home.groups.get(group.lower())
        if found is None:
            raise group_not_found(group)
        for lock in tuple(self._state.locks.values()):
            if lock.scope.lower().startswith(f"{found.id.lower()}/"):
                self._door.check_locks(lock.scope, "delete")
        if not found.deleting:
            found.deleting, found.gone = True, self._door.clock.after(GROUP_DELETION)
        for it in self._state.clusters_below(found.id):
            if it.state != "Deleting":
                self._delete_cluster(it)
        return Reply(202, None, self._deletion_location(call, home, found.name))

    def _deletion_location(self, call: Call, home: Subscription, group: str) -> dict[str, str]:
        token = urlsafe_b64encode(f"DELETE-{group}".encode()).decode()
        path = f"{home.scope}/operationresults/{token}"
        location = f"https://management.azure.com{path}?api-version={call.version}"
        return {"location": location, "retry-after": "15", **self._door.poll_headers()}

    async def _deletion(self, call: Call, subscription: str, token: str) -> Reply:
        home = self._state.subscription(subscription)
        try:
            verb, _, group = urlsafe_b64decode(token).decode().partition("-")
        except (ValueError, NotBase64):
            verb = group = ""
        if verb != "DELETE":
            raise front(404, "NotFound", "The operation could not be found.")
        self._state.sweep(subscription)
        held = home.groups.get(group.lower())
        if held is not None and held.deleting:
            return Reply(202, None, self._deletion_location(call, home, held.name))
        return Reply(200)

    async def _clusters_of(self, call: Call, **parts: str) -> Reply:
        subscription = self._state.subscription(parts["subscription"])
        if "group" in parts:
            self._state.group(subscription.id, parts["group"])
        right = f"{CLUSTER_TYPE}/read"
        allowed = self._state.access.allows
        seen = [it for it in self._state.clusters_below(call.scope) if allowed(call.principals, right, it.id)]
        if not seen and not self._state.access.knows(call.principals, call.scope):
            self._door.require(call, right, call.scope)
        body = page_of([render(it, call.version) for it in seen], call, self._page)
        return Reply(200, body, {"content-type": "application/json"})
