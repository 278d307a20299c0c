"""Reads the deny assignments on a cluster by GET, because our SDK release has an older api-version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aks_entra.adapters.arm import surroundings
from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.shared_reads import ChangedBy
from aks_entra.core.access.deny_assignments import DenyAssignment, Principal
from aks_entra.core.cluster import ClusterId, same_id

_VERSION: Final = "2022-04-01"


async def deny_assignments(clients: Clients, cluster: ClusterId) -> tuple[DenyAssignment, ...] | None:
    """Return the deny assignments on the cluster and above it. None if unreadable or malformed.

    The list of the subscription shows what is at, above and below it (source: "List Azure deny assignments"), and is
    read once for its clusters. If it cannot be read, or an item in it has no scope, the cluster's own list is read.
    """
    kind = f"providers/Microsoft.Authorization/denyAssignments?api-version={_VERSION}"
    items = await surroundings.whole(clients, ChangedBy.AUTHORIZATION, f"{cluster.subscription}/{kind}")
    if items is None or not all(_scope(one) for one in items):
        items = await surroundings.pages(clients, f"{cluster.resource_id}/{kind}&$filter=atScope()")
    if items is None:
        return None
    try:
        shown = [one["properties"] for one in items]
        return tuple(_assignment(one) for one in shown if _reaches(one, cluster))
    except (AttributeError, KeyError, TypeError):
        return None


def _scope(item: Mapping[str, Any]) -> str:
    """Return the scope that an item names. Empty if it names none."""
    properties = item.get("properties")
    return str(properties.get("scope") or "") if isinstance(properties, Mapping) else ""


def _reaches(properties: Mapping[str, Any], cluster: ClusterId) -> bool:
    scope = str(properties.get("scope") or "")
    if same_id(scope.rstrip("/"), cluster.resource_id):
        return True
    return cluster.is_within(scope) and not properties.get("doNotApplyToChildScopes")


def _assignment(properties: Mapping[str, Any]) -> DenyAssignment:
    return DenyAssignment(
        name=str(properties.get("denyAssignmentName") or ""),
        scope=str(properties.get("scope") or ""),
        permissions=tuple(
            (_texts(one.get("actions")), _texts(one.get("notActions"))) for one in properties.get("permissions") or ()
        ),
        principals=_principals(properties.get("principals")),
        excluded=_principals(properties.get("excludePrincipals")),
        conditional=bool(properties.get("condition")),
    )


def _texts(values: Iterable[Any] | None) -> tuple[str, ...]:
    return tuple(str(one) for one in values or ())


def _principals(values: Iterable[Mapping[str, Any]] | None) -> tuple[Principal, ...]:
    return tuple(
        Principal(id=str(one.get("id") or "").lower(), group=str(one.get("type") or "") == "Group")
        for one in values or ()
    )
