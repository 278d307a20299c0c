"""What the world in memory shows of clusters that do not exist yet, and how it creates them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aks_entra.core.cluster import ClusterId, Identity, Pool
from aks_entra.core.creation.check import Network
from aks_entra.core.creation.new_cluster import ChildResource, NewCluster
from aks_entra.errors import Refused, Rejected
from aks_entra.ports.operations import Operation
from tests.support.memory_model import REPLICATION, SETTLING, SUBSCRIPTION, UPDATE, Cluster

if TYPE_CHECKING:
    from tests.support.memory_ports import World


class WorldCreation:
    _world: World

    async def document(self, cluster: ClusterId) -> Mapping[str, Any]:
        with self._world.call("arm.document"):
            return document_of(self._world.find(cluster))

    async def child(self, cluster: ClusterId, child: ChildResource) -> Mapping[str, Any] | None:
        with self._world.call("arm.child"):
            return self._world.children.get((cluster.key, child.kind, child.name))

    async def regions(self, subscription_id: str) -> Mapping[str, tuple[str, ...]] | None:
        with self._world.call("arm.regions"):
            assert subscription_id == SUBSCRIPTION
            return self._world.regions

    async def network(self, network_id: str) -> Network | None:
        with self._world.call("arm.network"):
            return self._world.networks.get(network_id, Network(id=network_id, exists=False))

    async def has_resource_group(self, subscription_id: str, name: str) -> bool | None:
        with self._world.call("arm.has_resource_group"):
            assert subscription_id == SUBSCRIPTION
            return name in self._world.resource_groups

    async def ensure_resource_group(self, subscription_id: str, name: str, location: str) -> bool:
        with self._world.call("arm.ensure_resource_group"):
            assert subscription_id
            assert location
            created = name not in self._world.resource_groups
            self._world.resource_groups.add(name)
            return created

    async def create_child(self, cluster: ClusterId, child: ChildResource) -> None:
        with self._world.call("arm.create_child"):
            self._world.find(cluster)
            self._world.children[cluster.key, child.kind, child.name] = child.properties
            self._world.writes.append(f"{cluster.name} {child}")

    async def create_cluster(self, new: NewCluster, *, failed: str | None = None) -> Operation:
        with self._world.call("arm.create_cluster"):
            there = self._world.clusters.get(new.cluster.key)
            if there is not None and failed is None:
                raise Rejected("the cluster exists", code="PreconditionFailed", status=412)
            if failed is not None and there is None:
                raise Refused("there is no such cluster", status=404, code="ResourceNotFound")
            made = there or self._made(new)
            made.knows_tokens_at = self._world.now() + timedelta(seconds=UPDATE + REPLICATION)
            made.settled_at = self._world.now() + timedelta(seconds=UPDATE + SETTLING)
            return self._lost(self._world.start(made, "Creating", UPDATE))

    def _made(self, new: NewCluster) -> Cluster:
        made = self._world.add(
            new.cluster.name,
            new.cluster.resource_group,
            identity=Identity.MANAGED,
            tenant_id=new.tenant_id,
            groups=new.admin_group_ids,
            azure_rbac=True,
            local_accounts=False,
            pools=(Pool(name="nodepool1", count=1),),
            location=new.location,
            ca_since=self._world.now(),
        )
        access = new.body["properties"].get("apiServerAccessProfile") or {}
        made.private = bool(access.get("enablePrivateCluster"))
        made.reachable = not made.private
        return made

    def _lost(self, operation: Operation) -> Operation:
        raise NotImplementedError


def document_of(cluster: Cluster) -> dict[str, Any]:
    """Return a cluster as ARM shows it, as far as the world knows it."""
    entra = {
        "managed": True,
        "adminGroupObjectIDs": list(cluster.groups),
        "enableAzureRBAC": cluster.azure_rbac,
        "tenantID": cluster.tenant_id,
    }
    return {
        "location": cluster.location,
        "eTag": f"e-{cluster.uid}-{cluster.etag}",
        "properties": {
            "aadProfile": entra if cluster.identity is Identity.MANAGED else None,
            "disableLocalAccounts": not cluster.local_accounts,
            "enableRBAC": cluster.kubernetes_rbac,
            "provisioningState": cluster.state,
            "apiServerAccessProfile": {"enablePrivateCluster": cluster.private},
        },
    }
