"""The networks in which clients are, and which API servers answer a client there.

A private API server answers only in a network that reaches its virtual network. An API server with authorized IP ranges
answers only an address in them. ARM, Entra ID and Graph answer everywhere.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
_AT_LARGE = ipaddress.IPv4Address("203.0.113.1")  # the address of a client whose network gives none
_BAD_GATEWAY, _GATEWAY_TIMEOUT = 502, 504  # what a proxy answers if a name is unknown, and if packets are dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientNetwork:
    """A network: the address with which its clients reach the internet, and the virtual networks that they reach.

    `virtual_networks` are ARM ids in lower case.
    """

    name: str = ""
    address: ipaddress.IPv4Address = _AT_LARGE
    virtual_networks: frozenset[str] = frozenset()


INTERNET = ClientNetwork()
"""Where a client is that names no network."""


def no_answer(network: ClientNetwork, properties: Document) -> tuple[int, str] | None:
    """Return why a cluster's API server does not answer a client in a network: the proxy's status, and words.

    Returns None if it answers. `properties` are the cluster's in ARM.
    """
    access: Document = properties.get("apiServerAccessProfile") or {}
    where = f"network {network.name}" if network.name else "outside of every network"
    if access.get("enablePrivateCluster"):
        if network.virtual_networks.isdisjoint(_virtual_networks(properties)):
            return _BAD_GATEWAY, f"it is private, and its virtual network is not reached from {where}"
        return None
    ranges = [ipaddress.ip_network(one, strict=False) for one in access.get("authorizedIPRanges") or ()]
    if ranges and not any(network.address in one for one in ranges):
        return _GATEWAY_TIMEOUT, f"{network.address} ({where}) is in none of its authorized IP ranges"
    return None


def _virtual_networks(properties: Document) -> Iterator[str]:
    """Yield the ids of the virtual networks in which a cluster has its nodes or its API server."""
    access: Document = properties.get("apiServerAccessProfile") or {}
    subnets = [it.get("vnetSubnetID") for it in properties.get("agentPoolProfiles") or ()]
    for subnet in (*subnets, access.get("subnetId")):
        if subnet:
            yield str(subnet).lower().partition("/subnets/")[0]
