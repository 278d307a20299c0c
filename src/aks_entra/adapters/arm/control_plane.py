"""Azure Resource Manager through Azure's own SDKs: the `ControlPlane` port."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from azure.core.exceptions import HttpResponseError

from aks_entra.adapters.arm import (
    activity_log,
    cluster_list,
    guarded_put,
    permissions,
    policy_restrictions,
    resource_graph,
    scale_sets,
    subscriptions,
    surroundings,
)
from aks_entra.adapters.arm import azure_policy as policies
from aks_entra.adapters.arm import deny_assignments as deny
from aks_entra.adapters.arm import node_disruption as disruption
from aks_entra.adapters.arm.activity_log import DELAY
from aks_entra.adapters.arm.clients import Clients
from aks_entra.adapters.arm.cluster_document import posture_of
from aks_entra.adapters.arm.creation import AzureCreation
from aks_entra.adapters.arm.documents import ask
from aks_entra.adapters.http.failures import azure, correlation_id, headers_of, service_error, translated
from aks_entra.adapters.vault import MemoryVault, describe_authority, parse_kubeconfig
from aks_entra.core.access.deny_assignments import DenyAssignment
from aks_entra.core.cluster import CertificateAuthority, ClusterId, Posture
from aks_entra.core.durations import exact_stamp
from aks_entra.core.evidence.observations import ActivityLogRead, AdminCredentialRefused
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.preflight import (
    Lock,
    NodeDisruption,
    Policy,
    PolicyEvaluation,
    Quota,
    ScaleSetAddition,
    Subnet,
    Writer,
)
from aks_entra.core.steps import Guarded, Step
from aks_entra.core.storable import storable
from aks_entra.errors import Refused, TryLater
from aks_entra.ports.migration import Clock, HeldCredential, KubeconfigSink
from aks_entra.ports.operations import Operation, OperationState

if TYPE_CHECKING:
    from azure.mgmt.containerservice.models import CredentialResults

DISABLED: Final = "Getting static credential"
"""The first words of ARM's 400 for disabled local accounts, in every variant that was seen."""

_NOT_FOUND: Final = 404


class AzureControlPlane(AzureCreation):
    """Reads and writes clusters through ARM. The SDK retries reads; writes are sent once."""

    def __init__(self, clients: Clients, vault: MemoryVault, clock: Clock, *, log_delay: float = DELAY) -> None:
        """`log_delay`: seconds after which Azure's activity log contains every request."""
        self._log_delay = log_delay
        self._clients = clients
        self._vault = vault
        self._clock = clock

    async def tenant_of(self, subscription_id: str) -> str:
        """Return the subscription's tenant id. Raises Refused when the subscription cannot be seen."""
        return await subscriptions.tenant_of(self._clients, subscription_id)

    async def subscription_id(self, name_or_id: str) -> str:
        """Return a subscription's id by id or display name. Refused if there is no such subscription, or several."""
        return await subscriptions.find(self._clients, name_or_id)

    async def list_clusters(self, subscription_id: str, resource_group: str | None = None) -> AsyncIterator[Posture]:
        """Return every managed cluster at depth "listed", one page of ARM's list at a time."""
        async for page in cluster_list.pages(self._clients, subscription_id, resource_group):
            for posture in page:
                yield posture

    async def cluster(self, cluster: ClusterId) -> Posture:
        """Return one cluster at depth "listed". Refused (code ResourceNotFound) when it does not exist."""
        return posture_of(storable(await guarded_put.read(self._clients, cluster)))

    async def certificate_authority(self, cluster: ClusterId) -> CertificateAuthority:
        """Return the CA in the cluster's user kubeconfig, and drop the rest of that response at once."""
        with azure(f"read the user kubeconfig of {cluster} for its CA"):
            answer = await self._clients.clusters(
                cluster.subscription_id
            ).managed_clusters.list_cluster_user_credentials(cluster.resource_group, cluster.name)
        ca_pem = parse_kubeconfig(_kubeconfig(answer, cluster)).ca_pem
        authority = describe_authority(ca_pem)
        self._vault.trust(cluster, ca_pem)
        return authority

    async def missing_permissions(self, cluster: ClusterId, actions: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the ARM actions that the caller lacks on the cluster. None if that cannot be read."""
        return await permissions.missing_permissions(self._clients, cluster, actions)

    async def may(self, scope: str, action: str) -> bool | None:
        """Return whether the caller has an ARM action on a resource, given by its id. None if unreadable."""
        return await permissions.may(self._clients, scope, action)

    async def is_cluster_admin(self, cluster: ClusterId, principal_id: str) -> bool | None:
        """Whether the principal holds Azure Kubernetes Service RBAC Cluster Admin here. None if unreadable."""
        return await permissions.is_cluster_admin(self._clients, cluster, principal_id)

    async def locks(self, cluster: ClusterId, node_resource_group: str) -> tuple[Lock, ...] | None:
        """Return the management locks on the cluster and its node resource group. None if unreadable."""
        return await permissions.locks(self._clients, cluster, node_resource_group)

    async def deny_assignments(self, cluster: ClusterId) -> tuple[DenyAssignment, ...] | None:
        """Return the deny assignments on the cluster and above it. None if unreadable."""
        return await deny.deny_assignments(self._clients, cluster)

    async def supported_versions(self, subscription_id: str, location: str) -> tuple[str, ...] | None:
        """Return the minor versions (`1.33`) that Azure offers in a region. None if unreadable."""
        return await surroundings.supported_versions(self._clients, subscription_id, location)

    async def policies(self, cluster: ClusterId) -> tuple[Policy, ...] | None:
        """Return the policy assignments on the cluster that are about sign-in. None if unreadable."""
        return await policies.policies(self._clients, cluster, self._clock.now())

    async def policy_evaluations(
        self, cluster: ClusterId, steps: tuple[Step, ...]
    ) -> tuple[PolicyEvaluation, ...] | None:
        """Return what Azure Policy denies or reports of the steps' PUTs and of the way back. None if unreadable."""
        return await policy_restrictions.policy_evaluations(self._clients, cluster, steps, self._clock.now())

    async def maintenance_windows(self, cluster: ClusterId) -> tuple[MaintenanceWindow, ...] | None:
        """Return the cluster's maintenance configurations. None if unreadable."""
        return await surroundings.maintenance_windows(self._clients, cluster)

    async def quotas(self, subscription_id: str, location: str) -> tuple[Quota, ...] | None:
        """Return the vCPUs that a subscription has left in a region. None if unreadable."""
        return await surroundings.quotas(self._clients, subscription_id, location)

    async def subnet(self, subnet_id: str) -> Subnet:
        """Return how many addresses a subnet has left. `free` is None if unreadable."""
        return await surroundings.subnet(self._clients, subnet_id)

    async def node_disruption(self, cluster: ClusterId) -> NodeDisruption | None:
        """Return what may stop an operation that recreates nodes. None if unreadable, or if its preview has ended."""
        return await disruption.node_disruption(self._clients, cluster)

    async def scale_set_additions(self, cluster: ClusterId) -> tuple[ScaleSetAddition, ...] | None:
        """Return what somebody put on the scale sets of the nodes, and AKS did not. None if unreadable."""
        return await scale_sets.additions(self._clients, cluster)

    async def published_addresses(self, cluster: ClusterId, node_resource_group: str) -> tuple[str, ...] | None:
        """Return the addresses of the cluster's services. None if unreadable."""
        return await surroundings.published_addresses(self._clients, cluster, node_resource_group)

    async def writers(self, cluster: ClusterId) -> tuple[Writer, ...] | None:
        """Return who wrote the cluster in the last 89 days, the newest first. None if unreadable."""
        return await activity_log.writers(self._clients, cluster, self._clock.now())

    async def handed_out(self, cluster: ClusterId) -> ActivityLogRead:
        """Return when Azure handed out admin credentials by the activity log, and the time that the log covers."""
        return await activity_log.handed_out(self._clients, cluster, self._clock.now(), self._log_delay)

    async def enable_entra(
        self,
        cluster: ClusterId,
        expected: Guarded,
        tenant_id: str,
        admin_group_ids: tuple[str, ...],
        azure_rbac: bool | None,
    ) -> Operation:
        """PUT with a new `aadProfile`. Reads the cluster just before; Refused if it is not as `expected`."""
        return await guarded_put.enable_entra(self._clients, cluster, expected, tenant_id, admin_group_ids, azure_rbac)

    async def update_entra(
        self, cluster: ClusterId, expected: Guarded, admin_group_ids: tuple[str, ...], azure_rbac: bool
    ) -> Operation:
        """PUT with other admin groups and another Azure RBAC flag, under the same guard."""
        return await guarded_put.update_entra(self._clients, cluster, expected, admin_group_ids, azure_rbac=azure_rbac)

    async def set_local_accounts(
        self, cluster: ClusterId, expected: Guarded, *, enabled: bool, tags: tuple[tuple[str, str | None], ...] = ()
    ) -> Operation:
        """PUT with another `disableLocalAccounts`, under the same guard. Sets `tags`; None removes a tag."""
        return await guarded_put.set_local_accounts(self._clients, cluster, expected, enabled=enabled, tags=tags)

    async def rotate_certificates(self, cluster: ClusterId) -> Operation:
        """POST rotateClusterCertificates once. TryLater (code OperationNotAllowed) on 409."""
        return await guarded_put.rotate(self._clients, cluster)

    async def operation(self, operation: Operation) -> OperationState:
        """GET the operation's own URL once, verbatim, or the cluster if the URL was lost or Azure answers 404.

        Refused when the URL does not lead to ARM, because a token for ARM is sent to no other host.
        """
        if not operation.url:
            return await self._at_rest(operation.cluster)
        doing = f"follow the operation on {operation.cluster}"
        response = await ask(self._clients, operation.url, doing)
        if response.status_code == _NOT_FOUND:
            return await self._at_rest(operation.cluster)
        if response.status_code >= 400:  # noqa: PLR2004 - HTTP
            raise translated(HttpResponseError(response=response), doing)
        return _state(response.status_code, response.text())

    async def hold_admin_credential(self, cluster: ClusterId) -> HeldCredential | AdminCredentialRefused:
        """Fetch the admin kubeconfig into the vault, or return ARM's 400 of the disabled account as evidence."""
        with azure(f"read the admin kubeconfig of {cluster}"):
            try:
                answer = await self._clients.clusters(
                    cluster.subscription_id
                ).managed_clusters.list_cluster_admin_credentials(cluster.resource_group, cluster.name)
            except HttpResponseError as err:
                code, message = service_error(err)
                if err.status_code == 400 and code == "BadRequest" and message.startswith(DISABLED):  # noqa: PLR2004 - HTTP
                    return AdminCredentialRefused(
                        at=exact_stamp(self._clock.now()),
                        status=400,
                        code=code,
                        message=message,
                        correlation_id=correlation_id(headers_of(err)),
                    )
                raise
        kubeconfig = _kubeconfig(answer, cluster)
        self._vault.trust(cluster, parse_kubeconfig(kubeconfig).ca_pem)
        return self._vault.hand_in(cluster, kubeconfig.decode())

    async def hand_out_admin_kubeconfig(self, cluster: ClusterId, place: KubeconfigSink) -> None:
        """Write the admin kubeconfig to the one place. TryLater while Azure still refuses it."""
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

    async def clusters_in_resource_graph(self, management_group: str | None) -> AsyncIterator[Posture]:
        """Return the clusters that Azure Resource Graph knows, one page at a time. It lags by minutes."""
        async for page in resource_graph.pages(self._clients, management_group):
            for posture in page:
                yield posture

    async def subscription_ids(self, management_group: str | None = None) -> tuple[str, ...]:
        """Return the ids of the subscriptions that the caller can see, or of those below a management group."""
        if management_group is not None:
            return await subscriptions.below(self._clients, management_group)
        return tuple(key for key, _ in await subscriptions.visible(self._clients))

    async def _at_rest(self, cluster: ClusterId) -> OperationState:
        posture = await self.cluster(cluster)
        busy = (state for state in (posture.provisioning_state, *(pool.provisioning_state for pool in posture.pools)))
        states = tuple(busy)
        return OperationState(status=posture.provisioning_state if posture.at_rest else _running(states))


def _running(states: tuple[str, ...]) -> str:
    return next(state for state in states if state.casefold() not in {"succeeded", "failed", "canceled"})


def _state(status: int, text: str) -> OperationState:
    """Return an operation's state by `status` alone, because ARM may put an `error` next to InProgress.

    A response of an operationresults URL has no `status`. There, the HTTP status tells whether it ended.
    """
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
