"""The application through which people sign approvals, in Microsoft Graph v1.0: the `SignInApplications` port.

Sources: Graph's pages "Create application", "Create servicePrincipal" and "List owners". The application has a tag, so
that it is made once. Any user may register an application with that tag, so one that exists is shown with its owners
and never adopted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aks_entra.adapters.graph.client import GraphClient
from aks_entra.ports.access import SignInApplication

TAG: Final = "aks-entra-approvals"
NEEDS: Final = "Application.ReadWrite.All, or the role Application Administrator"


class GraphSignInApplications:
    """The applications of the signed-in identity's tenant."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph

    async def found(self) -> tuple[SignInApplication, ...]:
        """Return the applications with our tag, each with its owners."""
        query = {"$filter": f"tags/any(t:t eq '{TAG}')", "$select": "id,appId,displayName"}
        doing = "look for the application of signed approvals"
        listed = await self._graph.list("/applications", doing=doing, needs=NEEDS, query=query)
        return tuple([await self._read(one) for one in listed])

    async def make(self, name: str) -> str:
        """Make the application with its service principal. Returns its client id."""
        body = {
            "displayName": name,
            "tags": [TAG],
            "signInAudience": "AzureADMyOrg",
            "publicClient": {"redirectUris": ["http://localhost"]},
            "groupMembershipClaims": "SecurityGroup",
            "api": {"requestedAccessTokenVersion": 2},
        }
        made = await self._graph.post("/applications", body, doing=f"register the application {name!r}", needs=NEEDS)
        client_id = str(made["appId"])
        doing = f"create the service principal of {name!r} ({client_id})"
        await self._graph.post("/servicePrincipals", {"appId": client_id}, doing=doing, needs=NEEDS)
        return client_id

    async def _read(self, one: Mapping[str, Any]) -> SignInApplication:
        doing = "read the owners of the application of signed approvals"
        owners = await self._graph.list(f"/applications/{one['id']}/owners", doing=doing, needs=NEEDS)
        return SignInApplication(
            client_id=str(one["appId"]),
            name=str(one.get("displayName") or ""),
            owners=tuple(str(it.get("userPrincipalName") or it.get("displayName") or it.get("id")) for it in owners),
        )
