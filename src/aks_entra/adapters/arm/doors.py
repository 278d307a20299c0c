"""Reads the doors that ARM shows. An answer that is not whole is Rejected, so that no door looks closed by mistake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aks_entra.adapters.arm import documents
from aks_entra.adapters.arm.clients import CONTAINER_SERVICE, Clients
from aks_entra.adapters.arm.documents import ARM
from aks_entra.core.cluster import ClusterId
from aks_entra.core.doors.facts import JwtAuthenticator
from aks_entra.errors import AksEntraError, Rejected

JWT_AUTHENTICATORS: Final = "2026-08-02-preview"
"""The api-version with `jwtAuthenticators`; no stable version has them. A preview ends about a year later."""

_ENDED: Final = frozenset({"NoRegisteredProviderFound", "InvalidApiVersionParameter", "InvalidResourceType"})
"""ARM's codes for an api-version, or a type in it, that does not exist any more or not yet."""

_AGAIN: Final = "look again; if it comes back, install a newer aks-entra"
_NEWER: Final = "install a newer aks-entra, or look with `az aks jwtauthenticator list`"


class ArmDoors:
    """The doors of a cluster as ARM lists them."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def jwt_authenticators(self, cluster: ClusterId) -> tuple[JwtAuthenticator, ...]:
        """Return the cluster's JWT authenticators."""
        try:
            items = await self._list(cluster, "jwtAuthenticators", JWT_AUTHENTICATORS)
        except AksEntraError as error:
            if error.code in _ENDED:
                error.remedy = _NEWER
            raise
        return tuple(JwtAuthenticator(name=str(one["name"]), issuer=_issuer(one)) for one in items)

    async def managed_namespaces(self, cluster: ClusterId) -> tuple[str, ...]:
        """Return the names of the cluster's managed namespaces."""
        items = await self._list(cluster, "managedNamespaces", CONTAINER_SERVICE)
        return tuple(str(one["name"]) for one in items)

    async def _list(self, cluster: ClusterId, kind: str, version: str) -> list[Mapping[str, Any]]:
        doing = f"read the {kind} of {cluster}"
        url = f"{ARM}{cluster.resource_id}/{kind}?api-version={version}"
        found: list[Mapping[str, Any]] = []
        async for page in documents.pages(self._clients, url, doing):
            items = page.get("value")
            if not isinstance(items, list) or not all(isinstance(one, Mapping) and one.get("name") for one in items):
                raise Rejected(f"could not {doing}: ARM's answer is not a list of resources with names", remedy=_AGAIN)
            found += items
        return found


def _issuer(authenticator: Mapping[str, Any]) -> str:
    """Return the URL of the issuer. Empty if ARM shows none."""
    properties = authenticator.get("properties")
    issuer = properties.get("issuer") if isinstance(properties, Mapping) else None
    return str(issuer.get("url") or "") if isinstance(issuer, Mapping) else ""
