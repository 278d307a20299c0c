"""Reads what a new cluster needs, and creates it with what belongs below it: the `Creation` port.

Our dependencies have no SDK for most of it, so it is read and written with the documented api-versions.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest

from aks_entra.adapters.arm import documents, guarded_put, surroundings
from aks_entra.adapters.arm.clients import CONTAINER_SERVICE, NO_RETRY, Clients
from aks_entra.adapters.arm.documents import ARM, Document
from aks_entra.adapters.http.failures import azure, translated
from aks_entra.core.creation.check import Network, NetworkSubnet
from aks_entra.core.creation.new_cluster import MAINTENANCE, ChildResource
from aks_entra.core.storable import storable
from aks_entra.errors import Refused
from aks_entra.ports.operations import Operation

if TYPE_CHECKING:
    from aks_entra.core.cluster import ClusterId
    from aks_entra.core.creation.new_cluster import NewCluster

_SETTINGS: Final = "2021-05-01-preview"
_SUBSCRIPTIONS: Final = "2022-12-01"
_GROUPS: Final = "2021-04-01"
_NETWORK: Final = "2024-05-01"
_IPV4: Final = 4
_NOT_FOUND: Final = 404
_ERROR: Final = 400
_UNREADABLE: Final = frozenset({401, 403, 501})


class AzureCreation:
    """The part of the `ControlPlane` port that creates clusters."""

    _clients: Clients

    async def document(self, cluster: ClusterId) -> Mapping[str, Any]:
        """Return the cluster as ARM shows it. Refused (code ResourceNotFound) when it does not exist."""
        shown: Mapping[str, Any] = storable((await guarded_put.read(self._clients, cluster)).as_dict())
        return shown

    async def child(self, cluster: ClusterId, child: ChildResource) -> Mapping[str, Any] | None:
        """Return the `properties` of a resource below the cluster. None if it does not exist."""
        try:
            found = await documents.get(self._clients, _url_of(cluster, child), f"read {child} of {cluster}")
        except Refused as refused:
            if refused.status != _NOT_FOUND:
                raise
            return None
        return _mapping(found.get("properties"))

    async def regions(self, subscription_id: str) -> Mapping[str, tuple[str, ...]] | None:
        """Return the availability zones of each region of a subscription, by its short name. None if unreadable."""
        path = f"/subscriptions/{subscription_id}/locations?api-version={_SUBSCRIPTIONS}"
        listed = await surroundings.pages(self._clients, path)
        if listed is None:
            return None
        return {str(one.get("name") or "").casefold(): _zones(one) for one in listed}

    async def network(self, network_id: str) -> Network | None:
        """Return a virtual network, also one that does not exist. None if unreadable."""
        response = await documents.ask(self._clients, f"{ARM}{network_id}?api-version={_NETWORK}", "read a network")
        if response.status_code == _NOT_FOUND:
            return Network(id=network_id, exists=False)
        if response.status_code in _UNREADABLE:
            return None
        return _network(network_id, documents.document_of(response, f"read network {network_id}"))

    async def has_resource_group(self, subscription_id: str, name: str) -> bool | None:
        """Return whether a resource group exists. None if unreadable."""
        url = f"{ARM}/subscriptions/{subscription_id}/resourceGroups/{name}?api-version={_GROUPS}"
        response = await documents.ask(self._clients, url, f"look for resource group {name}")
        if response.status_code in _UNREADABLE:
            return None
        if response.status_code != _NOT_FOUND:
            documents.document_of(response, f"look for resource group {name}")
        return response.status_code != _NOT_FOUND

    async def ensure_resource_group(self, subscription_id: str, name: str, location: str) -> bool:
        """Create the resource group unless it exists. Returns whether it was created."""
        from azure.mgmt.resource.resources.models import ResourceGroup

        groups = self._clients.resources(subscription_id).resource_groups
        with azure(f"look for resource group {name}"):
            if await groups.check_existence(name):
                return False
        with azure(f"create resource group {name}", writing=True):
            await groups.create_or_update(name, ResourceGroup(location=location))
        return True

    async def create_cluster(self, new: NewCluster, *, failed: str | None = None) -> Operation:
        """PUT a cluster that does not exist (If-None-Match: *), or one whose creation failed. Rejected for another."""
        return await guarded_put.create(self._clients, new, failed)

    async def create_child(self, cluster: ClusterId, child: ChildResource) -> None:
        """PUT a resource below the cluster, once."""
        doing = f"create {child} of {cluster}"
        request = HttpRequest("PUT", _url_of(cluster, child), json={"properties": dict(child.properties)})
        with azure(doing, writing=True):
            response = await self._clients.plain().send_request(request, **NO_RETRY)
        if response.status_code >= _ERROR:
            raise translated(HttpResponseError(response=response), doing, writing=True)


def _url_of(cluster: ClusterId, child: ChildResource) -> str:
    version = CONTAINER_SERVICE if child.kind == MAINTENANCE else _SETTINGS
    return f"{ARM}{cluster.resource_id}/{child.kind}/{child.name}?api-version={version}"


def _zones(region: Document) -> tuple[str, ...]:
    mappings = region.get("availabilityZoneMappings") or ()
    named = [_mapping(one).get("logicalZone") for one in (mappings if isinstance(mappings, list) else ())]
    return tuple(sorted(str(one) for one in named if one))


def _mapping(value: object) -> Document:
    return value if isinstance(value, Mapping) else {}


def _network(network_id: str, document: Document) -> Network | None:
    listed = _mapping(document.get("properties")).get("subnets") or []
    if not isinstance(listed, list):
        return None
    subnets = [_subnet(network_id, _mapping(one)) for one in listed]
    known = tuple(one for one in subnets if one is not None)
    if len(known) < len(subnets):
        return None
    location = str(document.get("location") or "").replace(" ", "").casefold()
    return Network(id=network_id, location=location, subnets=known)


def _subnet(network_id: str, document: Document) -> NetworkSubnet | None:
    properties = _mapping(document.get("properties"))
    prefixes = properties.get("addressPrefixes") or [properties.get("addressPrefix")]
    try:
        ranges = [ipaddress.ip_network(str(prefix)) for prefix in prefixes]
    except (TypeError, ValueError):
        return None
    room = sum(one.num_addresses - surroundings.RESERVED for one in ranges if one.version == _IPV4)
    return NetworkSubnet(
        id=f"{network_id}/subnets/{document.get('name')}",
        prefixes=tuple(str(one) for one in ranges),
        free=max(room - len(properties.get("ipConfigurations") or ()), 0),
    )
