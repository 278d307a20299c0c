"""Reads the permissions, role assignments and locks on a cluster."""

from __future__ import annotations

import re
from typing import Final

from aks_entra.adapters.arm import surroundings
from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.http.failures import azure, collected
from aks_entra.adapters.http.paging import every
from aks_entra.adapters.http.readable import readable
from aks_entra.core.cluster import ClusterId
from aks_entra.core.preflight import Lock

RBAC_CLUSTER_ADMIN: Final = "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b"
"""The built-in role Azure Kubernetes Service RBAC Cluster Admin, the same in every tenant."""

_VERSION: Final = "2022-04-01"
_LOCKS: Final = "/providers/microsoft.authorization/locks/"


async def missing_permissions(clients: Clients, cluster: ClusterId, actions: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the actions that no permission of the caller allows on the cluster. None if unreadable."""
    listed = clients.authorization(cluster.subscription_id).permissions.list_for_resource(
        resource_group_name=cluster.resource_group,
        resource_provider_namespace="Microsoft.ContainerService",
        parent_resource_path="",
        resource_type="managedClusters",
        resource_name=cluster.name,
    )
    found = await readable(collected(listed, f"read the permissions on {cluster}"))
    if found is None:
        return None
    allowed = [(one.actions or [], one.not_actions or []) for one in found]
    return tuple(action for action in actions if not _allowed(allowed, action))


async def may(clients: Clients, scope: str, action: str) -> bool | None:
    """Return whether a permission of the caller allows an action on a resource. None if unreadable or malformed."""
    found = await surroundings.pages(
        clients, f"{scope}/providers/Microsoft.Authorization/permissions?api-version={_VERSION}"
    )
    try:
        allowed = [(list(one["actions"]), list(one.get("notActions") or ())) for one in found or ()]
        return None if found is None else _allowed(allowed, action)
    except (KeyError, TypeError):
        return None


async def is_cluster_admin(clients: Clients, cluster: ClusterId, principal_id: str) -> bool | None:
    """Whether the principal or a group of it holds the role on the cluster or above.

    None if unreadable, or if the role is held only under a condition, which is not evaluated here.
    """
    scope = cluster.resource_id.lower()
    doing = f"read the role assignments on {cluster}"
    listed = clients.authorization(cluster.subscription_id).role_assignments.list_for_scope(
        scope=cluster.resource_id.lstrip("/"), filter=f"assignedTo('{principal_id}')"
    )

    async def holds() -> bool | None:
        found: bool | None = False
        with azure(doing):
            async for assignment in every(listed, doing):
                role = str(assignment.role_definition_id).lower()
                at = str(assignment.scope).lower().rstrip("/")
                if role.endswith(f"/{RBAC_CLUSTER_ADMIN}") and (scope == at or scope.startswith(f"{at}/")):
                    if not assignment.condition:
                        return True
                    found = None
        return found

    return await readable(holds())


async def locks(clients: Clients, cluster: ClusterId, node_resource_group: str) -> tuple[Lock, ...] | None:
    """Return the locks on the cluster, its resource group, its subscription and its node resource group.

    None if unreadable.
    """
    subscription = f"/subscriptions/{cluster.subscription_id}".lower()
    above = {subscription, f"{subscription}/resourcegroups/{cluster.resource_group}".lower(), cluster.key}
    nodes = f"{subscription}/resourcegroups/{node_resource_group}".lower() if node_resource_group else ""
    listed = clients.locks(cluster.subscription_id).management_locks.list_at_subscription_level()
    in_subscription = await readable(collected(listed, f"read the locks of subscription {cluster.subscription_id}"))
    if in_subscription is None:
        return None
    found = []
    for lock in in_subscription:
        scope = str(lock.id or "")[: str(lock.id or "").lower().rfind(_LOCKS)]
        near = scope.lower()
        if near in above or (nodes and (near == nodes or near.startswith(f"{nodes}/"))):
            found.append(Lock(name=str(lock.name or ""), level=str(lock.level or ""), scope=scope))
    return tuple(found)


def _allowed(permissions: list[tuple[list[str], list[str]]], action: str) -> bool:
    """Return whether one of the permissions, each with its excepted actions, allows an action."""
    return any(_any_matches(given, action) and not _any_matches(taken, action) for given, taken in permissions)


def _any_matches(patterns: list[str], action: str) -> bool:
    return any(
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), action, re.IGNORECASE) is not None for pattern in patterns
    )
