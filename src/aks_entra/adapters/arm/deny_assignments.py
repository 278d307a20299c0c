"""Reads the deny assignments on a cluster by GET, because our SDK release has an older api-version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aks_entra.adapters.arm import surroundings
from aks_entra.adapters.arm.clients import Clients
from aks_entra.core.access.deny_assignments import DenyAssignment, Principal
from aks_entra.core.cluster import ClusterId, same_id

_VERSION: Final = "2022-04-01"


async def deny_assignments(clients: Clients, cluster: ClusterId) -> tuple[DenyAssignment, ...] | None:
    """Return the deny assignments on the cluster and above it. None if unreadable or malformed."""
    path = f"{cluster.resource_id}/providers/Microsoft.Authorization/denyAssignments"
    items = await surroundings.pages(clients, f"{path}?api-version={_VERSION}&$filter=atScope()")
    if items is None:
        return None
    try:
        shown = [one["properties"] for one in items]
        return tuple(_assignment(one) for one in shown if _reaches(one, cluster))
    except (AttributeError, KeyError, TypeError):
        return None


def _reaches(properties: Mapping[str, Any], cluster: ClusterId) -> bool:
    here = same_id(str(properties.get("scope") or "").rstrip("/"), cluster.resource_id)
    return here or not properties.get("doNotApplyToChildScopes")


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
