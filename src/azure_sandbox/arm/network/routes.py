"""The routes of Microsoft.Network and the usages of Microsoft.Compute, as far as clusters need them.

Networks and subnets can be read and written. The public addresses and load balancers of node groups can be read.
"""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Any

from azure_sandbox.arm.containerservice.capacity import TOTAL, limit, size_of, used
from azure_sandbox.arm.containerservice.document import derived
from azure_sandbox.arm.containerservice.validation import mapping
from azure_sandbox.arm.errors import front, not_modelled, resource_not_found
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.network.addressing import RESERVED, held_by
from azure_sandbox.arm.network.networks import NETWORK_TYPE, Network, Subnet, VirtualNetwork
from azure_sandbox.arm.state import ManagedCluster, State
from azure_sandbox.front.http import Problem, Reply

Document = dict[str, Any]
SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/{{group}}"
NETWORKS = f"{GROUP}/providers/{NETWORK_TYPE}"
NETWORK = f"{NETWORKS}/{{name}}"
SUBNETS = f"{NETWORK}/subnets"
SUBNET = f"{SUBNETS}/{{subnet}}"
JSON = {"content-type": "application/json; charset=utf-8"}
POLICIES_SINCE = "2024-03-01"  # the first api-version of `privateEndpointVNetPolicies`
ENDPOINT_POLICIES = ("Disabled", "Basic")
ADDRESSES, BALANCERS = "Microsoft.Network/publicIPAddresses", "Microsoft.Network/loadBalancers"


class NetworkRoutes:
    """The routes of networks, subnets, addresses and quotas."""

    def __init__(self, door: FrontDoor) -> None:
        self._door = door
        self._state: State = door.state
        for path, scope in ((NETWORKS, GROUP), (f"{SUBSCRIPTION}/providers/{NETWORK_TYPE}", SUBSCRIPTION)):
            door.add("GET", path, self._list, scope=scope, action=f"{NETWORK_TYPE}/read")
        door.add("GET", NETWORK, self._get, scope=NETWORK, action=f"{NETWORK_TYPE}/read", options=("$expand",))
        door.add("PUT", NETWORK, self._put, scope=NETWORK, action=f"{NETWORK_TYPE}/write")
        door.add("DELETE", NETWORK, self._delete, scope=NETWORK, action=f"{NETWORK_TYPE}/delete")
        door.add("GET", f"{NETWORK}/usages", self._usages, scope=NETWORK, action=f"{NETWORK_TYPE}/usages/read")
        act = f"{NETWORK_TYPE}/subnets/"
        door.add("GET", SUBNETS, self._subnets, scope=NETWORK, action=act + "read")
        door.add("GET", SUBNET, self._subnet, scope=SUBNET, action=act + "read", options=("$expand",))
        door.add("PUT", SUBNET, self._put_subnet, scope=SUBNET, action=act + "write")
        door.add("DELETE", SUBNET, self._delete_subnet, scope=SUBNET, action=act + "delete")
        for kind, handler in ((ADDRESSES, self._addresses), (BALANCERS, self._balancers)):
            door.add("GET", f"{GROUP}/providers/{kind}", handler, scope=GROUP, action=f"{kind}/read")
        one = f"{GROUP}/providers/{ADDRESSES}/{{name}}"
        door.add("GET", one, self._address, scope=one, action=f"{ADDRESSES}/read", options=("$expand",))
        door.add(
            "GET",
            f"{SUBSCRIPTION}/providers/Microsoft.Compute/locations/{{location}}/usages",
            self._quotas,
            scope=SUBSCRIPTION,
            action="Microsoft.Compute/locations/usages/read",
        )

    def _find(self, subscription: str, group: str, name: str) -> VirtualNetwork:
        home = self._state.group(subscription, group)
        found = self._state.networks.get(f"{home.id}/providers/{NETWORK_TYPE}/{name}")
        if found is None:
            raise resource_not_found(group, NETWORK_TYPE, name)
        return found

    def _shown(self, it: VirtualNetwork, version: str) -> Document:
        etag = _etag(it.id, *(str(one) for one in (*it.prefixes, *it.subnets.values())), str(it.tags))
        policies = {"privateEndpointVNetPolicies": it.endpoint_policies} if version >= POLICIES_SINCE else {}
        return {
            "name": it.name,
            "id": it.id,
            "etag": etag,
            "type": NETWORK_TYPE,
            "location": it.location,
            "tags": it.tags,
            "properties": {
                "provisioningState": "Succeeded",
                "resourceGuid": derived(it.id, "guid"),
                "addressSpace": {"addressPrefixes": [str(one) for one in it.prefixes]},
                "subnets": [self._shown_subnet(it, one) for one in it.subnets.values()],
                "virtualNetworkPeerings": [],
                "enableDdosProtection": False,
                **policies,
            },
        }

    def _held(self, network: VirtualNetwork, subnet: Subnet) -> list[str]:
        """Return the ids of the IP configurations in use. Those of other resources than clusters have made-up ids."""
        taken = list(held_by(self._state.clusters.values(), f"{network.id}/subnets/{subnet.name}"))
        card = f"{network.id.partition('/providers/')[0]}/providers/Microsoft.Network/networkInterfaces/{subnet.name}"
        return [*taken, *(f"{card}-{number}/ipConfigurations/ipconfig1" for number in range(subnet.used))]

    def _shown_subnet(self, network: VirtualNetwork, it: Subnet) -> Document:
        shown: Document = {
            "name": it.name,
            "id": f"{network.id}/subnets/{it.name}",
            "etag": _etag(network.id, str(it)),
            "type": f"{NETWORK_TYPE}/subnets",
            "properties": {
                "provisioningState": "Succeeded",
                "addressPrefix": str(it.prefix),
                "delegations": [],
                "privateEndpointNetworkPolicies": "Disabled",
                "privateLinkServiceNetworkPolicies": "Enabled",
            },
        }
        if held := self._held(network, it):
            shown["properties"]["ipConfigurations"] = [{"id": one} for one in held]
        return shown

    async def _list(self, call: Call, **parts: str) -> Reply:
        if "group" in parts:
            self._state.group(parts["subscription"], parts["group"])
        return Reply(
            200, {"value": [self._shown(it, call.version) for it in self._state.networks.below(call.scope)]}, JSON
        )

    async def _get(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        _expandable(call)
        return Reply(200, self._shown(self._find(subscription, group, name), call.version), JSON)

    async def _put(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        home = self._state.group(subscription, group)
        sent = call.request.json()
        location = str(sent.get("location") or "").replace(" ", "").lower()
        if not location:
            raise front(400, "LocationRequired", "The location property is required for this definition.")
        tags = mapping(sent.get("tags"), "tags")
        properties = mapping(sent.get("properties"), "properties")
        _only(properties, {"addressSpace", "subnets", "privateEndpointVNetPolicies", *_AS_READ}, _EMPTY)
        policies = properties.get("privateEndpointVNetPolicies") or "Disabled"
        if policies not in ENDPOINT_POLICIES:
            text = f"The value '{policies}' of privateEndpointVNetPolicies is invalid."
            raise front(400, "InvalidRequestFormat", f"Cannot parse the request. {text}")
        space = mapping(properties.get("addressSpace"), "properties.addressSpace")
        prefixes = tuple(_network(it, name) for it in _list_of(space.get("addressPrefixes"), "addressPrefixes"))
        if not prefixes:
            raise front(400, "InvalidRequestFormat", f"Virtual network '{name}' has no address space.")
        made = VirtualNetwork(
            subscription=home.subscription,
            group=home.name,
            name=name,
            location=location,
            prefixes=prefixes,
            tags={key: str(it) for key, it in tags.items()},
            endpoint_policies=policies,
        )
        held = self._state.networks.get(made.id)
        for it in _list_of(properties.get("subnets"), "subnets"):
            made.add(self._sent(made, held, mapping(it, "subnets")))
        for gone in set(held.subnets if held else ()) - set(made.subnets):
            self._check_unused(held, gone)
        self._state.networks.put(made)
        return Reply(200 if held else 201, self._shown(made, call.version), JSON)

    def _sent(self, network: VirtualNetwork, held: VirtualNetwork | None, sent: Document, name: str = "") -> Subnet:
        properties = mapping(sent.get("properties"), "properties")
        _only(properties, {"addressPrefix", "addressPrefixes", *_AS_READ_OF_SUBNETS}, _EMPTY_IN_SUBNETS)
        several = _list_of(properties.get("addressPrefixes"), "addressPrefixes")
        if len(several) > 1:
            raise not_modelled("more than one address prefix of a subnet")
        name = name or str(sent.get("name") or "")
        if not name:
            raise front(400, "InvalidRequestFormat", "A subnet of the virtual network has no name.")
        prefix = _network(several[0] if several else properties.get("addressPrefix"), name)
        before = (held or network).subnets.get(name.lower())
        if before is not None and before.prefix != prefix and self._held(held or network, before):
            text = f"Subnet {name} is in use and cannot be updated."
            raise front(400, "InUsePrefixCannotBeDeleted", text)
        return Subnet(name=before.name if before else name, prefix=prefix, used=before.used if before else 0)

    def _check_unused(self, network: VirtualNetwork | None, name: str) -> None:
        if network is not None and (held := self._held(network, network.subnets[name])):
            text = (
                f"Subnet {network.subnets[name].name} is in use by {held[0]} and cannot be deleted. In order to delete "
                "the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet."
            )
            raise front(400, "InUseSubnetCannotBeDeleted", text)

    async def _delete(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        home = self._state.group(subscription, group)
        found = self._state.networks.get(f"{home.id}/providers/{NETWORK_TYPE}/{name}")
        if found is None:
            return Reply(204)
        for it in found.subnets:
            self._check_unused(found, it)
        self._state.networks.remove(found)
        return Reply(200)

    async def _usages(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        found = self._find(subscription, group, name)
        values = [
            {
                "id": f"{found.id}/subnets/{it.name}",
                "currentValue": float(len(self._held(found, it))),
                "limit": float(it.prefix.num_addresses - RESERVED),
                "name": {"localizedValue": "Subnet size and usage", "value": "SubnetSpace"},
                "unit": "Count",
            }
            for it in found.subnets.values()
        ]
        return Reply(200, {"value": values}, JSON)

    async def _subnets(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        found = self._find(subscription, group, name)
        return Reply(200, {"value": [self._shown_subnet(found, it) for it in found.subnets.values()]}, JSON)

    async def _subnet(self, call: Call, subscription: str, group: str, name: str, subnet: str) -> Reply:
        _expandable(call)
        network = self._find(subscription, group, name)
        found = network.subnets.get(subnet.lower())
        if found is None:
            raise front(404, "NotFound", f"Resource {network.id}/subnets/{subnet} not found.")
        return Reply(200, self._shown_subnet(network, found), JSON)

    async def _put_subnet(self, call: Call, subscription: str, group: str, name: str, subnet: str) -> Reply:
        network = self._find(subscription, group, name)
        held = subnet.lower() in network.subnets
        made = self._sent(network, None, call.request.json(), subnet)
        network.add(made)
        return Reply(200 if held else 201, self._shown_subnet(network, made), JSON)

    async def _delete_subnet(self, _: Call, subscription: str, group: str, name: str, subnet: str) -> Reply:
        network = self._find(subscription, group, name)
        if subnet.lower() not in network.subnets:
            return Reply(204)
        self._check_unused(network, subnet.lower())
        del network.subnets[subnet.lower()]
        return Reply(200)

    def _of_group(self, subscription: str, group: str) -> list[ManagedCluster]:
        home = self._state.group(subscription, group)
        return [it for it in self._state.clusters.values() if it.node_group.lower() == home.id.lower()]

    async def _addresses(self, _: Call, subscription: str, group: str) -> Reply:
        made = [it.shown() for it in self._state.plain_below(self._state.group(subscription, group).id, ADDRESSES)]
        of_clusters = [it for cluster in self._of_group(subscription, group) for it in addresses_of(cluster)]
        return Reply(200, {"value": [*of_clusters, *made]}, JSON)

    async def _address(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        _expandable(call)
        for cluster in self._of_group(subscription, group):
            for it in addresses_of(cluster):
                if it["name"].lower() == name.lower():
                    return Reply(200, it, JSON)
        home = self._state.group(subscription, group)
        if made := self._state.plain.get(f"{home.id}/providers/{ADDRESSES}/{name}".lower()):
            return Reply(200, made.shown(), JSON)
        raise resource_not_found(group, ADDRESSES, name)

    async def _balancers(self, _: Call, subscription: str, group: str) -> Reply:
        shown = [
            {
                "name": "kubernetes",
                "id": f"{cluster.node_group}/providers/{BALANCERS}/kubernetes",
                "type": BALANCERS,
                "location": cluster.location,
                "sku": {"name": "Standard", "tier": "Regional"},
                "properties": {
                    "provisioningState": "Succeeded",
                    "frontendIPConfigurations": [
                        {
                            "name": it["name"],
                            "properties": {
                                "provisioningState": "Succeeded",
                                "privateIPAllocationMethod": "Dynamic",
                                "publicIPAddress": {"id": it["id"]},
                            },
                        }
                        for it in addresses
                    ],
                },
            }
            for cluster in self._of_group(subscription, group)
            if (addresses := addresses_of(cluster))
        ]
        return Reply(200, {"value": shown}, JSON)

    async def _quotas(self, _: Call, subscription: str, location: str) -> Reply:
        home, where = self._state.subscription(subscription), location.replace(" ", "").lower()
        taken = used(self._state, home.id, where)
        of_worlds = {key[2] for key in self._state.quotas if key[:2] == (home.id.lower(), where)}
        names = [TOTAL, *sorted({*taken, *of_worlds, size_of("Standard_D4s_v5")[0]} - {TOTAL})]
        values = [
            {
                "limit": limit(self._state, home.id, where, it),
                "unit": "Count",
                "currentValue": taken.get(it, 0),
                "name": {"value": it, "localizedValue": "Total Regional vCPUs" if it == TOTAL else _spoken(it)},
            }
            for it in names
        ]
        return Reply(200, {"value": values}, JSON)


_AS_READ = ("provisioningState", "resourceGuid")  # read-only, but clients send back what they read
_EMPTY = ("virtualNetworkPeerings", "enableDdosProtection", "enableVmProtection", "dhcpOptions")
_AS_READ_OF_SUBNETS = (
    *("provisioningState", "ipConfigurations", "privateEndpointNetworkPolicies"),
    *("privateLinkServiceNetworkPolicies", "defaultOutboundAccess"),
)
_EMPTY_IN_SUBNETS = ("delegations", "serviceEndpoints", "serviceEndpointPolicies", "sharingScope")


def _etag(*content: str) -> str:
    """Return the weak ETag of a resource, which changes with its content."""
    return f'W/"{derived(*content)}"'


def _expandable(call: Call) -> None:
    """Raise 501 for `$expand`: the sandbox has nothing to add."""
    if asked := call.option("$expand"):
        raise not_modelled(f"$expand={asked} of a network resource")


def _only(sent: Document, known: set[str], empty: tuple[str, ...]) -> None:
    """Raise 501 for a property whose effect is not modelled. The properties in `empty` may have an empty value."""
    said = {key for key in sent if key not in empty or sent[key] not in (None, False, "", [], {}, {"dnsServers": []})}
    if unknown := sorted(said - known):
        raise not_modelled(f"the property {', '.join(f'properties.{it}' for it in unknown)}")


def _list_of(value: Any, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise front(400, "InvalidRequestFormat", f"Cannot parse the request: {name} is not a list.")
    return value


def _network(written: Any, owner: str) -> Network:
    try:
        return ipaddress.IPv4Network(str(written))
    except ValueError as error:
        text = f"Address prefix {written} on resource {owner} is not formatted correctly."
        raise _malformed(text) from error


def _malformed(text: str) -> Problem:
    return front(400, "InvalidAddressPrefixFormat", text)


def addresses_of(cluster: ManagedCluster) -> list[Document]:
    """Return the public addresses of a cluster's node group as ARM answers them."""
    balancer = cluster.properties["networkProfile"].get("loadBalancerProfile") or {}
    return [
        {
            "name": it["id"].rpartition("/")[2],
            "id": it["id"],
            "type": ADDRESSES,
            "location": cluster.location,
            "sku": {"name": "Standard", "tier": "Regional"},
            "properties": {
                "provisioningState": "Succeeded",
                "ipAddress": address_for(it["id"]),
                "publicIPAddressVersion": "IPv4",
                "publicIPAllocationMethod": "Static",
            },
        }
        for it in balancer.get("effectiveOutboundIPs") or ()
    ]


def address_for(name: str) -> str:
    """Return an address for a name, always the same, from the block that is reserved for tests (198.18.0.0/15)."""
    digest = int(hashlib.sha256(name.lower().encode()).hexdigest(), 16)
    return str(ipaddress.IPv4Address("198.18.0.0") + digest % 2**17)


def _spoken(family: str) -> str:
    return f"Standard {family.removeprefix('standard').removesuffix('Family')} Family vCPUs"
