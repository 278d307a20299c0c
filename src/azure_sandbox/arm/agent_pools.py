"""Agent pools as resources of their own: read and change. They are not created or deleted here."""

from __future__ import annotations

from typing import Any

from azure_sandbox.arm import validation
from azure_sandbox.arm.building import pools_of, regime_of
from azure_sandbox.arm.clusters import CLUSTER, JSON, check_preconditions
from azure_sandbox.arm.document import complete_pool
from azure_sandbox.arm.errors import not_modelled, resource_not_found
from azure_sandbox.arm.gate import Call, Gate
from azure_sandbox.arm.operations import Course, Operations
from azure_sandbox.arm.rendering import render_pool
from azure_sandbox.arm.state import CLUSTER_TYPE, ManagedCluster, State
from azure_sandbox.cluster import rotation
from azure_sandbox.http import Reply

Document = dict[str, Any]
POOLS = f"{CLUSTER}/agentPools"
POOL = f"{POOLS}/{{pool}}"


class AgentPools:
    """The agent pool resource."""

    def __init__(self, gate: Gate, operations: Operations) -> None:
        self._state: State = gate.state
        self._operations = operations
        action = f"{CLUSTER_TYPE}/agentPools/"
        gate.add("GET", POOLS, self._list, scope=CLUSTER, action=action + "read")
        gate.add("GET", POOL, self._get, scope=POOL, action=action + "read")
        gate.add("PUT", POOL, self._put, scope=POOL, action=action + "write")

    @staticmethod
    def _find(cluster: ManagedCluster, group: str, name: str) -> Document:
        for pool in cluster.pools:
            if pool["name"].lower() == name.lower():
                return pool
        raise resource_not_found(group, f"{CLUSTER_TYPE}/{cluster.name}/agentPools", name)

    async def _list(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        return Reply(200, {"value": [render_pool(cluster, it, call.version) for it in cluster.pools]}, JSON)

    async def _get(self, call: Call, subscription: str, group: str, name: str, pool: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        return Reply(200, render_pool(cluster, self._find(cluster, group, pool), call.version), JSON)

    async def _put(self, call: Call, subscription: str, group: str, name: str, pool: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        self._operations.refuse_beside(cluster)
        if pool.lower() not in {it["name"].lower() for it in cluster.pools}:
            raise not_modelled("the creation of an agent pool")
        held = self._find(cluster, group, pool)
        check_preconditions(call, cluster.pool_etags.get(held["name"], cluster.etag))
        sent: Document = {**(call.request.json().get("properties") or {}), "name": held["name"]}
        validation.check_pool(sent, held)
        version = cluster.properties["currentKubernetesVersion"]
        changed = complete_pool(sent, {key: it for key, it in held.items() if key != "nodeLabels"}, version)
        cluster.pools[cluster.pools.index(held)] = changed
        regime, pools = regime_of(cluster.document), pools_of(cluster.document)
        course = Course(
            kind="Updating",
            length="pool",
            pool=held["name"],
            plan=lambda cause, moment: rotation.update(cluster.server, cause, moment, regime, pools),
        )
        operation = self._operations.start(cluster, course)
        headers = self._operations.headers(operation, location=False)
        return Reply(200, render_pool(cluster, changed, call.version), {**JSON, **headers})
