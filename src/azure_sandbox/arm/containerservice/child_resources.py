"""The routes of a cluster's child resources that are ways into it: JWT authenticators and managed namespaces.

Both were recorded in September and October 2025. A write answers at once, and the resource shows `Creating` or
`Updating` for a while. Only the ARM side is modelled: an API server accepts no token of a JWT authenticator's issuer.
"""

from __future__ import annotations

import datetime as dt
import uuid
from copy import deepcopy
from typing import Any, NoReturn

from azure_sandbox.arm.containerservice.clusters import CLUSTER, JSON
from azure_sandbox.arm.containerservice.credentials import Credentials
from azure_sandbox.arm.containerservice.operations import Course, Operations, ticks
from azure_sandbox.arm.containerservice.paging import SKIP, page_of
from azure_sandbox.arm.containerservice.spec import ClusterSpec
from azure_sandbox.arm.errors import bad_request, provider, resource_not_found
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import CLUSTER_TYPE, ChildResource, ManagedCluster, State
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
JWT_AUTHENTICATORS, MANAGED_NAMESPACES = "jwtAuthenticators", "managedNamespaces"
SETTLING = 60.0  # seconds; recorded: about a minute
PAGE = 500
_QUIET = Course(kind="Updating", length="tags", quiet=True)
"""The course of a write of a child: the cluster's own provisioning state stays as it is."""


def children_of(spec: ClusterSpec) -> dict[tuple[str, str], ChildResource]:
    """Return the child resources that a world gives to a cluster, by kind and name in lower case."""
    return {
        (kind, name.lower()): ChildResource(name=name, document={"properties": deepcopy(dict(properties))})
        for kind, children in spec.children.items()
        for name, properties in children.items()
    }


class ChildResources:
    """The child resources of one kind: list, read, write and delete."""

    kind = ""

    def __init__(self, door: FrontDoor, operations: Operations) -> None:
        self._state: State = door.state
        self._door = door
        self._operations = operations
        every = f"{CLUSTER}/{self.kind}"
        self.one = one = f"{every}/{{child}}"
        self.act = act = f"{CLUSTER_TYPE}/{self.kind}/"
        door.add("GET", every, self._list, scope=CLUSTER, action=act + "read", options=SKIP)
        door.add("GET", one, self._get, scope=one, action=act + "read")
        door.add("PUT", one, self._put, scope=one, action=act + "write")
        door.add("DELETE", one, self._delete, scope=one, action=act + "delete")

    def check(self, body: Document) -> None:
        """Raise AKS's 400 for an invalid resource."""

    def missing(self, cluster: ManagedCluster, name: str) -> NoReturn:
        """Raise the 404 for a resource that does not exist."""
        raise resource_not_found(cluster.group, f"{CLUSTER_TYPE}/{cluster.name}/{self.kind}", name)

    def shown(self, cluster: ManagedCluster, child: ChildResource, now: dt.datetime) -> Document:
        """Return a child resource as ARM shows it."""
        settled = child.settled is None or child.settled <= now
        state = {"provisioningState": "Succeeded" if settled else child.state}
        return {
            "id": f"{cluster.id}/{self.kind}/{child.name}",
            "name": child.name,
            "type": f"{CLUSTER_TYPE}/{self.kind}",
            **child.document,
            "properties": {**state, **child.document["properties"]},
        }

    def found(self, cluster: ManagedCluster, name: str) -> ChildResource:
        """Return a child resource, or raise its 404."""
        held = cluster.children.get((self.kind, name.lower()))
        return held if held is not None else self.missing(cluster, name)

    async def _list(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        held = [child for (kind, _), child in sorted(cluster.children.items()) if kind == self.kind]
        shown = [self.shown(cluster, child, call.request.now) for child in held]
        return Reply(200, page_of(shown, call, PAGE), JSON)

    async def _get(self, call: Call, subscription: str, group: str, name: str, child: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        return Reply(200, self.shown(cluster, self.found(cluster, child), call.request.now), JSON)

    async def _put(self, call: Call, subscription: str, group: str, name: str, child: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        body = call.request.json()
        if not isinstance(body.get("properties"), dict):
            raise bad_request("Required parameter properties is missing (null).", target="properties")
        self.check(body)
        self._operations.refuse_if_running(cluster)
        held = cluster.children.get((self.kind, child.lower()))
        seconds, headers = self.begin(cluster)
        made = ChildResource(
            name=held.name if held else child,
            document=self.document(call, body, held),
            state="Updating" if held else "Creating",
            settled=call.request.now + self._door.clock.real(seconds),
        )
        cluster.children[self.kind, child.lower()] = made
        return Reply(200 if held else 201, self.shown(cluster, made, call.request.now), {**JSON, **headers})

    def begin(self, _: ManagedCluster) -> tuple[float, dict[str, str]]:
        """Begin a PUT: return after how many seconds of Azure's time it is settled, and the headers of its answer."""
        return SETTLING, {}

    def document(self, _: Call, body: Document, held: ChildResource | None) -> Document:  # noqa: ARG002 - a kind may need the earlier document
        """Return what is kept of a PUT's body."""
        return {"properties": _without_state(body["properties"])}

    async def _delete(self, call: Call, subscription: str, group: str, name: str, child: str) -> Reply:  # noqa: ARG002 - every handler gets the call
        cluster = self._state.cluster(subscription, group, name)
        if (self.kind, child.lower()) not in cluster.children:
            return Reply(204)
        self._operations.refuse_if_running(cluster)
        del cluster.children[self.kind, child.lower()]
        operation = self._operations.start(cluster, _QUIET)
        return Reply(202, None, self._operations.headers(operation, location=True))


class JwtAuthenticators(ChildResources):
    """The issuers of tokens that an API server accepts as well as Microsoft Entra ID's; only in previews of the API."""

    kind = JWT_AUTHENTICATORS

    def check(self, body: Document) -> None:
        """Raise AKS's 400 without an issuer or a mapping of the user name. The rules are documented."""
        properties = body["properties"]
        issuer = properties.get("issuer")
        if not isinstance(issuer, dict) or not str(issuer.get("url") or "").startswith("https://"):
            raise bad_request("The issuer needs a url that begins with https://.", target="properties.issuer.url")
        if not issuer.get("audiences"):
            raise bad_request("The issuer needs audiences.", target="properties.issuer.audiences")
        username = (properties.get("claimMappings") or {}).get("username")
        if not isinstance(username, dict) or not username.get("expression"):
            raise bad_request("claimMappings needs username.expression.", target="properties.claimMappings.username")

    def missing(self, cluster: ManagedCluster, name: str) -> NoReturn:
        """Raise the 404 that AKS answers itself. Recorded."""
        problem = provider(
            404,
            "NotFound",
            f"Could not find the JWT authenticator {name} in subscription: {cluster.subscription}, resourceGroup: "
            f"{cluster.group}, clusterName: {cluster.name}.",
            subcode="GetJWTAuthenticator_NotFound_HCPServerError",
        )
        text = "rpc error: code = NotFound desc = JWT authenticator not found"
        problem.body["details"] = [{"code": "Unspecified", "message": text}]
        raise problem


class ManagedNamespaces(ChildResources):
    """Namespaces that ARM manages. Each hands out the user kubeconfig of its cluster, by a right of its own."""

    kind = MANAGED_NAMESPACES

    def __init__(self, door: FrontDoor, operations: Operations, credentials: Credentials) -> None:
        super().__init__(door, operations)
        self._credentials = credentials
        door.add(
            "POST",
            f"{self.one}/listCredential",
            self._credential,
            scope=self.one,
            action=self.act + "listCredential/action",
        )

    def begin(self, cluster: ManagedCluster) -> tuple[float, dict[str, str]]:
        """Begin a PUT as a long-running operation of the cluster."""
        operation = self._operations.start(cluster, _QUIET)
        return operation.span, self._operations.headers(operation, location=True)

    def shown(self, cluster: ManagedCluster, child: ChildResource, now: dt.datetime) -> Document:
        """Return a namespace as ARM shows it, with the cluster's host name in the portal."""
        shown = super().shown(cluster, child, now)
        portal = {"portalFqdn": cluster.properties.get("azurePortalFQDN")}
        return {**shown, "properties": {**shown["properties"], **portal}}

    def document(self, call: Call, body: Document, held: ChildResource | None) -> Document:
        """Return what is kept of a PUT's body, with a new eTag and who wrote it."""
        who = call.claims.upn or call.claims.oid
        kind = "User" if call.claims.upn else "Application"
        wrote = {"lastModifiedBy": who, "lastModifiedByType": kind, "lastModifiedAt": ticks(call.request.now)}
        first = {"createdBy": who, "createdByType": kind, "createdAt": ticks(call.request.now)}
        return {
            "eTag": str(uuid.uuid4()),
            **{key: deepcopy(body[key]) for key in ("tags", "location") if body.get(key)},
            "systemData": {**(held.document.get("systemData", first) if held else first), **wrote},
            "properties": _without_state(body["properties"]),
        }

    async def _credential(self, call: Call, subscription: str, group: str, name: str, child: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        self.found(cluster, child)
        return self._credentials.of_user(call, cluster, through=f"{self.kind}/listCredential")


def _without_state(properties: Document) -> Document:
    """Return properties without nulls, empty maps and the read-only state. Recorded: empty labels are not shown."""
    return {key: deepcopy(it) for key, it in properties.items() if it not in (None, {}) and key != "provisioningState"}
