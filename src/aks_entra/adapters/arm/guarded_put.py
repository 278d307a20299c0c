"""The guarded PUT: read the cluster, compare it, send it back with one change, and check the response.

A PUT replaces the resource. So it sends back everything that was read, also properties that this SDK does not know, but
not the properties that ARM marks read-only. A PUT names every node pool, and the document that was read just before it
shows them all: a pool that is being made keeps the cluster from being at rest. One race is left: ARM may accept
somebody's change between our GET and our PUT if it shows no ETag, or if a pool alone is changed (arm-wire-facts: eTag
is optional, and a change of a pool does not change the cluster's). The response then differs, and Diverged is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions

from aks_entra.adapters.arm.clients import NO_RETRY, Clients
from aks_entra.adapters.arm.cluster_document import LEGACY_KEYS, legacy_ids, moved, posture_of
from aks_entra.adapters.http.failures import azure, correlation_id
from aks_entra.core.cluster import ClusterId, Identity, Pool, Posture, same_id
from aks_entra.core.creation.new_cluster import NewCluster
from aks_entra.core.steps import Guarded
from aks_entra.errors import Diverged, Refused, TryLater
from aks_entra.ports.operations import Operation

if TYPE_CHECKING:
    from azure.mgmt.containerservice.models import ManagedCluster

Properties = dict[str, Any]
Tags = tuple[tuple[str, str | None], ...]


class WriteResponse:
    """Records the headers of the first response to a write, before the SDK interprets them."""

    def __init__(self) -> None:
        self.headers: Mapping[str, str] = {}

    def __call__(self, response: Any) -> None:
        """Record a response. azure-core calls this with its pipeline response."""
        self.headers = response.http_response.headers

    def operation(self, cluster: ClusterId) -> Operation:
        """Return the operation that the write started, with its own URL."""
        return Operation(
            cluster=cluster,
            url=self.headers.get("Azure-AsyncOperation") or self.headers.get("Location") or "",
            correlation_id=correlation_id(self.headers),
        )


async def read(clients: Clients, cluster: ClusterId) -> ManagedCluster:
    """Return the cluster as ARM shows it now, including properties that the SDK does not know."""
    with azure(f"read {cluster}"):
        return await clients.clusters(cluster.subscription_id).managed_clusters.get(
            cluster.resource_group, cluster.name
        )


def set_entra(
    properties: Properties, tenant_id: str, admin_group_ids: tuple[str, ...], azure_rbac: bool | None
) -> None:
    """Replace `aadProfile`, so that `managed` and legacy properties never mix."""
    profile = {"managed": True, "adminGroupObjectIDs": list(admin_group_ids), "tenantID": tenant_id}
    properties["aadProfile"] = profile if azure_rbac is None else {**profile, "enableAzureRBAC": azure_rbac}


def change_entra(properties: Properties, admin_group_ids: tuple[str, ...], *, azure_rbac: bool) -> None:
    """Change admin groups and the Azure RBAC flag in `aadProfile`. Its other fields stay as they were read."""
    kept = {key: value for key, value in dict(properties["aadProfile"]).items() if key not in LEGACY_KEYS}
    properties["aadProfile"] = {
        **kept,
        "managed": True,
        "adminGroupObjectIDs": list(admin_group_ids),
        "enableAzureRBAC": azure_rbac,
    }


async def enable_entra(
    clients: Clients,
    cluster: ClusterId,
    expected: Guarded,
    tenant_id: str,
    admin_group_ids: tuple[str, ...],
    azure_rbac: bool | None,
) -> Operation:
    """PUT with a new `aadProfile`."""

    def change(properties: Properties) -> None:
        set_entra(properties, tenant_id, admin_group_ids, azure_rbac)

    def check(answer: Posture, document: Mapping[str, Any]) -> list[str]:
        wrong = _entra(answer, admin_group_ids, azure_rbac)
        if answer.tenant_id and not same_id(answer.tenant_id, tenant_id):
            wrong.append(f"tenant {answer.tenant_id} instead of {tenant_id}")
        return wrong + [f"{key} of the legacy integration is still there" for key in legacy_ids(document)]

    return await _put(clients, cluster, expected, "enable Microsoft Entra ID", change, check)


async def update_entra(
    clients: Clients, cluster: ClusterId, expected: Guarded, admin_group_ids: tuple[str, ...], *, azure_rbac: bool
) -> Operation:
    """PUT with other admin groups and another Azure RBAC flag. Other fields of `aadProfile` are sent back as read."""

    def change(properties: Properties) -> None:
        change_entra(properties, admin_group_ids, azure_rbac=azure_rbac)

    def check(answer: Posture, _: Mapping[str, Any]) -> list[str]:
        return _entra(answer, admin_group_ids, azure_rbac)

    return await _put(clients, cluster, expected, "change the admin groups", change, check)


async def set_local_accounts(
    clients: Clients, cluster: ClusterId, expected: Guarded, *, enabled: bool, tags: Tags = ()
) -> Operation:
    """PUT with another `disableLocalAccounts`, and set tags in the same request; None removes a tag."""

    def change(properties: Properties) -> None:
        properties["disableLocalAccounts"] = not enabled

    def check(answer: Posture, _: Mapping[str, Any]) -> list[str]:
        wrong = [] if answer.local_accounts is enabled else [f"local accounts are {'off' if enabled else 'on'}"]
        there = dict(answer.tags)
        return wrong + [f"tag {name} is not as written" for name, value in tags if there.get(name) != value]

    doing = f"{'open' if enabled else 'disable'} local accounts"
    return await _put(clients, cluster, expected, doing, change, check, tags)


async def rotate(clients: Clients, cluster: ClusterId) -> Operation:
    """POST rotateClusterCertificates once. The operation is returned even if the SDK cannot parse Retry-After."""
    response = WriteResponse()
    with azure(f"rotate the certificates of {cluster}", writing=True):
        try:
            await clients.clusters(cluster.subscription_id).managed_clusters.begin_rotate_cluster_certificates(
                cluster.resource_group, cluster.name, polling=False, raw_response_hook=response, **NO_RETRY
            )
        except ValueError:
            if not response.headers:
                raise
    return response.operation(cluster)


async def create(clients: Clients, new: NewCluster, failed: str | None) -> Operation:
    """PUT a cluster that must not exist, or must be as `failed` says: the ETag of a creation that failed, or empty."""
    from azure.mgmt.containerservice.models import ManagedCluster

    cluster = new.cluster
    guard: dict[str, Any] = {"etag": "*", "match_condition": MatchConditions.IfMissing}
    if failed is not None:
        guard = {"etag": failed, "match_condition": MatchConditions.IfNotModified} if failed else {}
    response = WriteResponse()
    with azure(f"create {cluster}", writing=True):
        poller = await clients.clusters(cluster.subscription_id).managed_clusters.begin_create_or_update(
            cluster.resource_group,
            cluster.name,
            ManagedCluster(new.document()),
            polling=False,
            raw_response_hook=response,
            **guard,
            **NO_RETRY,
        )
        document_now = await poller.result()
    answer = posture_of(document_now)
    wrong = _entra(answer, new.admin_group_ids, azure_rbac=True)
    wrong += ["local accounts are on"] if answer.local_accounts else []
    _agree(cluster, "create it", wrong, response)
    return response.operation(cluster)


async def _put(
    clients: Clients,
    cluster: ClusterId,
    expected: Guarded,
    doing: str,
    change: Callable[[Properties], None],
    check: Callable[[Posture, Mapping[str, Any]], list[str]],
    tags: Tags = (),
) -> Operation:
    document = await read(clients, cluster)
    before = posture_of(document)
    _compare(before, expected, doing)
    change(document["properties"])
    if tags:
        document["tags"] = _tagged(document.get("tags") or {}, tags)
    guard: dict[str, Any] = (
        {"etag": before.etag, "match_condition": MatchConditions.IfNotModified} if before.etag else {}
    )
    response = WriteResponse()
    with azure(f"{doing} on {cluster}", writing=True):
        poller = await clients.clusters(cluster.subscription_id).managed_clusters.begin_create_or_update(
            cluster.resource_group,
            cluster.name,
            document,
            polling=False,
            raw_response_hook=response,
            **guard,
            **NO_RETRY,
        )
        answered = await poller.result()
    answer = posture_of(answered)
    wrong = check(answer, answered)
    if lost := sorted(_names(before.pools) ^ _names(answer.pools)):
        wrong.append(f"node pools differ from those that were read: {', '.join(lost)}")
    _agree(cluster, doing, wrong, response)
    return response.operation(cluster)


def _tagged(there: Mapping[str, str], tags: Tags) -> dict[str, str]:
    """Return the tags with some set or removed. The case of a tag's name does not matter."""
    ours = {name.casefold() for name, _ in tags}
    kept = {name: value for name, value in there.items() if name.casefold() not in ours}
    return {**kept, **{name: value for name, value in tags if value is not None}}


def _names(pools: tuple[Pool, ...]) -> frozenset[str]:
    return frozenset(pool.name for pool in pools)


def _compare(before: Posture, expected: Guarded, doing: str) -> None:
    if differences := moved(expected, before):
        raise Refused(
            f"{before.cluster} is not as it was when the plan was approved: {'; '.join(differences)}",
            remedy="nothing was written: plan again, and have the new plan approved",
            code="Moved",
        )
    if not before.at_rest:
        busy = [f"pool {pool.name}: {pool.provisioning_state}" for pool in before.pools]
        raise TryLater(
            f"could not {doing} on {before.cluster}: another operation is running ({before.provisioning_state}"
            f"{', ' + ', '.join(busy) if before.provisioning_state == 'Succeeded' else ''})",
            after=30,
            code="OperationNotAllowed",
            remedy="another operation runs on the cluster; wait for its end",
        )


def _entra(answer: Posture, admin_group_ids: tuple[str, ...], azure_rbac: bool | None) -> list[str]:
    wrong = [] if answer.identity is Identity.MANAGED else [f"Microsoft Entra ID is {answer.identity}"]
    wanted, found = ({one.lower() for one in ids} for ids in (admin_group_ids, answer.admin_group_ids))
    if wanted != found:
        wrong.append(f"admin groups are {', '.join(sorted(found)) or 'none'}")
    if azure_rbac is not None and answer.azure_rbac is not azure_rbac:
        wrong.append(f"Azure RBAC is {'on' if answer.azure_rbac else 'off'}")
    return wrong


def _agree(cluster: ClusterId, doing: str, wrong: list[str], response: WriteResponse) -> None:
    if wrong:
        raise Diverged(
            f"Azure accepted the request to {doing} on {cluster}, but its response differs: {'; '.join(wrong)}",
            remedy="look at the cluster (`az aks show`) before anything else is written",
            code="Diverged",
            correlation_id=correlation_id(response.headers),
        )
