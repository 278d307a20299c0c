"""Reads who holds rights on a cluster: the `RightsReads` port, over ARM and the cluster's API server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from aks_entra.adapters.http.malformed import malformed
from aks_entra.adapters.kubernetes.api_server import METADATA
from aks_entra.adapters.kubernetes.workloads import service_account_secrets
from aks_entra.core.access.holders import SIGNER
from aks_entra.core.doors.facts import CertificateRequest

if TYPE_CHECKING:
    from aks_entra.adapters.arm.fleets import Fleets
    from aks_entra.adapters.arm.role_assignments import ClusterRoles
    from aks_entra.adapters.kubernetes.api_server import ApiServers
    from aks_entra.adapters.kubernetes.rbac import KubernetesRbac
    from aks_entra.core.access.rbac import Binding, RoleAssignment
    from aks_entra.core.cluster import ClusterId, Posture

_HALF: Final = "a binding without a name or a role"
_REQUESTS: Final = f"/apis/certificates.k8s.io/v1/certificatesigningrequests?fieldSelector=spec.signerName%3D{SIGNER}"


class Rights:
    """What ARM and the API server show about rights. Of secrets, only names are read."""

    def __init__(self, roles: ClusterRoles, fleets: Fleets, rbac: KubernetesRbac, servers: ApiServers) -> None:
        self._roles = roles
        self._fleets = fleets
        self._rbac = rbac
        self._servers = servers

    async def role_assignments(self, cluster: ClusterId) -> tuple[RoleAssignment, ...]:
        """Return the role assignments at, above and below the cluster."""
        return await self._roles.held(cluster, None)

    async def fleet_role_assignments(self, cluster: ClusterId) -> tuple[RoleAssignment, ...]:
        """Return the role assignments at, above and below each fleet that has the cluster as a member."""
        fleets = await self._fleets.of(cluster)
        return tuple([one for fleet in fleets for one in await self._roles.held_at(fleet)])

    async def bindings(self, posture: Posture) -> tuple[Binding, ...]:
        """Return every binding with the rules of its role."""
        found = await self._rbac.bindings(posture)
        if not all(one.name and one.role for one in found):
            raise malformed(f"read the bindings of {posture.cluster}", posture.fqdn or "", _HALF, writing=False)
        return found

    async def certificate_requests(self, posture: Posture) -> tuple[CertificateRequest, ...]:
        """Return the signing requests for client certificates. They hold public keys and certificates alone."""
        async with self._servers.opened(posture) as api:
            listed = self._servers.listing(api, "application/json")
            found = [one async for one in listed(_REQUESTS)]
        return tuple(_request(one) for one in found if (one.get("spec") or {}).get("signerName") in {None, SIGNER})

    async def service_account_secrets(self, posture: Posture) -> tuple[str, ...]:
        """Return the namespace and name of each Secret of type kubernetes.io/service-account-token."""
        async with self._servers.opened(posture) as api:
            return await service_account_secrets(self._servers.listing(api, METADATA))


def _request(item: Mapping[str, Any]) -> CertificateRequest:
    status = item.get("status") or {}
    said = {str(one.get("type") or "") for one in status.get("conditions") or ()}
    known = next((one for one in ("Denied", "Failed", "Approved") if one in said), "pending")
    return CertificateRequest(
        name=str((item.get("metadata") or {}).get("name") or ""),
        requester=str((item.get("spec") or {}).get("username") or ""),
        status="issued" if status.get("certificate") else known.lower(),
    )
