"""The routes of resources that have no behaviour: user-assigned identities, workspaces, public addresses.

Exchanges about identities are recorded (June 2024). The others have the properties that Microsoft documents.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from azure_sandbox.arm.containerservice.document import derived, user_identity
from azure_sandbox.arm.containerservice.validation import mapping
from azure_sandbox.arm.errors import (
    being_deleted,
    front,
    in_other_location,
    location_not_available,
    location_required,
    not_modelled,
    resource_not_found,
)
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.network.routes import ADDRESSES, address_for
from azure_sandbox.arm.resources.regions import REGIONS, is_region
from azure_sandbox.arm.state import PlainResource, ResourceGroup, State
from azure_sandbox.entra.directory import Directory, ServicePrincipal
from azure_sandbox.front.http import Reply
from azure_sandbox.logs.state import WORKSPACE_TYPE

Document = dict[str, Any]
SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/{{group}}"
JSON = {"content-type": "application/json; charset=utf-8"}
IDENTITY_TYPE = "Microsoft.ManagedIdentity/userAssignedIdentities"
ISOLATION_SINCE = "2024-11-30"  # the first api-version of an identity's `isolationScope`
REPLICATION = 10.0  # seconds of Azure's time until ARM knows the principal of a new identity: recorded, how long not
RETENTION = range(7, 731)  # days that a workspace can keep data
DELETED = f"{SUBSCRIPTION}/providers/Microsoft.OperationalInsights/deletedWorkspaces"
DELETED_RIGHT = "Microsoft.OperationalInsights/deletedWorkspaces/read"
KEYS = f"{GROUP}/providers/{WORKSPACE_TYPE}/{{name}}/sharedKeys"


class PlainRoutes:
    """Read, list, write and delete resources without behaviour."""

    def __init__(self, door: FrontDoor, directory: Directory) -> None:
        self._state: State = door.state
        self._clock = door.clock
        self._directory = directory
        makers: tuple[tuple[str, Callable[..., tuple[Document, Document]]], ...] = (
            (IDENTITY_TYPE, self._identity),
            (WORKSPACE_TYPE, self._workspace),
            (ADDRESSES, self._address),
        )
        for kind, make in makers:
            below = f"providers/{kind}"
            one = f"{GROUP}/{below}/{{name}}"
            door.add("PUT", one, self._put(kind, make), scope=one, action=f"{kind}/write")
            door.add("PATCH", one, self._patch(kind), scope=one, action=f"{kind}/write")
            options = ("force",)  # of workspaces: nothing is kept after a deletion here
            door.add("DELETE", one, self._delete(kind), scope=one, action=f"{kind}/delete", options=options)
            if kind == IDENTITY_TYPE:
                door.add("GET", one, self._get, scope=one, action=f"{kind}/read")
            scopes = (SUBSCRIPTION,) if kind == ADDRESSES else (SUBSCRIPTION, GROUP)
            for scope in scopes:
                door.add("GET", f"{scope}/{below}", self._list(kind), scope=scope, action=f"{kind}/read")
        door.add("GET", DELETED, self._deleted, scope=SUBSCRIPTION, action=DELETED_RIGHT)
        door.add(
            "POST",
            KEYS,
            self._keys,
            scope=f"{GROUP}/providers/{WORKSPACE_TYPE}/{{name}}",
            action=f"{WORKSPACE_TYPE}/sharedKeys/action",
        )

    def _held(self, group: ResourceGroup, kind: str, name: str) -> PlainResource | None:
        return self._state.plain.get(f"{group.id}/providers/{kind}/{name}".lower())

    async def _get(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        found = self._held(self._state.group(subscription, group), IDENTITY_TYPE, name)
        if found is None:
            raise resource_not_found(group, IDENTITY_TYPE, name)
        return Reply(200, _shown(found, call.version), JSON)

    def _list(self, kind: str) -> Callable[..., Any]:
        async def listed(call: Call, subscription: str, group: str = "") -> Reply:
            scope = self._state.group(subscription, group).id if group else self._state.subscription(subscription).scope
            shown = [_shown(it, call.version) for it in self._state.plain_below(scope, kind)]
            return Reply(200, {"value": shown}, JSON)

        return listed

    def _put(self, kind: str, make: Callable[..., tuple[Document, Document]]) -> Callable[..., Any]:
        async def put(call: Call, subscription: str, group: str, name: str) -> Reply:
            home = self._state.group(subscription, group)
            if home.deleting:
                raise being_deleted(home.name)
            sent = call.request.json()
            location = str(sent.get("location") or "").replace(" ", "").lower()
            held = self._held(home, kind, name)
            if not location:
                raise location_required()
            if not is_region(location):
                raise location_not_available(kind, location, REGIONS)
            if held is not None and held.location != location:
                raise in_other_location(name, home.name, held.location, location)
            tags = {key: str(it) for key, it in mapping(sent.get("tags"), "tags").items()}
            properties, envelope = make(home, held.name if held else name, sent, held)
            made = PlainResource(
                subscription=home.subscription,
                group=home.name,
                kind=kind,
                name=held.name if held else name,
                location=location,
                created=held.created if held else self._clock.now(),
                properties=properties,
                tags=tags,
                envelope=envelope,
            )
            self._state.keep(made)
            headers = JSON if held or kind != IDENTITY_TYPE else {**JSON, "location": made.id}
            return Reply(200 if held else 201, _shown(made, call.version), headers)

        return put

    def _patch(self, kind: str) -> Callable[..., Any]:
        async def patch(call: Call, subscription: str, group: str, name: str) -> Reply:
            found = self._held(self._state.group(subscription, group), kind, name)
            if found is None:
                raise resource_not_found(group, kind, name)
            sent = call.request.json()
            if set(sent) - {"tags", "location"}:
                raise not_modelled(f"a change of anything but the tags of {kind}")
            tags = {key: str(it) for key, it in mapping(sent.get("tags"), "tags").items()}
            self._state.keep(made := replace(found, tags=tags))
            return Reply(200, _shown(made, call.version), JSON)

        return patch

    def _delete(self, kind: str) -> Callable[..., Any]:
        async def delete(_: Call, subscription: str, group: str, name: str) -> Reply:
            found = self._held(self._state.group(subscription, group), kind, name)
            if found is None:
                return Reply(204)
            self._state.forget(found)
            return Reply(200)

        return delete

    def _identity(
        self, home: ResourceGroup, name: str, _: Document, held: PlainResource | None
    ) -> tuple[Document, Document]:
        if held is not None:
            return held.properties, {}
        tenant = self._state.subscription(home.subscription).tenant
        ids = user_identity(f"{home.id}/providers/{IDENTITY_TYPE}/{name}")
        principal, client = ids["principalId"], ids["clientId"]
        visible = self._clock.after(REPLICATION)
        made = ServicePrincipal(id=principal, app_id=client, display_name=name, visible_at=visible)
        self._directory.add(made)
        return {"isolationScope": "None", "tenantId": tenant, **ids}, {}

    def _workspace(
        self, home: ResourceGroup, name: str, sent: Document, held: PlainResource | None
    ) -> tuple[Document, Document]:
        asked = mapping(sent.get("properties"), "properties")
        known = {"sku", "retentionInDays", "features", "workspaceCapping", *_ACCESS, *(held.properties if held else ())}
        _check_known(asked, known)
        now = self._clock.now()
        stamp = f"{now:%Y-%m-%dT%H:%M:%S.%f}0Z"
        days = asked.get("retentionInDays") or 30
        if not isinstance(days, int) or days not in RETENTION:
            text = f"'RetentionInDays' property doesn't match the SKU limits: {days}."
            raise front(400, "InvalidParameter", text)
        sku = {"name": "PerGB2018", "lastSkuUpdate": stamp} | mapping(asked.get("sku"), "properties.sku")
        features = {"legacy": 0, "searchVersion": 1, "enableLogAccessUsingOnlyResourcePermissions": True}
        capping = {"dailyQuotaGb": -1.0, "quotaNextResetTime": stamp, "dataIngestionStatus": "RespectQuota"}
        access = {key: asked.get(key) or "Enabled" for key in _ACCESS}
        return {
            "customerId": derived(home.id, name, "workspace"),
            "provisioningState": "Succeeded",
            "sku": sku,
            "retentionInDays": days,
            "features": features | mapping(asked.get("features"), "properties.features"),
            "workspaceCapping": capping | mapping(asked.get("workspaceCapping"), "properties.workspaceCapping"),
            **access,
            "createdDate": held.properties["createdDate"] if held else stamp,
            "modifiedDate": stamp,
        }, {}

    def _address(
        self, home: ResourceGroup, name: str, sent: Document, held: PlainResource | None
    ) -> tuple[Document, Document]:
        asked = mapping(sent.get("properties"), "properties")
        sku = {"name": "Standard", "tier": "Regional"} | mapping(sent.get("sku"), "sku")
        known = {"publicIPAllocationMethod", "publicIPAddressVersion", "idleTimeoutInMinutes", "ddosSettings", "ipTags"}
        _check_known(asked, known | set(held.properties if held else ()))
        if asked.get("publicIPAddressVersion", "IPv4") != "IPv4":
            raise not_modelled("a public address of IPv6")
        standard = {"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4", "idleTimeoutInMinutes": 4}
        chosen = {key: it for key, it in asked.items() if it is not None and key in known}
        more = {"ipTags": [], "ddosSettings": {"protectionMode": "VirtualNetworkInherited"}}
        read_only = {
            "provisioningState": "Succeeded",
            "resourceGuid": derived(home.id, name, "address"),
            "ipAddress": address_for(f"{home.id}/{name}"),
        }
        zones = {"zones": sent["zones"]} if sent.get("zones") else {}
        return {**standard, **more, **chosen, **read_only}, {"sku": sku, **zones}

    async def _deleted(self, _: Call, subscription: str) -> Reply:
        """Return no workspace that could be recovered: a deletion is final here."""
        self._state.subscription(subscription)
        return Reply(200, {"value": []}, JSON)

    async def _keys(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        home = self._state.group(subscription, group)
        if self._held(home, WORKSPACE_TYPE, name) is None:
            raise resource_not_found(group, WORKSPACE_TYPE, name)
        keys = {
            f"{which}SharedKey": b64encode(derived(home.id, name, which).encode()).decode()
            for which in ("primary", "secondary")
        }
        return Reply(200, keys, JSON)


_ACCESS = ("publicNetworkAccessForIngestion", "publicNetworkAccessForQuery")


def _check_known(asked: Document, known: set[str]) -> None:
    if unknown := sorted(set(asked) - known):
        raise not_modelled(f"the property {', '.join(f'properties.{it}' for it in unknown)}")


def _shown(it: PlainResource, version: str) -> Document:
    shown = it.shown()
    if it.kind == IDENTITY_TYPE:
        hidden = set() if version >= ISOLATION_SINCE else {"isolationScope"}
        shown["properties"] = {key: value for key, value in it.properties.items() if key not in hidden}
        shown["id"] = it.id.replace("/resourceGroups/", "/resourcegroups/")  # recorded
    return shown
