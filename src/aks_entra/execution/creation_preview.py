"""Reads what the creation of a cluster depends on, and compares an existing cluster with the request."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aks_entra.core.cluster import ClusterId
from aks_entra.core.creation import requirements
from aks_entra.core.creation.check import CreationFacts, Network, check
from aks_entra.core.creation.differences import differences
from aks_entra.core.creation.new_cluster import NewCluster
from aks_entra.core.creation.preview import Preview
from aks_entra.errors import Refused
from aks_entra.ports.creation import Creation
from aks_entra.ports.migration import ControlPlane

GROUPS: Final = "aadProfile.adminGroupObjectIDs"
_NOT_FOUND: Final = 404
_MISSING: Final = frozenset({"ResourceNotFound", "ResourceGroupNotFound"})


async def preview(arm: ControlPlane, new: NewCluster, *, groups_known: bool = True) -> Preview:
    """Return what a creation would do. Nothing is written.

    `groups_known` is False while an admin group does not exist yet: then the groups are not compared.
    """
    regions = await arm.regions(new.cluster.subscription_id)
    new = new.with_zones((regions or {}).get(new.location, ()))
    found = await existing(arm, new.cluster)
    if found is None:
        return Preview(new=new, problems=check(new, await _facts(arm, new, regions)), missing=new.children)
    apart = list(compared(new.document(), found, groups_known=groups_known))
    missing = []
    for child in new.children:
        there = await arm.child(new.cluster, child)
        if there is None:
            missing.append(child)
        else:
            apart += [f"{child}: {one}" for one in differences(child.properties, there)]
    state = str((found.get("properties") or {}).get("provisioningState") or "Succeeded")
    return Preview(new=new, state=state, differences=tuple(apart), missing=tuple(missing))


async def existing(arm: Creation, cluster: ClusterId) -> Mapping[str, Any] | None:
    """Return the cluster as ARM shows it. None if it does not exist, or its resource group does not."""
    try:
        return await arm.document(cluster)
    except Refused as error:
        if error.status == _NOT_FOUND or error.code in _MISSING:
            return None
        raise


def compared(asked: Mapping[str, Any], found: Mapping[str, Any], *, groups_known: bool = True) -> tuple[str, ...]:
    """Return how an existing cluster differs from the body of a request."""
    shown = {**found, "location": str(found.get("location") or "").replace(" ", "").casefold()}
    return differences(asked, shown, but=() if groups_known else (GROUPS,))


async def _facts(arm: ControlPlane, new: NewCluster, regions: Mapping[str, tuple[str, ...]] | None) -> CreationFacts:
    subscription, cluster = new.cluster.subscription_id, new.cluster
    nodes = str(new.body["properties"].get("nodeResourceGroup") or "")
    group, node_group = await asyncio.gather(
        arm.has_resource_group(subscription, cluster.resource_group), _exists(arm, subscription, nodes)
    )
    wanted = requirements.rights(new, group_exists=group is not False)
    rights = await asyncio.gather(*(arm.may(right.scope, right.action) for right in wanted))
    ids = requirements.networks(new)
    networks: list[Network | None] = await asyncio.gather(*(arm.network(one) for one in ids))
    return CreationFacts(
        tenant_id=await arm.tenant_of(subscription),
        regions=regions,
        versions=await arm.supported_versions(subscription, new.location),
        quotas=await arm.quotas(subscription, new.location),
        networks={one.casefold(): network for one, network in zip(ids, networks, strict=True)},
        rights=dict(zip(wanted, rights, strict=True)),
        node_group_exists=node_group,
    )


async def _exists(arm: Creation, subscription: str, name: str) -> bool | None:
    return await arm.has_resource_group(subscription, name) if name else False
