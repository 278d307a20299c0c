"""The reads about who holds rights on a cluster. Each raises only the four errors of `aks_entra.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aks_entra.core.access.rbac import Binding, RoleAssignment
    from aks_entra.core.cluster import ClusterId, Posture
    from aks_entra.core.doors.facts import CertificateRequest


class RightsReads(Protocol):
    """Role assignments as the runner sees them, and the API server's objects as the prover sees them."""

    async def role_assignments(self, cluster: ClusterId) -> tuple[RoleAssignment, ...]:
        """Return the role assignments at, above and below the cluster."""

    async def fleet_role_assignments(self, cluster: ClusterId) -> tuple[RoleAssignment, ...]:
        """Return the role assignments at, above and below each fleet that has the cluster as a member."""

    async def bindings(self, posture: Posture) -> tuple[Binding, ...]:
        """Return every binding with the rules of its role."""

    async def certificate_requests(self, posture: Posture) -> tuple[CertificateRequest, ...]:
        """Return the signing requests for client certificates that the API server still keeps."""

    async def service_account_secrets(self, posture: Posture) -> tuple[str, ...]:
        """Return the namespace and name of each Secret of type kubernetes.io/service-account-token."""
