"""Managed clusters: read, create, change, delete, stop, start, abort, rotate."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from azure_sandbox.arm import known, policies, validation
from azure_sandbox.arm.building import pools_of, regime_of
from azure_sandbox.arm.capacity import check_capacity
from azure_sandbox.arm.conditions import check_preconditions, length_of
from azure_sandbox.arm.document import complete, merged_aad, settle_in
from azure_sandbox.arm.errors import bad_request, being_deleted, provider
from azure_sandbox.arm.gate import Call, Gate
from azure_sandbox.arm.operations import Course, Operations
from azure_sandbox.arm.rendering import render
from azure_sandbox.arm.state import CLUSTER_TYPE, ManagedCluster, Operation, ResourceGroup, State
from azure_sandbox.arm.versions import has_early_status
from azure_sandbox.cluster import budgets, rotation
from azure_sandbox.cluster.service import ApiServer
from azure_sandbox.http import Reply

Document = dict[str, Any]
GROUP = "/subscriptions/{subscription}/resourceGroups/{group}"
CLUSTER = f"{GROUP}/providers/{CLUSTER_TYPE}/{{name}}"
JSON = {"content-type": "application/json"}


DRAIN_FAILED = "UpgradeFailed"
POWER = {"Stopping": "Stopped", "Starting": "Running"}


def drain_failure(cluster: ManagedCluster) -> Document | None:
    """The error of an operation that drains nodes, if a budget lets no pod go; that a rotation drains is inferred."""
    server = cluster.server
    _ = server.machines  # who has never been looked at has no pods yet
    found = budgets.blocking(server.store)
    if found is None:
        return None
    budget, pod = found
    name, where = pod["metadata"]["name"], pod["metadata"]["namespace"]
    node = pod["spec"].get("nodeName") or server.machines.wanted()[0][1]
    text = (
        f"Drain node {node} failed when evicting pod {name} failed with Too Many Requests error. This is often caused "
        "by a restrictive Pod Disruption Budget (PDB) policy. See http://aka.ms/aks/debugdrainfailures. Original "
        "error: Cannot evict pod as it would violate the pod's disruption budget.. PDB debug info: "
        f"{where}/{name} blocked by pdb {budget['metadata']['name']} with 0 unready pods."
    )
    return {"code": DRAIN_FAILED, "message": text}


class Clusters:
    """The managed cluster resource."""

    def __init__(self, gate: Gate, operations: Operations, builder: Callable[..., ApiServer], *, version: str) -> None:
        self._gate = gate
        self._state: State = gate.state
        self._operations = operations
        self._build = builder
        self._version = version
        act = f"{CLUSTER_TYPE}/"
        gate.add("GET", CLUSTER, self._get, scope=CLUSTER, action=act + "read")
        gate.add("PUT", CLUSTER, self._put, scope=CLUSTER, action=act + "write")
        gate.add("PATCH", CLUSTER, self._patch, scope=CLUSTER, action=act + "write")
        gate.add("DELETE", CLUSTER, self._delete, scope=CLUSTER, action=act + "delete")
        for name, handler, right in (
            ("stop", self._stop, "stop/action"),
            ("start", self._start, "start/action"),
            ("abort", self._abort, "abort/action"),
            ("rotateClusterCertificates", self._rotate, "rotateClusterCertificates/action"),
            ("resetAADProfile", self._reset_entra, "resetAADProfile/action"),
        ):
            gate.add("POST", f"{CLUSTER}/{name}", handler, scope=CLUSTER, action=act + right)

    def _answer(self, cluster: ManagedCluster, call: Call) -> Document:
        return render(cluster, call.version)

    async def _get(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        return Reply(200, self._answer(self._state.cluster(subscription, group, name), call), JSON)

    async def _put(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        home = self._state.group(subscription, group)
        held = self._state.find(subscription, group, name)
        check_preconditions(call, held.etag if held else None)
        if home.deleting:
            raise being_deleted(home.name)
        sent = call.request.json()
        validation.check_types(sent)
        known.check_around(sent, held.document if held else {})
        known.check(sent.get("properties") or {}, held.properties if held else {})
        policies.check(self._state.policies.values(), call.scope, sent)
        if held is None:
            return self._create(call, home, name, sent)
        self._operations.refuse_beside(held)
        validation.check_like(sent.get("properties"), held.properties)
        validation.check_change(sent, held.document, name, group)
        document = self._completed(sent, held.document, home, held.name)
        validation.check_whole(document, sent)
        check_capacity(self._state, document, held.document, held.id)
        operation = self._update(held, document)
        return self._started(held, call, operation)

    def _started(self, cluster: ManagedCluster, call: Call, operation: Operation, status: int = 200) -> Reply:
        headers = self._operations.headers(operation, location=False)
        return Reply(status, self._answer(cluster, call), {**JSON, **headers})

    def _completed(self, sent: Document, held: Document | None, home: ResourceGroup, name: str) -> Document:
        tenant = self._state.subscription(home.subscription).tenant
        return complete(
            sent,
            held,
            subscription=home.subscription,
            group=home.name,
            name=name,
            tenant=tenant,
            default_version=self._version,
        )

    def _create(self, call: Call, home: ResourceGroup, name: str, sent: Document) -> Reply:
        validation.check_new(name, sent)
        document = self._completed(sent, None, home, name)
        validation.check_whole(document, sent)
        check_capacity(self._state, document, None, call.scope)
        server = self._build(home, name, document, created=self._gate.clock.now())
        server.empty()
        server.take_down(call.request.now)
        cluster = ManagedCluster(
            subscription=home.subscription, group=home.name, name=name, document=document, server=server
        )
        self._state.clusters[cluster.id.lower()] = cluster
        self._state.servers.add(server)
        add_node_group(self._state, cluster)

        course = self.creation(cluster, "ProvisioningControlPlane" if has_early_status(call.version) else "")
        return self._started(cluster, call, self._operations.start(cluster, course), 201)

    @staticmethod
    def _settled(cluster: ManagedCluster) -> Callable[[dt.datetime], None]:
        return lambda _: settle_in(cluster.document, subscription=cluster.subscription, name=cluster.name)

    def creation(self, cluster: ManagedCluster, early: str) -> Course:
        """The course of a creation, which may have another status at its beginning."""
        return Course(
            kind="Creating",
            length="create",
            plan=lambda cause, moment: rotation.appear(cluster.server, cause, moment),
            done=self._settled(cluster),
            early=early,
        )

    def _update(self, cluster: ManagedCluster, document: Document) -> Operation:
        length = length_of(cluster.document["properties"], document["properties"])
        cluster.document = document
        return self._operations.start(cluster, self.update(cluster, length))

    def update(self, cluster: ManagedCluster, length: str) -> Course:
        """The course at whose end a cluster is as its document says."""
        document = cluster.document
        server, regime, pools = cluster.server, regime_of(document), pools_of(document)
        # Documented: a cluster of the Free tier may see downtime of its API server on the way from legacy to managed.
        interrupted = length == "legacy-to-managed" and document["sku"].get("tier") == "Free"
        effect = rotation.interrupted_update if interrupted else rotation.update
        return Course(
            kind="Updating",
            length=length,
            plan=lambda cause, moment: effect(server, cause, moment, regime, pools),
            done=self._settled(cluster),
        )

    async def _patch(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        check_preconditions(call, cluster.etag)
        self._operations.refuse_beside(cluster)
        sent = call.request.json()
        if set(sent) - {"tags"}:
            raise bad_request("Only tags can be patched.", target=min(set(sent) - {"tags"}))
        document = deepcopy(cluster.document)
        document["tags"] = dict(sent.get("tags") or {})
        cluster.document = document
        operation = self._operations.start(cluster, Course(kind="Updating", length="tags"))
        return self._started(cluster, call, operation)

    async def _delete(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.find(subscription, group, name)
        if cluster is None:
            self._state.group(subscription, group)
            return Reply(204)
        check_preconditions(call, cluster.etag)
        if cluster.state == "Deleting":
            self._operations.refuse_beside(cluster)
        return self._accepted(self.delete(cluster))

    def delete(self, cluster: ManagedCluster) -> Operation:
        """Begin the end of a cluster, whatever it was doing."""
        self._operations.cancel(cluster)
        return self._operations.start(cluster, self.deletion(cluster))

    def deletion(self, cluster: ManagedCluster) -> Course:
        """The course of a deletion, at whose end the cluster and its node group are gone."""

        def gone(_: dt.datetime) -> None:
            self._state.clusters.pop(cluster.id.lower(), None)
            self._state.servers.remove(cluster.server)
            self._state.access.remove_below(cluster.id)
            groups = self._state.subscription(cluster.subscription).groups
            groups.pop(cluster.properties["nodeResourceGroup"].lower(), None)

        return Course(
            kind="Deleting",
            length="delete",
            plan=lambda cause, moment: cluster.server.timeline.plan(moment(0), cause, cluster.server.take_down),
            done=gone,
        )

    def _accepted(self, operation: Operation) -> Reply:
        return Reply(202, None, self._operations.headers(operation, location=True))

    async def _rotate(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        self._operations.refuse_beside(cluster)
        return self._accepted(self._operations.start(cluster, self.rotation(cluster)))

    def rotation(self, cluster: ManagedCluster) -> Course:
        """The course of a rotation.

        Nodes are deleted on the way: a lock on their group makes the operation fail (how is not recorded).
        """
        server, kind = cluster.server, "RotatingClusterCertificates"
        locks = list(self._state.locks_above(cluster.node_group))
        if locks:
            text = (
                f"The scope '{cluster.node_group}' cannot perform delete operation because following scope(s) are "
                f"locked: '{','.join(it.scope for it in locks)}'. Please remove the lock and try again."
            )
            return self.failing(cluster, {"code": "ScopeLocked", "message": text})
        if blocked := None if cluster.stopped else drain_failure(cluster):
            return self.held_up(cluster, blocked)
        if cluster.stopped:
            return Course(
                kind=kind,
                length="rotate",
                plan=lambda cause, moment: server.timeline.plan(moment(rotation.BACK), cause, server.renew),
            )
        return Course(
            kind=kind,
            length="rotate",
            plan=lambda cause, moment: rotation.rotate(server, cause, moment),
            done=server.machines.appear,
        )

    @staticmethod
    def held_up(cluster: ManagedCluster, failure: Document) -> Course:
        """The course of a rotation that fails because a node cannot be drained."""
        return Course(
            kind="RotatingClusterCertificates",
            length="rotate",
            plan=lambda cause, moment: rotation.hold_up(cluster.server, cause, moment),
            failure=failure,
        )

    @staticmethod
    def failing(cluster: ManagedCluster, failure: Document) -> Course:
        """The course of a rotation that fails before the first key is replaced."""
        return Course(
            kind="RotatingClusterCertificates",
            length="rotate",
            plan=lambda cause, moment: rotation.fail_to_rotate(cluster.server, cause, moment),
            failure=failure,
        )

    async def _reset_entra(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        """Of legacy clusters only, and about to go."""
        cluster = self._state.cluster(subscription, group, name)
        entra = cluster.properties.get("aadProfile")
        if not entra or entra.get("managed"):
            which = "managed AAD enabled" if entra else "non-AAD enabled"
            raise bad_request(f"Operation 'resetAADProfile' is not allowed for {which} cluster.")
        self._operations.refuse_beside(cluster)
        sent = validation.mapping(call.request.json(), "aadProfile")
        document = deepcopy(cluster.document)
        document["properties"]["aadProfile"] = merged_aad({**sent, "managed": False}, entra, entra["tenantID"])
        return self._accepted(self._update(cluster, document))

    async def _stop(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        return self._power(self._state.cluster(subscription, group, name), "Stopping")

    async def _start(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        return self._power(self._state.cluster(subscription, group, name), "Starting")

    def _power(self, cluster: ManagedCluster, kind: str) -> Reply:
        self._operations.refuse_beside(cluster)
        now = cluster.properties["powerState"]["code"]
        if now == POWER[kind]:
            raise provider(
                400,
                "OperationNotAllowed",
                f"managed cluster is in Provisioning State({cluster.state}) and Power State({now}), "
                f"{kind.lower()} cannot be performed",
            )
        return self._accepted(self._operations.start(cluster, self.switching(cluster, kind)))

    @staticmethod
    def switching(cluster: ManagedCluster, kind: str) -> Course:
        """The course of Stopping or Starting."""
        plan = rotation.stop if kind == "Stopping" else rotation.appear

        def switched(_: dt.datetime) -> None:
            cluster.properties["powerState"] = {"code": POWER[kind]}
            for pool in cluster.pools:
                pool["powerState"] = {"code": POWER[kind]}

        return Course(
            kind=kind,
            length="stop" if kind == "Stopping" else "start",
            plan=lambda cause, moment: plan(cluster.server, cause, moment),
            done=switched,
        )

    async def _abort(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        before = self._answer(cluster, call)
        canceled = self._operations.cancel(cluster)
        if canceled is None:
            text = "Operation is not allowed: there is no operation in progress that could be aborted."
            raise provider(409, "OperationNotAllowed", text)

        operation = self._operations.start(cluster, self.abort(cluster, canceled.kind))
        return Reply(202, before, {**JSON, **self._operations.headers(operation, location=True)})

    @staticmethod
    def abort(cluster: ManagedCluster, after: str) -> Course:
        """The course of an abort of an operation of a kind."""

        def left(when: dt.datetime) -> None:
            cluster.set_state("Canceled")
            if after not in {"Creating", "Deleting"} and not cluster.stopped:
                cluster.server.bring_up(when)

        return Course(kind="Canceling", length="abort", done=left, after=after)

    def course(self, cluster: ManagedCluster, recipe: Document) -> Course:
        """The course that a recipe is of."""
        kind, length = recipe["kind"], recipe["length"]
        if failure := recipe.get("failure"):
            make = self.held_up if failure["code"] == DRAIN_FAILED else self.failing
            return make(cluster, failure)
        if length in {"tags", "maintenance"}:
            return Course(kind=kind, length=length)
        makers: dict[str, Callable[[], Course]] = {
            "Creating": lambda: self.creation(cluster, recipe.get("early", "")),
            "Updating": lambda: self.update(cluster, length),
            "Deleting": lambda: self.deletion(cluster),
            "Stopping": lambda: self.switching(cluster, kind),
            "Starting": lambda: self.switching(cluster, kind),
            "Canceling": lambda: self.abort(cluster, recipe["after"]),
            "RotatingClusterCertificates": lambda: self.rotation(cluster),
        }
        return makers[kind]()


def add_node_group(state: State, cluster: ManagedCluster) -> None:
    """The group that holds a cluster's nodes, unless it stands already."""
    name = cluster.properties["nodeResourceGroup"]
    groups = state.subscription(cluster.subscription).groups
    groups.setdefault(
        name.lower(),
        ResourceGroup(subscription=cluster.subscription, name=name, location=cluster.location, manager=cluster.id),
    )
