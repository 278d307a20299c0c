"""The routes of agent pools: list, read, write, delete, abort, and upgrade of the node image."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

from azure_sandbox.arm.containerservice import existence, known_properties, linked_access, validation
from azure_sandbox.arm.containerservice.api_servers import pools_of, regime_of
from azure_sandbox.arm.containerservice.capacity import check_capacity
from azure_sandbox.arm.containerservice.clusters import CLUSTER, JSON
from azure_sandbox.arm.containerservice.conditions import check_preconditions
from azure_sandbox.arm.containerservice.defaults import fill_autoscaler
from azure_sandbox.arm.containerservice.document import complete_pool, pods_of
from azure_sandbox.arm.containerservice.drains import drain_failure
from azure_sandbox.arm.containerservice.operations import Course, Operations
from azure_sandbox.arm.containerservice.paging import SKIP, page_of
from azure_sandbox.arm.containerservice.rendering import render_pool
from azure_sandbox.arm.containerservice.versions import PATCHES, POOL_WORDS, number, words_of
from azure_sandbox.arm.errors import bad_request, pool_not_found
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import CLUSTER_TYPE, ManagedCluster, State
from azure_sandbox.cluster import rotation
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
POOLS = f"{CLUSTER}/agentPools"
POOL = f"{POOLS}/{{pool}}"
PAGE = 500
NEWER_IMAGE = "AKSUbuntu-2204gen2containerd-202511.07.0"


class AgentPools:
    """The agent pool resource of ARM."""

    def __init__(self, door: FrontDoor, operations: Operations) -> None:
        self._door = door
        self._state: State = door.state
        self._operations = operations
        action = f"{CLUSTER_TYPE}/agentPools/"
        door.add("GET", POOLS, self._list, scope=CLUSTER, action=action + "read", options=SKIP)
        door.add("GET", POOL, self._get, scope=POOL, action=action + "read")
        door.add("PUT", POOL, self._put, scope=POOL, action=action + "write")
        options = ("ignore-pod-disruption-budget",)
        door.add("DELETE", POOL, self._delete, scope=POOL, action=action + "delete", options=options)
        image = f"{POOL}/upgradeNodeImageVersion"
        door.add("POST", image, self._image, scope=POOL, action=action + "upgradeNodeImageVersion/write")
        door.add("POST", f"{POOL}/abort", self._abort, scope=POOL, action=action + "abort/action")
        profile = f"{POOL}/upgradeProfiles/default"
        door.add("GET", profile, self._profile, scope=POOL, action=action + "upgradeProfiles/read")
        available = f"{CLUSTER}/availableAgentPoolVersions"
        right = f"{CLUSTER_TYPE}/availableAgentPoolVersions/read"
        door.add("GET", available, self._versions, scope=CLUSTER, action=right)

    @staticmethod
    def _look(cluster: ManagedCluster, name: str) -> Document | None:
        return next((it for it in cluster.pools if it["name"].lower() == name.lower()), None)

    def _find(self, cluster: ManagedCluster, group: str, name: str) -> Document:
        found = self._look(cluster, name)
        if found is None:
            raise pool_not_found(cluster.subscription, group, cluster.name, name)
        return found

    async def _list(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        pools = [render_pool(cluster, it, call.version) for it in cluster.pools]
        return Reply(200, page_of(pools, call, PAGE), JSON)

    async def _get(self, call: Call, subscription: str, group: str, name: str, pool: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        return Reply(200, render_pool(cluster, self._find(cluster, group, pool), call.version), JSON)

    async def _put(self, call: Call, subscription: str, group: str, name: str, pool: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        held = self._look(cluster, pool)
        sent = validation.mapping(call.request.json().get("properties"), "properties")
        known_properties.check_pool(sent, held or {})
        self._door.require_linked(call, f"{CLUSTER_TYPE}/agentPools/write", linked_access.of_pool(sent))
        if held is None:
            check_preconditions(call, None)
            self._operations.refuse_if_running(cluster)
            return self._create(cluster, call, {**sent, "name": pool})
        check_preconditions(call, cluster.pool_etags.get(held["name"], cluster.etag))
        self._operations.refuse_if_running(cluster)
        sent = {**sent, "name": held["name"]}
        existence.check_pool(sent, cluster.location)
        validation.check_pool(sent, held)
        version = cluster.properties["currentKubernetesVersion"]
        changed = complete_pool(sent, {key: it for key, it in held.items() if key != "nodeLabels"}, version)
        pools = [changed if it is held else it for it in cluster.pools]
        self._check_system(pools)
        self._check_room(cluster, pools)
        cluster.pools[cluster.pools.index(held)] = changed
        fill_autoscaler(cluster.properties)
        upgrades = changed["orchestratorVersion"] != held.get("orchestratorVersion")
        only_counted = changed != held and {**changed, "count": 0} == {**held, "count": 0}
        kind = "Upgrading" if upgrades else "Scaling" if only_counted else "Updating"
        return self._started(cluster, call, changed, self._course(cluster, changed["name"], kind, "pool"), 200)

    def _create(self, cluster: ManagedCluster, call: Call, sent: Document) -> Reply:
        existence.check_pool(sent, cluster.location)
        validation.check_pool(sent, None)
        most = {"maxPods": pods_of(cluster.properties["networkProfile"])}
        made = complete_pool({"mode": "User", **most, **sent}, None, cluster.properties["currentKubernetesVersion"])
        if number(made["orchestratorVersion"]) > number(cluster.properties["currentKubernetesVersion"]):
            raise bad_request(
                f"Node pool version {made['orchestratorVersion']} and control plane version "
                f"{cluster.properties['currentKubernetesVersion']} are incompatible.",
                target="orchestratorVersion",
            )
        self._check_room(cluster, [*cluster.pools, made])
        cluster.pools.append(made)
        fill_autoscaler(cluster.properties)
        words = tuple(it.format(count=made["count"]) for it in words_of(call.version, POOL_WORDS))
        course = replace(self._course(cluster, made["name"], "Creating", "pool-create"), words=words)
        return self._started(cluster, call, made, course, 201)

    def _check_room(self, cluster: ManagedCluster, pools: list[Document]) -> None:
        document = {**cluster.document, "properties": {**cluster.properties, "agentPoolProfiles": pools}}
        check_capacity(self._state, document, cluster.document, cluster.id)

    @staticmethod
    def _course(cluster: ManagedCluster, pool: str, kind: str, length: str) -> Course:
        regime, pools = regime_of(cluster.document), pools_of(cluster.document)
        return Course(
            kind=kind,
            length=length,
            pool=pool,
            plan=lambda cause, moment: rotation.update(cluster.server, cause, moment, regime, pools),
        )

    def _started(self, cluster: ManagedCluster, call: Call, pool: Document, course: Course, status: int) -> Reply:
        operation = self._operations.start(cluster, course)
        headers = self._operations.headers(operation, location=status == 202)  # noqa: PLR2004  # Accepted
        return Reply(status, render_pool(cluster, pool, call.version), {**JSON, **headers})

    @staticmethod
    def _check_system(pools: list[Document]) -> None:
        if not any(it.get("mode") == "System" for it in pools):
            raise bad_request("There has to be at least one system agent pool.")

    async def _delete(self, call: Call, subscription: str, group: str, name: str, pool: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        held = self._look(cluster, pool)
        if held is None:
            return Reply(204)
        check_preconditions(call, cluster.pool_etags.get(held["name"], cluster.etag))
        self._operations.refuse_if_running(cluster)
        rest = [it for it in cluster.pools if it is not held]
        self._check_system(rest)

        operation = self._operations.start(cluster, self.deletion(cluster, held["name"]))
        return Reply(202, None, self._operations.headers(operation, location=True))

    @staticmethod
    def deletion(cluster: ManagedCluster, name: str) -> Course:
        """Return the course of a pool's deletion."""

        def gone(_: dt.datetime) -> None:
            cluster.properties["agentPoolProfiles"] = [it for it in cluster.pools if it["name"] != name]
            cluster.pool_states.pop(name, None)

        regime = regime_of(cluster.document)
        pools = tuple(it for it in pools_of(cluster.document) if it.name != name)
        return Course(
            kind="Deleting",
            length="pool-delete",
            pool=name,
            plan=lambda cause, moment: rotation.update(cluster.server, cause, moment, regime, pools),
            done=gone,
        )

    async def _image(self, call: Call, subscription: str, group: str, name: str, pool: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        held = self._find(cluster, group, pool)
        self._operations.refuse_if_running(cluster)

        return self._started(cluster, call, held, self.image(cluster, held["name"]), 202)

    @staticmethod
    def image(cluster: ManagedCluster, name: str) -> Course:
        """Return the course after which a pool's nodes have a newer image."""

        def newer(_: dt.datetime) -> None:
            for it in cluster.pools:
                if it["name"] == name:
                    it["nodeImageVersion"] = NEWER_IMAGE

        blocked = None if cluster.stopped else drain_failure(cluster)
        return Course(kind="UpgradingNodeImageVersion", length="pool", pool=name, done=newer, failure=blocked)

    async def _abort(self, _: Call, subscription: str, group: str, name: str, pool: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        held = self._find(cluster, group, pool)
        running = cluster.operation
        if running is None or not running.running or running.pool != held["name"]:
            raise bad_request(f"There is no operation in progress on agent pool '{held['name']}'.")
        self._operations.cancel(cluster)

        course = self.abort(cluster, held["name"])
        return Reply(202, None, self._operations.headers(self._operations.start(cluster, course), location=True))

    @staticmethod
    def abort(cluster: ManagedCluster, name: str) -> Course:
        """Return the course that aborts an operation on a pool."""

        def left(_: dt.datetime) -> None:
            cluster.pool_states[name] = "Canceled"

        return Course(kind="Canceling", length="abort", pool=name, done=left)

    def course(self, cluster: ManagedCluster, recipe: Document) -> Course:
        """Return the course of a recipe (see `Course.recipe`)."""
        name = recipe["pool"]
        match recipe["kind"]:
            case "Deleting":
                return self.deletion(cluster, name)
            case "UpgradingNodeImageVersion":
                return self.image(cluster, name)
            case "Canceling":
                return self.abort(cluster, name)
            case kind:
                course = self._course(cluster, name, kind, recipe["length"])
                return replace(course, words=tuple(recipe.get("words", ())))

    async def _profile(self, _: Call, subscription: str, group: str, name: str, pool: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        held = self._find(cluster, group, pool)
        body = {
            "id": f"{cluster.id}/agentPools/{held['name']}/upgradeProfiles/default",
            "name": "default",
            "type": f"{CLUSTER_TYPE}/agentPools/upgradeProfiles",
            "properties": {
                "kubernetesVersion": held["currentOrchestratorVersion"],
                "osType": held["osType"],
                "upgrades": None,
                "latestNodeImageVersion": NEWER_IMAGE,
            },
        }
        return Reply(200, body, JSON)

    async def _versions(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        most = cluster.properties["currentKubernetesVersion"]
        offered = [it for it in PATCHES.values() if number(it) <= number(most)]
        body = {
            "id": f"{cluster.id}/availableAgentPoolVersions",
            "name": "default",
            "type": f"{CLUSTER_TYPE}/availableAgentPoolVersions",
            "properties": {"agentPoolVersions": [{"default": it == most, "kubernetesVersion": it} for it in offered]},
        }
        return Reply(200, body, JSON)
