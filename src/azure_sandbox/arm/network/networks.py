"""The virtual networks of a world and their subnets."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from azure_sandbox.arm.errors import front

Network = ipaddress.IPv4Network
NETWORK_TYPE = "Microsoft.Network/virtualNetworks"


@dataclass(slots=True, kw_only=True)
class Subnet:
    """A subnet; `used` counts the addresses that something other than a cluster holds."""

    name: str
    prefix: Network
    used: int = 0


@dataclass(slots=True, kw_only=True)
class VirtualNetwork:
    """A virtual network; `subnets` are keyed by name in lower case."""

    subscription: str
    group: str
    name: str
    location: str
    prefixes: tuple[Network, ...]
    tags: dict[str, str] = field(default_factory=dict)
    endpoint_policies: str = "Disabled"  # `privateEndpointVNetPolicies`
    subnets: dict[str, Subnet] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The resource id."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}/providers/{NETWORK_TYPE}/{self.name}"

    def add(self, subnet: Subnet) -> None:
        """Add a subnet, or replace the one with its name; raises Azure's 400 if its range does not fit."""
        where = f"virtual network '{self.name}'."
        if not any(subnet.prefix.subnet_of(it) for it in self.prefixes):
            text = f"Subnet '{subnet.name}' is not valid because its IP address range is outside the IP address range"
            raise front(400, "NetcfgSubnetRangeOutsideVnet", f"{text} of {where}")
        others = (it for key, it in self.subnets.items() if key != subnet.name.lower())
        if any(it.prefix.overlaps(subnet.prefix) for it in others):
            text = f"Subnet '{subnet.name}' is not valid because its IP address range overlaps with that of an existing"
            raise front(400, "NetcfgSubnetRangesOverlap", f"{text} subnet in {where}")
        self.subnets[subnet.name.lower()] = subnet


class Networks:
    """All virtual networks of a world."""

    def __init__(self) -> None:
        self._held: dict[str, VirtualNetwork] = {}

    def put(self, network: VirtualNetwork) -> None:
        """Add a network, or replace the one with its id."""
        self._held[network.id.lower()] = network

    def get(self, id: str) -> VirtualNetwork | None:  # noqa: A002  # Azure's word
        """Return a network by its id, or None."""
        return self._held.get(id.rstrip("/").lower())

    def remove(self, network: VirtualNetwork) -> None:
        """Remove a network."""
        self._held.pop(network.id.lower(), None)

    def below(self, scope: str) -> list[VirtualNetwork]:
        """Return every network in a subscription or resource group."""
        return [it for key, it in self._held.items() if key.startswith(f"{scope.rstrip('/').lower()}/")]

    def subnet(self, id: str) -> Subnet | None:  # noqa: A002  # Azure's word
        """Return a subnet by its id, or None."""
        network, _, name = id.lower().partition("/subnets/")
        found = self.get(network)
        return None if found is None else found.subnets.get(name)
