"""The guarded PUT: read, compare, send the whole resource with one field changed, and look at the answer.

A PUT replaces the resource, so that everything which was read is sent back, properties included that this SDK does not
know; only what ARM marks read-only stays out. What race is left: ARM may accept a change between our GET and our PUT
when it shows no ETag (arm-wire-facts: eTag is optional); the answer is then compared, and Diverged says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from aks_entra.adapters.arm.clients import NO_RETRY, Clients
from aks_entra.adapters.arm.document import LEGACY_KEYS, legacy_ids, moved, posture_of
from aks_entra.adapters.failures import azure, correlation_id
from aks_entra.core.cluster import ClusterId, Identity, Pool, Posture, same_id
from aks_entra.core.steps import Guarded
from aks_entra.errors import Diverged, Refused, TryLater
from aks_entra.ports import NewCluster, Operation

if TYPE_CHECKING:
    from azure.mgmt.containerservice.models import ManagedCluster

Properties = dict[str, Any]
Tags = tuple[tuple[str, str | None], ...]

_FORBIDDEN: Final = 403


class Heard:
    """What the first answer to a write said: its headers, before the SDK reads anything into them."""

    def __init__(self) -> None:
        self.headers: Mapping[str, str] = {}

    def __call__(self, response: Any) -> None:
        """Take note: azure-core calls this with its pipeline response."""
        self.headers = response.http_response.headers

    def operation(self, cluster: ClusterId) -> Operation:
        """The operation that was started, by its own URL."""
        return Operation(
            cluster=cluster,
            url=self.headers.get("Azure-AsyncOperation") or self.headers.get("Location") or "",
            correlation_id=correlation_id(self.headers),
        )


async def read(clients: Clients, cluster: ClusterId) -> ManagedCluster:
    """The cluster as ARM shows it now, unknown properties included."""
    with azure(f"read {cluster}"):
        return await clients.clusters(cluster.subscription_id).managed_clusters.get(
            cluster.resource_group, cluster.name
        )


async def enable_entra(
    clients: Clients,
    cluster: ClusterId,
    expected: Guarded,
    tenant_id: str,
    admin_group_ids: tuple[str, ...],
    azure_rbac: bool | None,
) -> Operation:
    """PUT with `aadProfile` replaced, never edited: the legacy applications must not travel beside `managed`."""
    profile = {"managed": True, "adminGroupObjectIDs": list(admin_group_ids), "tenantID": tenant_id}
    if azure_rbac is not None:
        profile["enableAzureRBAC"] = azure_rbac

    def change(properties: Properties) -> None:
        properties["aadProfile"] = profile

    def check(answer: Posture, document: Mapping[str, Any]) -> list[str]:
        wrong = _entra(answer, admin_group_ids, azure_rbac)
        if answer.tenant_id and not same_id(answer.tenant_id, tenant_id):
            wrong.append(f"tenant {answer.tenant_id} instead of {tenant_id}")
        return wrong + [f"{key} of the legacy integration is still there" for key in legacy_ids(document)]

    return await _put(clients, cluster, expected, "enable Microsoft Entra ID", change, check)


async def update_entra(
    clients: Clients, cluster: ClusterId, expected: Guarded, admin_group_ids: tuple[str, ...], *, azure_rbac: bool
) -> Operation:
    """PUT with admin groups and the Azure RBAC flag of a managed cluster changed; its other fields stay as read."""

    def change(properties: Properties) -> None:
        kept = {key: value for key, value in dict(properties["aadProfile"]).items() if key not in LEGACY_KEYS}
        properties["aadProfile"] = {
            **kept,
            "managed": True,
            "adminGroupObjectIDs": list(admin_group_ids),
            "enableAzureRBAC": azure_rbac,
        }

    def check(answer: Posture, _: Mapping[str, Any]) -> list[str]:
        return _entra(answer, admin_group_ids, azure_rbac)

    return await _put(clients, cluster, expected, "change the admin groups", change, check)


async def set_local_accounts(
    clients: Clients, cluster: ClusterId, expected: Guarded, *, enabled: bool, tags: Tags = ()
) -> Operation:
    """PUT with `disableLocalAccounts` changed, and some tags set (None: removed) in the same request."""

    def change(properties: Properties) -> None:
        properties["disableLocalAccounts"] = not enabled

    def check(answer: Posture, _: Mapping[str, Any]) -> list[str]:
        wrong = [] if answer.local_accounts is enabled else [f"local accounts are {'off' if enabled else 'on'}"]
        there = dict(answer.tags)
        return wrong + [f"tag {name} is not as written" for name, value in tags if there.get(name) != value]

    doing = f"{'open' if enabled else 'disable'} local accounts"
    return await _put(clients, cluster, expected, doing, change, check, tags)


async def rotate(clients: Clients, cluster: ClusterId) -> Operation:
    """POST rotateClusterCertificates, once. A Retry-After that the SDK cannot read does not lose the operation."""
    heard = Heard()
    with azure(f"rotate the certificates of {cluster}", writing=True):
        try:
            await clients.clusters(cluster.subscription_id).managed_clusters.begin_rotate_cluster_certificates(
                cluster.resource_group, cluster.name, polling=False, raw_response_hook=heard, **NO_RETRY
            )
        except ValueError:
            if not heard.headers:
                raise
    return heard.operation(cluster)


async def create(clients: Clients, spec: NewCluster) -> Operation:
    """PUT of a cluster that must not exist: Microsoft Entra ID and Azure RBAC on, local accounts off."""
    from azure.core import MatchConditions  # noqa: PLC0415 - lazy, as all of azure is
    from azure.mgmt.containerservice.models import ManagedCluster  # noqa: PLC0415 - as above

    cluster = spec.cluster
    properties: Properties = {
        "dnsPrefix": spec.dns_prefix or f"{cluster.name}-{cluster.resource_group}"[:54].strip("-"),
        "enableRBAC": True,
        "aadProfile": {
            "managed": True,
            "adminGroupObjectIDs": list(spec.admin_group_ids),
            "enableAzureRBAC": spec.azure_rbac,
            "tenantID": spec.tenant_id,
        },
        "disableLocalAccounts": True,
        "agentPoolProfiles": [
            {
                "name": "nodepool1",
                "mode": "System",
                "type": "VirtualMachineScaleSets",
                "osType": "Linux",
                "count": spec.node_count,
                **({"vmSize": spec.node_vm_size} if spec.node_vm_size else {}),
            }
        ],
    }
    if spec.version:
        properties["kubernetesVersion"] = spec.version
    document = {
        "location": spec.location,
        "sku": {"name": "Base", "tier": spec.tier},
        "identity": {"type": "SystemAssigned"},
        "tags": dict(spec.tags),
        "properties": properties,
    }
    heard = Heard()
    with azure(f"create {cluster}", writing=True):
        poller = await clients.clusters(cluster.subscription_id).managed_clusters.begin_create_or_update(
            cluster.resource_group,
            cluster.name,
            ManagedCluster(document),
            etag="*",
            match_condition=MatchConditions.IfMissing,
            polling=False,
            raw_response_hook=heard,
            **NO_RETRY,
        )
        document_now = await poller.result()
    answer = posture_of(document_now)
    wrong = _entra(answer, spec.admin_group_ids, spec.azure_rbac)
    wrong += ["local accounts are on"] if answer.local_accounts else []
    _agree(cluster, "create it", wrong, heard)
    return heard.operation(cluster)


async def _put(
    clients: Clients,
    cluster: ClusterId,
    expected: Guarded,
    doing: str,
    change: Callable[[Properties], None],
    check: Callable[[Posture, Mapping[str, Any]], list[str]],
    tags: Tags = (),
) -> Operation:
    from azure.core import MatchConditions  # noqa: PLC0415 - lazy, as all of azure is

    pools = await _pools(clients, cluster)
    document = await read(clients, cluster)
    before = posture_of(document)
    _compare(before, expected, doing)
    if pools is not None and pools != _names(before.pools):
        raise TryLater(
            f"could not {doing} on {cluster}: its node pools are being changed by somebody else",
            after=30,
            code="PoolsMoved",
            remedy="nothing was written; they are compared again before the next attempt",
        )
    change(document["properties"])
    if tags:
        document["tags"] = _tagged(document.get("tags") or {}, tags)
    guard: dict[str, Any] = (
        {"etag": before.etag, "match_condition": MatchConditions.IfNotModified} if before.etag else {}
    )
    heard = Heard()
    with azure(f"{doing} on {cluster}", writing=True):
        poller = await clients.clusters(cluster.subscription_id).managed_clusters.begin_create_or_update(
            cluster.resource_group,
            cluster.name,
            document,
            polling=False,
            raw_response_hook=heard,
            **guard,
            **NO_RETRY,
        )
        answered = await poller.result()
    answer = posture_of(answered)
    wrong = check(answer, answered)
    if lost := sorted(_names(before.pools) ^ _names(answer.pools)):
        wrong.append(f"node pools differ from those that were read: {', '.join(lost)}")
    _agree(cluster, doing, wrong, heard)
    return heard.operation(cluster)


def _tagged(there: Mapping[str, str], tags: Tags) -> dict[str, str]:
    """The tags with some set or removed, and every other one as it was. Names of tags ignore case."""
    ours = {name.casefold() for name, _ in tags}
    kept = {name: value for name, value in there.items() if name.casefold() not in ours}
    return {**kept, **{name: value for name, value in tags if value is not None}}


async def _pools(clients: Clients, cluster: ClusterId) -> frozenset[str] | None:
    """The pools as their own list has them: a PUT must name every one. None where that list may not be read."""
    listed = clients.clusters(cluster.subscription_id).agent_pools.list(cluster.resource_group, cluster.name)
    try:
        with azure(f"list the node pools of {cluster}"):
            return frozenset([str(pool.name) async for pool in listed])
    except Refused as refused:
        if refused.status != _FORBIDDEN:
            raise
        return None


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


def _agree(cluster: ClusterId, doing: str, wrong: list[str], heard: Heard) -> None:
    if wrong:
        raise Diverged(
            f"Azure accepted the request to {doing} on {cluster}, but shows otherwise: {'; '.join(wrong)}",
            remedy="look at the cluster (`az aks show`) before anything else is written",
            code="Diverged",
            correlation_id=correlation_id(heard.headers),
        )
