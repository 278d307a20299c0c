"""The policy assignment that keeps local accounts off, and the exemption from it: the `DenyPolicies` port.

Both are made at the cluster's own scope, so they concern no other cluster, and a deleted cluster takes them with it.
Sources: "Policy Assignments - Create", "Policy Exemptions - Create Or Update", and Azure CLI's recording of an
assignment (PUT 201, DELETE 200 with the body, 204 without).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aks_entra.adapters.arm import documents
from aks_entra.adapters.arm.azure_policy import EXEMPTIONS, VERSION, is_managed
from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.documents import ARM
from aks_entra.adapters.http.failures import correlation_id
from aks_entra.core import deny_policy
from aks_entra.core.cluster import ClusterId
from aks_entra.errors import AksEntraError, Refused

_GONE: Final = 404
_LONGEST: Final = 128  # characters of a displayName

Document = Mapping[str, Any]


class ArmDenyPolicies:
    """Writes our assignment and our exemption, and nothing that bears their names without our metadata."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def assign(self, cluster: ClusterId, plan_digest: str) -> str:
        """PUT the assignment with the effect Deny. Return the correlation id."""
        url, doing = _assignment(cluster), f"assign the deny policy to {cluster}"
        await self._own(url, doing)
        body = {
            "displayName": f"aks-entra: local accounts of {cluster.name} stay off"[:_LONGEST],
            "description": "Made by aks-entra (`keep: deny`) once the cluster was verified.",
            "policyDefinitionId": deny_policy.definition_id(),
            "parameters": {"effect": {"value": "Deny"}},
            "enforcementMode": "Default",
            "metadata": {"managedBy": deny_policy.OWNER, "assignedBy": deny_policy.OWNER, "planDigest": plan_digest},
            "nonComplianceMessages": [
                {
                    "message": "Local accounts of this cluster stay off. In an emergency, `aks-entra break-glass` "
                    "turns them on for a limited time."
                }
            ],
        }
        answer = await documents.write(self._clients, "PUT", url, doing, {"properties": body})
        return correlation_id(answer.headers)

    async def remove(self, cluster: ClusterId) -> bool:
        """DELETE the assignment. Return whether it existed."""
        return await self._delete(_assignment(cluster), f"remove the deny policy of {cluster}")

    async def exempt(self, cluster: ClusterId, until: str, reason: str) -> None:
        """PUT the exemption until a moment (ISO 8601), or move its end."""
        url, doing = _exemption(cluster), f"exempt {cluster} from its deny policy"
        await self._own(url, doing)
        body = {
            "displayName": f"aks-entra break-glass: {cluster.name}"[:_LONGEST],
            "description": reason,
            "policyAssignmentId": deny_policy.assignment_id(cluster),
            "exemptionCategory": "Waiver",
            "expiresOn": until,
            "metadata": {"managedBy": deny_policy.OWNER},
        }
        await documents.write(self._clients, "PUT", url, doing, {"properties": body})

    async def end_exemption(self, cluster: ClusterId) -> bool:
        """DELETE the exemption. Return whether it existed."""
        return await self._delete(_exemption(cluster), f"end the exemption of {cluster} from its deny policy")

    async def _delete(self, url: str, doing: str) -> bool:
        if not await self._own(url, doing):
            return False
        await documents.write(self._clients, "DELETE", url, doing)
        return True

    async def _own(self, url: str, doing: str) -> bool:
        """Return whether it exists. Raises Refused (code NotOurs) if it does, but somebody else made it."""
        try:
            found = await documents.get(self._clients, url, doing)
        except AksEntraError as error:
            if error.status != _GONE:
                raise
            return False
        if not is_managed(found):
            raise Refused(
                f"could not {doing}: {found.get('id') or 'it'} is not ours, because its metadata lacks "
                f"`managedBy: {deny_policy.OWNER}`",
                remedy="ask its owner to give it another name",
                code=deny_policy.NOT_OURS,
            )
        return True


def _assignment(cluster: ClusterId) -> str:
    return f"{ARM}{deny_policy.assignment_id(cluster)}?api-version={VERSION}"


def _exemption(cluster: ClusterId) -> str:
    return f"{ARM}{deny_policy.exemption_id(cluster)}?api-version={EXEMPTIONS}"
