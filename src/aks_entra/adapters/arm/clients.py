"""Azure's SDK clients, made when they are first needed: one per subscription, all over one connection pool."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aks_entra.adapters.credentials import Identities
from aks_entra.adapters.malformed import WholeAnswers
from aks_entra.adapters.network import Web
from aks_entra.adapters.pacing import Buckets, InTurn

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.mgmt.authorization.v2022_04_01.aio import AuthorizationManagementClient
    from azure.mgmt.containerservice.aio import ContainerServiceClient
    from azure.mgmt.resource.locks.aio import ManagementLockClient
    from azure.mgmt.resource.resources.aio import ResourceManagementClient
    from azure.mgmt.resource.subscriptions.aio import SubscriptionClient

_Client = TypeVar("_Client")

CONTAINER_SERVICE: Final = "2026-08-01"
"""The api-version of Microsoft.ContainerService: that of the SDK's pinned release, for its models and our own reads."""

NO_RETRY: Final[dict[str, Any]] = {"retry_total": 0, "retry_connect": 0, "retry_read": 0, "retry_status": 0}
"""For writes: azure-core repeats even a POST on some answers, and a rotation must never be started twice."""


class Clients:
    """The clients of one process. Each is imported and built once per subscription."""

    def __init__(self, identities: Identities, web: Web, *, rate: float = 1.0) -> None:
        self._credential = identities.runner_credential
        self._web = web
        self._buckets = Buckets(rate, time.monotonic)
        self._made: dict[tuple[str, str], Any] = {}

    def clusters(self, subscription_id: str) -> ContainerServiceClient:
        """Microsoft.ContainerService."""
        from azure.mgmt.containerservice.aio import ContainerServiceClient  # noqa: PLC0415 - lazy: 0.1 s, 20 MB

        return self._once(
            "clusters",
            subscription_id,
            lambda: ContainerServiceClient(
                self._credential, subscription_id, api_version=CONTAINER_SERVICE, **self._options()
            ),
        )

    def authorization(self, subscription_id: str) -> AuthorizationManagementClient:
        """Microsoft.Authorization: permissions and role assignments."""
        from azure.mgmt.authorization.v2022_04_01.aio import (  # noqa: PLC0415 - lazy, as above
            AuthorizationManagementClient,
        )

        return self._once(
            "authorization",
            subscription_id,
            lambda: AuthorizationManagementClient(self._credential, subscription_id, **self._options()),
        )

    def locks(self, subscription_id: str) -> ManagementLockClient:
        """Management locks."""
        from azure.mgmt.resource.locks.aio import ManagementLockClient  # noqa: PLC0415 - lazy, as above

        return self._once(
            "locks",
            subscription_id,
            lambda: ManagementLockClient(self._credential, subscription_id, **self._options()),
        )

    def resources(self, subscription_id: str) -> ResourceManagementClient:
        """Resource groups."""
        from azure.mgmt.resource.resources.aio import ResourceManagementClient  # noqa: PLC0415 - lazy, as above

        return self._once(
            "resources",
            subscription_id,
            lambda: ResourceManagementClient(self._credential, subscription_id, **self._options()),
        )

    def subscriptions(self) -> SubscriptionClient:
        """Subscriptions and their tenants."""
        from azure.mgmt.resource.subscriptions.aio import SubscriptionClient  # noqa: PLC0415 - lazy, as above

        return self._once("subscriptions", "", lambda: SubscriptionClient(self._credential, **self._options()))

    async def close(self) -> None:
        """Close every client; the connection pool belongs to whoever made it."""
        for client in self._made.values():
            await client.close()
        self._made.clear()

    def _options(self) -> dict[str, Any]:
        return {"transport": self._web.transport(), "per_retry_policies": [InTurn(self._buckets), WholeAnswers()]}

    def _once(self, kind: str, subscription_id: str, make: Callable[[], _Client]) -> _Client:
        key = (kind, subscription_id.lower())
        if key not in self._made:
            self._made[key] = make()
        client: _Client = self._made[key]
        return client
