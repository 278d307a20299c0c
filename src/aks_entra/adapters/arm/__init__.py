"""Azure Resource Manager through Azure's own SDKs: the `ControlPlane` port."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from aks_entra.adapters.arm import around, listing, policies, rights, writes
from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.document import posture_of
from aks_entra.adapters.arm.listing import ARM_HOST
from aks_entra.adapters.failures import azure, correlation_id, headers_of, service_error, translated
from aks_entra.adapters.vault import MemoryVault, describe_authority, parse_kubeconfig
from aks_entra.core.cluster import CertificateAuthority, ClusterId, Posture
from aks_entra.core.debt import Record
from aks_entra.core.evidence import AdminCredentialRefused
from aks_entra.core.preflight import Lock, Policy, Quota, Subnet, Writer
from aks_entra.core.steps import Guarded
from aks_entra.core.windows import Window
from aks_entra.errors import Refused, TryLater
from aks_entra.ports import Clock, NewCluster, Operation, OperationState, Place, Witness

if TYPE_CHECKING:
    from azure.mgmt.containerservice.models import CredentialResults

DISABLED: Final = "Getting static credential"
"""How ARM's 400 of the disabled account begins, in every variant that was seen."""

_ID: Final = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)
_NOT_FOUND: Final = 404


class AzureControlPlane:
    """ARM as the executor needs it. Reads keep the SDK's retries; writes are sent once."""

    def __init__(self, clients: Clients, vault: MemoryVault, clock: Clock) -> None:
        self._clients = clients
        self._vault = vault
        self._clock = clock

    async def tenant_of(self, subscription_id: str) -> str:
        """The subscription's tenant id. Refused when the subscription cannot be seen."""
        with azure(f"read subscription {subscription_id}"):
            return str((await self._clients.subscriptions().subscriptions.get(subscription_id)).tenant_id or "")

    async def subscription_id(self, name_or_id: str) -> str:
        """The id of a subscription that is named by id or by display name. Refused when there is none, or two."""
        if _ID.match(name_or_id):
            with azure(f"find subscription {name_or_id}"):
                found = await self._clients.subscriptions().subscriptions.get(name_or_id)
            return str(found.subscription_id)
        with azure("list the subscriptions"):
            seen = [one async for one in self._clients.subscriptions().subscriptions.list()]
        same = [str(one.subscription_id) for one in seen if str(one.display_name).casefold() == name_or_id.casefold()]
        if len(same) == 1:
            return same[0]
        visible = ", ".join(sorted(str(one.display_name) for one in seen)) or "none"
        raise Refused(
            f"{'no subscription is' if not same else f'{len(same)} subscriptions are'} named {name_or_id!r}",
            remedy=f"name it by its id; visible to this identity: {visible}",
            code="SubscriptionNotFound",
        )

    async def list_clusters(self, subscription_id: str, resource_group: str | None = None) -> AsyncIterator[Posture]:
        """Every managed cluster, one page of ARM's list at a time, at depth "listed"."""
        async for page in listing.pages(self._clients, subscription_id, resource_group):
            for posture in page:
                yield posture

    async def cluster(self, cluster: ClusterId) -> Posture:
        """One cluster at depth "listed". Refused (code ResourceNotFound) when it does not exist."""
        return posture_of(await writes.read(self._clients, cluster))

    async def certificate_authority(self, cluster: ClusterId) -> CertificateAuthority:
        """The CA in the cluster's user kubeconfig; everything else in that answer is dropped at once."""
        with azure(f"read the user kubeconfig of {cluster} for its CA"):
            answer = await self._clients.clusters(
                cluster.subscription_id
            ).managed_clusters.list_cluster_user_credentials(cluster.resource_group, cluster.name)
        ca_pem = parse_kubeconfig(_kubeconfig(answer, cluster)).ca_pem
        authority = describe_authority(ca_pem)
        self._vault.trust(cluster, ca_pem)
        return authority

    async def missing_permissions(self, cluster: ClusterId, actions: tuple[str, ...]) -> tuple[str, ...] | None:
        """Which of the ARM actions the caller lacks on the cluster; None when that cannot be read."""
        return await rights.missing_permissions(self._clients, cluster, actions)

    async def is_cluster_admin(self, cluster: ClusterId, principal_id: str) -> bool | None:
        """Whether the principal holds Azure Kubernetes Service RBAC Cluster Admin here; None when unreadable."""
        return await rights.is_cluster_admin(self._clients, cluster, principal_id)

    async def locks(self, cluster: ClusterId, node_resource_group: str) -> tuple[Lock, ...] | None:
        """Management locks that reach the cluster or its nodes; None: unreadable."""
        return await rights.locks(self._clients, cluster, node_resource_group)

    async def supported_versions(self, subscription_id: str, location: str) -> tuple[str, ...] | None:
        """The minor versions (`1.33`) that Azure offers in a region; None: unreadable."""
        return await around.supported_versions(self._clients, subscription_id, location)

    async def policies(self, cluster: ClusterId) -> tuple[Policy, ...] | None:
        """Policy assignments that reach the cluster and are about how people sign in; None: unreadable."""
        return await policies.policies(self._clients, cluster)

    async def maintenance_windows(self, cluster: ClusterId) -> tuple[Window, ...] | None:
        """The cluster's maintenance configurations; None: unreadable."""
        return await around.maintenance_windows(self._clients, cluster)

    async def quotas(self, subscription_id: str, location: str) -> tuple[Quota, ...] | None:
        """The vCPUs that a subscription has left in a region; None: unreadable."""
        return await around.quotas(self._clients, subscription_id, location)

    async def subnet(self, subnet_id: str) -> Subnet:
        """How many addresses a subnet has left; `free` None: unreadable."""
        return await around.subnet(self._clients, subnet_id)

    async def published_addresses(self, cluster: ClusterId, node_resource_group: str) -> tuple[str, ...] | None:
        """Addresses that the cluster publishes services under; None: unreadable."""
        return await around.published_addresses(self._clients, cluster, node_resource_group)

    async def writers(self, cluster: ClusterId) -> tuple[Writer, ...] | None:
        """Who wrote the cluster in the last 90 days, the newest first; None: unreadable."""
        return await around.writers(self._clients, cluster, self._clock.now())

    async def handed_out(self, cluster: ClusterId) -> tuple[Record, ...] | None:
        """When Azure handed out an admin credential in the last 90 days; None: unreadable."""
        return await around.handed_out(self._clients, cluster, self._clock.now())

    async def enable_entra(
        self,
        cluster: ClusterId,
        expected: Guarded,
        tenant_id: str,
        admin_group_ids: tuple[str, ...],
        azure_rbac: bool | None,
    ) -> Operation:
        """PUT with `aadProfile` replaced. Reads at once before; Refused when the cluster is not as `expected`."""
        return await writes.enable_entra(self._clients, cluster, expected, tenant_id, admin_group_ids, azure_rbac)

    async def update_entra(
        self, cluster: ClusterId, expected: Guarded, admin_group_ids: tuple[str, ...], azure_rbac: bool
    ) -> Operation:
        """PUT with the admin groups and the Azure RBAC flag of a managed cluster changed, under the same guard."""
        return await writes.update_entra(self._clients, cluster, expected, admin_group_ids, azure_rbac=azure_rbac)

    async def set_local_accounts(
        self, cluster: ClusterId, expected: Guarded, *, enabled: bool, tags: tuple[tuple[str, str | None], ...] = ()
    ) -> Operation:
        """PUT with `disableLocalAccounts` changed, under the same guard; `tags` are set (None: removed)."""
        return await writes.set_local_accounts(self._clients, cluster, expected, enabled=enabled, tags=tags)

    async def rotate_certificates(self, cluster: ClusterId) -> Operation:
        """POST rotateClusterCertificates, never repeated. TryLater (code OperationNotAllowed) on 409."""
        return await writes.rotate(self._clients, cluster)

    async def operation(self, operation: Operation) -> OperationState:
        """One GET of the operation's own URL, verbatim; of the cluster when the URL is lost or Azure forgot it.

        Refused when the URL does not lead to ARM: a token for ARM goes nowhere else.
        """
        if not operation.url:
            return await self._at_rest(operation.cluster)
        target = urlsplit(operation.url)
        if target.scheme != "https" or target.hostname != ARM_HOST:
            raise Refused(f"an operation's URL leads to {target.hostname}, not to {ARM_HOST}", code="ForeignUrl")
        from azure.core.exceptions import HttpResponseError  # noqa: PLC0415 - lazy, as all of azure is
        from azure.core.rest import HttpRequest  # noqa: PLC0415 - as above

        doing = f"follow the operation on {operation.cluster}"
        with azure(doing):
            response = await self._clients.clusters(operation.cluster.subscription_id).send_request(
                HttpRequest("GET", operation.url)
            )
        if response.status_code == _NOT_FOUND:
            return await self._at_rest(operation.cluster)
        if response.status_code >= 400:  # noqa: PLR2004 - HTTP
            raise translated(HttpResponseError(response=response), doing)
        return _state(response.status_code, response.text())

    async def hold_admin_credential(self, cluster: ClusterId) -> Witness | AdminCredentialRefused:
        """Fetch the admin kubeconfig into the vault, or return ARM's 400 of the disabled account as evidence."""
        from azure.core.exceptions import HttpResponseError  # noqa: PLC0415 - lazy, as all of azure is

        with azure(f"read the admin kubeconfig of {cluster}"):
            try:
                answer = await self._clients.clusters(
                    cluster.subscription_id
                ).managed_clusters.list_cluster_admin_credentials(cluster.resource_group, cluster.name)
            except HttpResponseError as err:
                code, message = service_error(err)
                if err.status_code == 400 and code == "BadRequest" and message.startswith(DISABLED):  # noqa: PLR2004 - HTTP
                    return AdminCredentialRefused(
                        at=self._clock.now().isoformat().replace("+00:00", "Z"),
                        status=400,
                        code=code,
                        message=message,
                        correlation_id=correlation_id(headers_of(err)),
                    )
                raise
        kubeconfig = _kubeconfig(answer, cluster)
        self._vault.trust(cluster, parse_kubeconfig(kubeconfig).ca_pem)
        return self._vault.hand_in(cluster, kubeconfig.decode())

    async def hand_out_admin_kubeconfig(self, cluster: ClusterId, place: Place) -> None:
        """Write the admin kubeconfig to the one place. TryLater while Azure still refuses it."""
        from azure.core.exceptions import HttpResponseError  # noqa: PLC0415 - lazy, as all of azure is

        with azure(f"read the admin kubeconfig of {cluster}"):
            try:
                answer = await self._clients.clusters(
                    cluster.subscription_id
                ).managed_clusters.list_cluster_admin_credentials(cluster.resource_group, cluster.name)
            except HttpResponseError as err:
                if err.status_code == 400 and service_error(err)[1].startswith(DISABLED):  # noqa: PLR2004 - HTTP
                    raise TryLater(f"Azure does not hand out the admin kubeconfig of {cluster} yet", after=10) from err
                raise
        place.put(_kubeconfig(answer, cluster))

    async def subscription_ids(self) -> tuple[str, ...]:
        """The ids of the subscriptions that the caller can see."""
        with azure("list the subscriptions"):
            return tuple([str(one.subscription_id) async for one in self._clients.subscriptions().subscriptions.list()])

    async def ensure_resource_group(self, subscription_id: str, name: str, location: str) -> bool:
        """Create the resource group unless it exists; whether it was created."""
        from azure.mgmt.resource.resources.models import ResourceGroup  # noqa: PLC0415 - lazy, as all of azure is

        groups = self._clients.resources(subscription_id).resource_groups
        with azure(f"look for resource group {name}"):
            if await groups.check_existence(name):
                return False
        with azure(f"create resource group {name}", writing=True):
            await groups.create_or_update(name, ResourceGroup(location=location))
        return True

    async def create_cluster(self, spec: NewCluster) -> Operation:
        """PUT of a cluster that does not exist (If-None-Match: *). Rejected when it does."""
        return await writes.create(self._clients, spec)

    async def _at_rest(self, cluster: ClusterId) -> OperationState:
        posture = await self.cluster(cluster)
        busy = (state for state in (posture.provisioning_state, *(pool.provisioning_state for pool in posture.pools)))
        states = tuple(busy)
        return OperationState(status=posture.provisioning_state if posture.at_rest else _running(states))


def _running(states: tuple[str, ...]) -> str:
    return next(state for state in states if state.casefold() not in {"succeeded", "failed", "canceled"})


def _state(status: int, text: str) -> OperationState:
    """Only `status` decides: an `error` beside InProgress is noise. An operationresults URL answers by HTTP status."""
    try:
        body: Any = json.loads(text) if text else {}
    except ValueError:
        body = {}
    said = str(body.get("status") or "") if isinstance(body, dict) else ""
    if not said:
        return OperationState(status="InProgress" if status == 202 else "Succeeded")  # noqa: PLR2004 - HTTP
    error = body.get("error") or {}
    return OperationState(status=said, code=str(error.get("code") or ""), message=str(error.get("message") or ""))


def _kubeconfig(answer: CredentialResults, cluster: ClusterId) -> bytes:
    value = next((one.value for one in answer.kubeconfigs or () if one.value), None)
    if value is None:
        raise Refused(f"Azure gave no kubeconfig for {cluster}", code="NoKubeconfig")
    return bytes(value)
