"""Reads the permissions, role assignments and locks on a cluster."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote

from aks_entra.adapters.arm import surroundings
from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.shared_reads import ChangedBy
from aks_entra.adapters.http.failures import collected
from aks_entra.adapters.http.readable import readable
from aks_entra.core.cluster import ClusterId
from aks_entra.core.preflight import Lock

if TYPE_CHECKING:
    from azure.mgmt.resource.locks.models import ManagementLockObject

RBAC_CLUSTER_ADMIN: Final = "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b"
"""The built-in role Azure Kubernetes Service RBAC Cluster Admin, the same in every tenant."""

_VERSION: Final = "2022-04-01"
_LOCKS: Final = "/providers/microsoft.authorization/locks/"

_Permission: TypeAlias = tuple[list[str], list[str]]
"""The actions that a role allows, and those that it excepts."""


async def missing_permissions(clients: Clients, cluster: ClusterId, actions: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the actions that no permission of the caller allows on the cluster. None if unreadable.

    What the resource group grants holds for its clusters, so it is asked first, once for all of them. A cluster is
    asked itself if something is missing there: a role assignment on it only adds. Deny assignments are read apart.
    """
    group = cluster.group
    above = await clients.shared.once(ChangedBy.AUTHORIZATION, f"permissions {group}", lambda: _granted(clients, group))
    if above is not None and all(_allowed(above, action) for action in actions):
        return ()
    own = await _granted(clients, cluster.resource_id)
    return None if own is None else tuple(action for action in actions if not _allowed(own, action))


async def _granted(clients: Clients, scope: str) -> list[_Permission] | None:
    """Return the caller's permissions at a scope. None if unreadable or malformed."""
    found = await surroundings.pages(
        clients, f"{scope}/providers/Microsoft.Authorization/permissions?api-version={_VERSION}"
    )
    try:
        return None if found is None else [(list(one["actions"]), list(one.get("notActions") or ())) for one in found]
    except (KeyError, TypeError):
        return None


async def may(clients: Clients, scope: str, action: str) -> bool | None:
    """Return whether a permission of the caller allows an action on a resource. None if unreadable or malformed."""
    granted = await _granted(clients, scope)
    return None if granted is None else _allowed(granted, action)


async def is_cluster_admin(clients: Clients, cluster: ClusterId, principal_id: str) -> bool | None:
    """Whether the principal or a group of it holds the role on the cluster or above.

    None if unreadable, or if the role is held only under a condition, which is not evaluated here.
    """
    held = quote(f"assignedTo('{principal_id}')")
    kind = f"providers/Microsoft.Authorization/roleAssignments?api-version={_VERSION}&$filter={held}"
    shown = await surroundings.whole(clients, ChangedBy.AUTHORIZATION, f"{cluster.subscription}/{kind}")
    if shown is None:
        shown = await surroundings.pages(clients, f"{cluster.resource_id}/{kind}")
    if shown is None:
        return None
    try:
        conditions = [
            properties.get("condition")
            for properties in (one["properties"] for one in shown)
            if properties["roleDefinitionId"].lower().endswith(f"/{RBAC_CLUSTER_ADMIN}")
            and cluster.is_within(properties["scope"])
        ]
    except (AttributeError, KeyError, TypeError):
        return None
    return True if not all(conditions) else None if conditions else False


async def locks(clients: Clients, cluster: ClusterId, node_resource_group: str) -> tuple[Lock, ...] | None:
    """Return the locks on the cluster, its resource group, its subscription and its node resource group.

    None if unreadable.
    """
    subscription = cluster.subscription.lower()
    above = {subscription, cluster.group.lower(), cluster.key}
    nodes = f"{subscription}/resourcegroups/{node_resource_group}".lower() if node_resource_group else ""
    in_subscription = await clients.shared.once(
        ChangedBy.AUTHORIZATION, f"locks {subscription}", lambda: _locks_of(clients, cluster.subscription_id)
    )
    if in_subscription is None:
        return None
    found = []
    for lock in in_subscription:
        scope = str(lock.id or "")[: str(lock.id or "").lower().rfind(_LOCKS)]
        near = scope.lower()
        if near in above or (nodes and (near == nodes or near.startswith(f"{nodes}/"))):
            found.append(Lock(name=str(lock.name or ""), level=str(lock.level or ""), scope=scope))
    return tuple(found)


async def _locks_of(clients: Clients, subscription_id: str) -> list[ManagementLockObject] | None:
    """Return all locks in a subscription. None if unreadable."""
    listed = clients.locks(subscription_id).management_locks.list_at_subscription_level()
    return await readable(collected(listed, f"read the locks of subscription {subscription_id}"))


def _allowed(permissions: list[_Permission], action: str) -> bool:
    """Return whether one of the permissions, each with its excepted actions, allows an action."""
    return any(_any_matches(given, action) and not _any_matches(taken, action) for given, taken in permissions)


def _any_matches(patterns: list[str], action: str) -> bool:
    return any(
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), action, re.IGNORECASE) is not None for pattern in patterns
    )
