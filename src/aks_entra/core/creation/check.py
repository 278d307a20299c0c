"""Decides before the first write whether a cluster can be created. What could not be read is said as unknown."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from aks_entra.core.creation import requirements
from aks_entra.core.creation.new_cluster import NewCluster
from aks_entra.core.creation.requirements import TOTAL, Addresses, Right
from aks_entra.core.preflight.facts import Quota

_SERVICES: Final = "10.0.0.0/16"  # AKS's default of `serviceCidr`
_SHOWN: Final = 8  # names in a remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSubnet:
    """A subnet with its IPv4 ranges and the number of its free addresses."""

    id: str
    prefixes: tuple[str, ...]
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A virtual network. One that does not exist has no subnets and no location."""

    id: str
    exists: bool = True
    location: str = ""
    subnets: tuple[NetworkSubnet, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreationFacts:
    """What was read for the check. None means that it could not be read."""

    tenant_id: str
    regions: Mapping[str, tuple[str, ...]] | None = None  # availability zones, by the region's short name
    versions: tuple[str, ...] | None = None  # minor versions that the region offers: `1.34`
    quotas: tuple[Quota, ...] | None = None
    networks: Mapping[str, Network | None] | None = None  # by id in lower case
    rights: Mapping[Right, bool | None] | None = None
    node_group_exists: bool | None = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a creation would be refused, or what could not be read (`unknown`). `field` is a path in the body."""

    field: str
    message: str
    remedy: str
    unknown: bool = False


def check(new: NewCluster, facts: CreationFacts) -> tuple[Problem, ...]:
    """Return everything that stands against the creation, and everything that is not known."""
    found = (_tenant, _region, _version, _quota, _networks, _services, _rights, _node_group)
    return tuple(problem for one in found for problem in one(new, facts))


def _tenant(new: NewCluster, facts: CreationFacts) -> Iterator[Problem]:
    if new.tenant_id.casefold() != facts.tenant_id.casefold():
        yield Problem(
            field="aadProfile.tenantID",
            message=f"tenant {new.tenant_id} is not the subscription's tenant {facts.tenant_id}",
            remedy="leave the tenant out, or name the subscription's",
        )


def _region(new: NewCluster, facts: CreationFacts) -> Iterator[Problem]:
    if facts.regions is None:
        yield _unread("location", "the regions of the subscription", "Microsoft.Resources/subscriptions/locations/read")
        return
    if new.location not in facts.regions:
        yield Problem(
            field="location",
            message=f"the subscription has no region {new.location}",
            remedy="`az account list-locations --query [].name` lists them",
        )
        return
    there = facts.regions[new.location]
    for index, pool in enumerate(new.pools):
        missing = [zone for zone in requirements.zones(pool) if zone not in there]
        if missing:
            yield Problem(
                field=f"agentPoolProfiles[{index}].availabilityZones",
                message=f"pool {pool.get('name')}: {new.location} has no availability zone {', '.join(missing)}",
                remedy=f"use {', '.join(there)}" if there else "write an empty list: the region has no zones",
            )


def _version(new: NewCluster, facts: CreationFacts) -> Iterator[Problem]:
    asked = {"kubernetesVersion": str(new.body["properties"].get("kubernetesVersion") or "")}
    for index, pool in enumerate(new.pools):
        asked[f"agentPoolProfiles[{index}].orchestratorVersion"] = str(pool.get("orchestratorVersion") or "")
    named = {field: version for field, version in asked.items() if version}
    if named and facts.versions is None:
        right = "Microsoft.ContainerService/locations/kubernetesVersions/read"
        yield _unread(next(iter(named)), f"the versions that {new.location} offers", right)
        return
    for field, version in named.items():
        if ".".join(version.split(".")[:2]) not in (facts.versions or ()):
            yield Problem(
                field=field,
                message=f"{new.location} does not offer Kubernetes {version}",
                remedy=f"use one of {', '.join(facts.versions or ())}",
            )


def _quota(new: NewCluster, facts: CreationFacts) -> Iterator[Problem]:
    needed = requirements.cores(new)
    if needed is None:
        if not new.automatic:
            yield Problem(
                field="agentPoolProfiles",
                message="it is not known how many vCPUs the nodes need: a pool has no VM size, or one of another form",
                remedy="name a VM size, such as Standard_D4ds_v5",
                unknown=True,
            )
        return
    if facts.quotas is None:
        right = "Microsoft.Compute/locations/usages/read"
        yield _unread("agentPoolProfiles", f"the vCPU quota in {new.location}", right)
        return
    left = {quota.name.casefold(): quota.left for quota in facts.quotas}
    for names, (count, field) in needed.items():
        name = next((one for one in names.split("|") if one in left), "")
        if not name:
            size = new.pools[int(field.split("[")[1].split("]")[0])].get("vmSize")
            yield Problem(
                field=field,
                message=f"{new.location} shows no vCPU quota for {size}",
                remedy=f"check that the size exists there: `az vm list-skus --location {new.location} --size {size}`",
                unknown=True,
            )
        elif count > left[name]:
            which = "the region" if name == TOTAL else f"family {name}"
            yield Problem(
                field=field,
                message=f"the first nodes need {count} vCPUs, and {max(left[name], 0)} of {which} are left",
                remedy="use fewer or smaller nodes, or have the quota raised",
            )


def _networks(new: NewCluster, facts: CreationFacts) -> Iterator[Problem]:
    known = facts.networks or {}
    for network_id in requirements.networks(new):
        network = known.get(network_id.casefold())
        name = _name(network_id)
        field = next(one.field for one in rights_to_join(new) if one.scope.casefold().startswith(network_id.casefold()))
        if network is None:
            yield _unread(field, f"virtual network {name}", "Microsoft.Network/virtualNetworks/read on it")
        elif not network.exists:
            yield Problem(
                field=field, message=f"virtual network {name} does not exist", remedy="correct the id of the subnet"
            )
        elif network.location != new.location:
            yield Problem(
                field=field,
                message=f"virtual network {name} is in {network.location}, and the cluster in {new.location}",
                remedy="use a subnet in the cluster's region",
            )
    for right in rights_to_join(new):
        network = known.get(requirements.network_of(right.scope).casefold())
        if network is not None and network.exists and _subnet(network, right.scope) is None:
            yield Problem(
                field=right.field,
                message=f"virtual network {_name(network.id)} has no subnet {_name(right.scope)}",
                remedy=f"use one of {', '.join(_names(network)) or 'another network'}",
            )
    for wanted in requirements.addresses(new):
        yield from _room(wanted, known.get(requirements.network_of(wanted.subnet_id).casefold()))


def _room(wanted: Addresses, network: Network | None) -> Iterator[Problem]:
    subnet = _subnet(network, wanted.subnet_id) if network else None
    if subnet is not None and subnet.free < wanted.needed:
        yield Problem(
            field=wanted.field,
            message=f"subnet {_name(subnet.id)} has {subnet.free} free addresses, and the nodes can take "
            f"{wanted.needed}, nodes of an upgrade included",
            remedy="use a larger subnet, fewer nodes, or networkPluginMode overlay, where pods take no address of it",
        )


def rights_to_join(new: NewCluster) -> tuple[Right, ...]:
    """Return the rights on subnets: one for each subnet, with the field that names it."""
    return tuple(one for one in requirements.rights(new, group_exists=True) if one.action == requirements.JOIN)


def _subnet(network: Network, subnet_id: str) -> NetworkSubnet | None:
    return next((one for one in network.subnets if one.id.casefold() == subnet_id.casefold()), None)


def _names(network: Network) -> list[str]:
    return [_name(one.id) for one in network.subnets][:_SHOWN]


def _name(resource_id: str) -> str:
    return resource_id.rpartition("/")[2]


def _services(new: NewCluster, facts: CreationFacts) -> Iterator[Problem]:
    """The range of services must not overlap with a subnet of the network: AKS refuses it."""
    profile = new.body["properties"].get("networkProfile") or {}
    services = ipaddress.ip_network(str(profile.get("serviceCidr") or _SERVICES), strict=False)
    for network in (facts.networks or {}).values():
        for subnet in network.subnets if network else ():
            for prefix in subnet.prefixes:
                other = ipaddress.ip_network(prefix, strict=False)
                if services.version == other.version and services.overlaps(other):
                    yield Problem(
                        field="networkProfile.serviceCidr",
                        message=f"the range of services {services} overlaps with subnet {_name(subnet.id)} ({prefix})",
                        remedy="choose a range that nothing in the network uses, with its dnsServiceIP in it",
                    )


def _rights(_: NewCluster, facts: CreationFacts) -> Iterator[Problem]:
    for right, held in (facts.rights or {}).items():
        where = f"{right.action} on {right.scope}"
        if held is None:
            yield Problem(
                field=right.field,
                message=f"it could not be read whether the runner has {where}",
                remedy="grant Microsoft.Authorization/permissions/read there",
                unknown=True,
            )
        elif not held:
            yield Problem(
                field=right.field,
                message=f"the runner lacks {where}",
                remedy="assign the role of deployments/roles/provision.json there: "
                f'`az role assignment create --assignee <runner> --role "aks-entra provision" --scope {right.scope}`',
            )


def _node_group(new: NewCluster, facts: CreationFacts) -> Iterator[Problem]:
    name = new.body["properties"].get("nodeResourceGroup")
    if name and facts.node_group_exists:
        yield Problem(
            field="nodeResourceGroup",
            message=f"resource group {name} exists: AKS makes the node resource group itself",
            remedy="choose another name, or leave it out",
        )
    elif name and facts.node_group_exists is None:
        yield _unread(
            "nodeResourceGroup", f"resource group {name}", "Microsoft.Resources/subscriptions/resourceGroups/read"
        )


def _unread(field: str, what: str, right: str) -> Problem:
    return Problem(field=field, message=f"{what} could not be read", remedy=f"grant {right}", unknown=True)
