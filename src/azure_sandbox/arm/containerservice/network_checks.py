"""The refusals of a new cluster's networks: its API server's access, and address ranges that collide."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from azure_sandbox.arm.errors import bad_request, provider
from azure_sandbox.arm.state import State
from azure_sandbox.front.http import Problem

Document = dict[str, Any]
Range = ipaddress.IPv4Network | ipaddress.IPv6Network
RESERVED = tuple(
    ipaddress.ip_network(it) for it in ("169.254.0.0/16", "172.30.0.0/16", "172.31.0.0/16", "192.0.2.0/24")
)
ZONE = re.compile(
    r"/subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft\.network/privatednszones/(?P<name>[^/]+)",
    re.IGNORECASE,
)


def check_access(document: Document) -> None:
    """Raise 400 for a private cluster with authorised ranges, or a private DNS zone that the cluster cannot use.

    The words about authorised ranges are quoted. The rules about zones are documented, their words are inferred.
    """
    access = document["properties"].get("apiServerAccessProfile") or {}
    private = bool(access.get("enablePrivateCluster"))
    ranges = access.get("authorizedIPRanges") or []
    if private and ranges:
        raise _invalid("Private cluster cannot be enabled with AuthorizedIPRanges.", "authorizedIPRanges")
    for it in ranges:
        if _range(it) is None:
            raise _invalid(f"The IP range '{it}' is not a valid IPv4 address or CIDR.", "authorizedIPRanges")
    zone = access.get("privateDNSZone")
    if not zone or str(zone).lower() in {"system", "none"}:
        return
    if not private:
        raise _invalid("privateDNSZone is only supported for private clusters.", "privateDNSZone")
    found = ZONE.fullmatch(str(zone))
    suffix = f"privatelink.{document['location']}.azmk8s.io"
    if found is None or not (found["name"].lower() == suffix or found["name"].lower().endswith(f".{suffix}")):
        raise _invalid(
            f"The private DNS zone '{zone}' is invalid: it must be the resource id of a zone named {suffix} or "
            f"<subzone>.{suffix}.",
            "privateDNSZone",
        )
    if (document.get("identity") or {}).get("type") != "UserAssigned":
        text = "System-assigned managed identity is not supported with a custom private DNS zone."
        raise _invalid(f"{text} Use a user-assigned identity.", "privateDNSZone")


def check_ranges(state: State, document: Document) -> None:
    """Raise 400 if the ranges of services, pods and subnets of a new cluster collide. The overlap's words are quoted.

    That AKS refuses its reserved ranges is documented.
    """
    network = document["properties"]["networkProfile"]
    services, pods = _range(network.get("serviceCidr")), _range(network.get("podCidr"))
    for key, it in (("serviceCidr", services), ("podCidr", pods)):
        if it is None and network.get(key):
            raise _invalid(f"The value of parameter {key} is invalid: '{network[key]}'.", f"networkProfile.{key}")
        if it is not None and any(it.version == one.version and it.overlaps(one) for one in RESERVED):
            raise _invalid(f"The {key} {it} overlaps with a range that AKS reserves.", f"networkProfile.{key}")
    if services is None:
        return
    if pods is not None and services.version == pods.version and services.overlaps(pods):
        raise bad_request(f"serviceCidr {services} overlaps with podCidr {pods}.", target="networkProfile.serviceCidr")
    address = network.get("dnsServiceIP")
    if address and not _inside(address, services):
        text = f"The networkProfile.dnsServiceIP {address} is not within networkProfile.serviceCidr {services}."
        raise provider(400, "DnsServiceIpOutOfServiceCidr", text, target="networkProfile.dnsServiceIP")
    for pool in document["properties"]["agentPoolProfiles"]:
        virtual = state.networks.get(str(pool.get("vnetSubnetID") or "").lower().partition("/subnets/")[0])
        for subnet in () if virtual is None else virtual.subnets.values():
            if subnet.prefix.overlaps(services):
                raise provider(
                    400,
                    "ServiceCidrOverlapExistingSubnetsCidr",
                    f"The specified service CIDR {services} is conflicted with an existing subnet CIDR {subnet.prefix}",
                    target="networkProfile.serviceCIDR",
                )


def _invalid(text: str, target: str) -> Problem:
    return provider(400, "InvalidParameter", text, target=target)


def _range(written: Any) -> Range | None:
    try:
        return ipaddress.ip_network(str(written), strict=False) if written else None
    except ValueError:
        return None


def _inside(address: Any, services: Range) -> bool:
    try:
        return ipaddress.ip_address(str(address)) in services
    except ValueError:
        return False
