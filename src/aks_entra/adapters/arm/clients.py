"""Makes Azure's SDK clients on first use: one per subscription, all over one connection pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from azure.core import AsyncPipelineClient
from azure.core.pipeline import policies

from aks_entra.adapters.arm.shared_reads import ForgetAfterWrites, SharedReads
from aks_entra.adapters.http.malformed import WholeAnswers
from aks_entra.adapters.http.network import OwnHostOnly, Web
from aks_entra.adapters.http.pacing import Buckets, PacingPolicy
from aks_entra.adapters.identity.credentials import ARM_SCOPE, Identities

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.core.rest import AsyncHttpResponse, HttpRequest
    from azure.mgmt.authorization.v2022_04_01.aio import AuthorizationManagementClient
    from azure.mgmt.containerservice.aio import ContainerServiceClient
    from azure.mgmt.resource.locks.aio import ManagementLockClient
    from azure.mgmt.resource.resources.aio import ResourceManagementClient

_Client = TypeVar("_Client")

ARM_HOST: Final = "management.azure.com"
CONTAINER_SERVICE: Final = "2026-08-01"
"""The api-version of Microsoft.ContainerService in the SDK's pinned release. Our own GETs use it too."""

NO_RETRY: Final[dict[str, Any]] = {"retry_total": 0, "retry_connect": 0, "retry_read": 0, "retry_status": 0}
"""The options of a write. By default azure-core repeats even a POST, which could start a second rotation."""


class Clients:
    """The clients of one process. Each is imported and built once per subscription."""

    def __init__(self, identities: Identities, web: Web, buckets: Buckets) -> None:
        self._credential = identities.runner_credential
        self._web = web
        self._buckets = buckets
        self._made: dict[tuple[str, str], Any] = {}
        self.shared = SharedReads()

    def clusters(self, subscription_id: str) -> ContainerServiceClient:
        """Microsoft.ContainerService."""
        from azure.mgmt.containerservice.aio import ContainerServiceClient

        return self._once(
            "clusters",
            subscription_id,
            lambda: ContainerServiceClient(
                self._credential, subscription_id, api_version=CONTAINER_SERVICE, **self._options()
            ),
        )

    def authorization(self, subscription_id: str) -> AuthorizationManagementClient:
        """Return the client for permissions and role assignments (Microsoft.Authorization)."""
        from azure.mgmt.authorization.v2022_04_01.aio import (
            AuthorizationManagementClient,
        )

        return self._once(
            "authorization",
            subscription_id,
            lambda: AuthorizationManagementClient(self._credential, subscription_id, **self._options()),
        )

    def locks(self, subscription_id: str) -> ManagementLockClient:
        """Return the client for management locks."""
        from azure.mgmt.resource.locks.aio import ManagementLockClient

        return self._once(
            "locks",
            subscription_id,
            lambda: ManagementLockClient(self._credential, subscription_id, **self._options()),
        )

    def resources(self, subscription_id: str) -> ResourceManagementClient:
        """Return the client for resource groups."""
        from azure.mgmt.resource.resources.aio import ResourceManagementClient

        return self._once(
            "resources",
            subscription_id,
            lambda: ResourceManagementClient(self._credential, subscription_id, **self._options()),
        )

    def plain(self) -> AsyncPipelineClient[HttpRequest, AsyncHttpResponse]:
        """Return the client for plain GETs, with the policies of Azure's SDKs and without their models.

        The registration of resource providers is missing, because that is a write, and so is the policy that decodes
        every body, because `WholeAnswers` has done so.
        """
        return self._once(
            "plain",
            "",
            lambda: AsyncPipelineClient(
                f"https://{ARM_HOST}",
                policies=[
                    policies.RequestIdPolicy(),
                    policies.UserAgentPolicy(),
                    policies.AsyncRedirectPolicy(),
                    policies.AsyncRetryPolicy(),
                    policies.AsyncBearerTokenCredentialPolicy(self._credential, ARM_SCOPE),
                    policies.SensitiveHeaderCleanupPolicy(),
                ],
                **self._options(),
            ),
        )

    async def close(self) -> None:
        """Close every client, but not the connection pool."""
        await self.shared.close()
        for client in self._made.values():
            await client.close()
        self._made.clear()

    def _options(self) -> dict[str, Any]:
        return {
            "transport": self._web.transport(ARM_HOST),
            "per_call_policies": [OwnHostOnly(ARM_HOST), ForgetAfterWrites(self.shared)],
            "per_retry_policies": [PacingPolicy(self._buckets), WholeAnswers()],
        }

    def _once(self, kind: str, subscription_id: str, make: Callable[[], _Client]) -> _Client:
        key = (kind, subscription_id.lower())
        if key not in self._made:
            self._made[key] = make()
        client: _Client = self._made[key]
        return client
