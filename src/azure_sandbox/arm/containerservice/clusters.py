"""The routes of managed clusters: read, create, update, delete, stop, start, abort, rotate certificates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from azure_sandbox.arm.authorization import policies
from azure_sandbox.arm.containerservice import existence, known_properties, linked_access, scale_sets, validation
from azure_sandbox.arm.containerservice.api_servers import pools_of, regime_of
from azure_sandbox.arm.containerservice.capacity import check_capacity
from azure_sandbox.arm.containerservice.conditions import check_preconditions, duration_key
from azure_sandbox.arm.containerservice.document import add_created_parts, complete, merged_aad
from azure_sandbox.arm.containerservice.drains import DRAIN_FAILED, drain_failure
from azure_sandbox.arm.containerservice.operations import Course, Operations
from azure_sandbox.arm.containerservice.rendering import CREATED, UPDATED, render, without_identities
from azure_sandbox.arm.containerservice.versions import CREATION_WORDS, UPDATE_WORDS, words_of
from azure_sandbox.arm.errors import bad_request, being_deleted, provider
from azure_sandbox.arm.front_door import Call, FrontDoor
from azure_sandbox.arm.state import CLUSTER_TYPE, ManagedCluster, Operation, ResourceGroup, State
from azure_sandbox.cluster import rotation
from azure_sandbox.cluster.service import ApiServer
from azure_sandbox.front.http import Reply

Document = dict[str, Any]
GROUP = "/subscriptions/{subscription}/resourceGroups/{group}"
CLUSTER = f"{GROUP}/providers/{CLUSTER_TYPE}/{{name}}"
JSON = {"content-type": "application/json"}


SIGNING_KEYS = Course(kind="RotatingServiceAccountSigningKeysExternal", length="rotate-signing-keys")
POWER = {"Stopping": "Stopped", "Starting": "Running"}


class Clusters:
    """The managed cluster resource of ARM."""

    def __init__(
        self, door: FrontDoor, operations: Operations, builder: Callable[..., ApiServer], *, version: str
    ) -> None:
        self._door = door
        self._state: State = door.state
        self._operations = operations
        self._build = builder
        self._version = version
        act = f"{CLUSTER_TYPE}/"
        door.add("GET", CLUSTER, self._get, scope=CLUSTER, action=act + "read")
        door.add("PUT", CLUSTER, self._put, scope=CLUSTER, action=act + "write")
        door.add("PATCH", CLUSTER, self._patch, scope=CLUSTER, action=act + "write")
        door.add("DELETE", CLUSTER, self._delete, scope=CLUSTER, action=act + "delete")
        for name, handler, right in (
            ("stop", self._stop, "stop/action"),
            ("start", self._start, "start/action"),
            ("abort", self._abort, "abort/action"),
            ("rotateClusterCertificates", self._rotate, "rotateClusterCertificates/action"),
            ("rotateServiceAccountSigningKeys", self._rotate_signing_keys, "rotateServiceAccountSigningKeys/action"),
            ("resetAADProfile", self._reset_entra, "resetAADProfile/action"),
        ):
            door.add("POST", f"{CLUSTER}/{name}", handler, scope=CLUSTER, action=act + right)

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
        known_properties.check_top_level(sent, held.document if held else {})
        known_properties.check(sent.get("properties") or {}, held.properties if held else {})
        self._door.require_linked(call, f"{CLUSTER_TYPE}/write", linked_access.of_cluster(sent))
        existence.check(name, sent)
        policies.check(self._state.policies_on(call.scope, call.request.now), call.scope, sent)
        if held is None:
            return self._create(call, home, name, sent)
        self._operations.refuse_if_running(held)
        validation.check_like(sent.get("properties"), held.properties)
        validation.check_change(sent, held.document, name, group)
        document = self._completed(sent, held.document, home, held.name)
        validation.check_whole(document, sent)
        check_capacity(self._state, document, held.document, held.id)
        operation = self._update(held, document, words_of(call.version, UPDATE_WORDS))
        reply = self._started(held, call, operation)
        if (sent.get("properties") or {}).get("addonProfiles") and isinstance(reply.body, dict):
            without_identities(reply.body)
        return reply

    def _started(self, cluster: ManagedCluster, call: Call, operation: Operation, status: int = 200) -> Reply:
        headers = self._operations.headers(operation, location=False)
        asked = CREATED if status == 201 else UPDATED  # noqa: PLR2004  # Created
        return Reply(status, render(cluster, call.version, asked), {**JSON, **headers})

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
        server = self._build(home, name, document, created=self._door.clock.now())
        server.empty()
        server.take_down(call.request.now)
        cluster = ManagedCluster(
            subscription=home.subscription, group=home.name, name=name, document=document, server=server
        )
        self._state.clusters[cluster.id.lower()] = cluster
        self._state.servers.add(server)
        add_node_group(self._state, cluster)

        course = self.creation(cluster, words_of(call.version, CREATION_WORDS))
        return self._started(cluster, call, self._operations.start(cluster, course), 201)

    @staticmethod
    def _settled(cluster: ManagedCluster) -> Callable[[dt.datetime], None]:
        return lambda _: add_created_parts(cluster.document, subscription=cluster.subscription, name=cluster.name)

    def creation(self, cluster: ManagedCluster, words: Sequence[str] = ()) -> Course:
        """Return the course of a creation; `words` are the statuses that it shows one after another."""
        return Course(
            kind="Creating",
            length="create",
            plan=lambda cause, moment: rotation.appear(cluster.server, cause, moment),
            done=self._settled(cluster),
            words=tuple(words),
        )

    def _update(self, cluster: ManagedCluster, document: Document, words: Sequence[str] = ()) -> Operation:
        length = duration_key(cluster.document["properties"], document["properties"])
        cluster.document = document
        return self._operations.start(cluster, self.update(cluster, length, words))

    def update(self, cluster: ManagedCluster, length: str, words: Sequence[str] = ()) -> Course:
        """Return the course after which a cluster is as its document says; `length` is a key of `DURATIONS`."""
        document = cluster.document
        server, regime, pools = cluster.server, regime_of(document), pools_of(document)
        # Documented: the API server of a Free tier cluster may be down during the upgrade from legacy to managed.
        interrupted = length == "legacy-to-managed" and document["sku"].get("tier") == "Free"
        effect = rotation.interrupted_update if interrupted else rotation.update
        return Course(
            kind="Updating",
            length=length,
            plan=lambda cause, moment: effect(server, cause, moment, regime, pools),
            done=self._settled(cluster),
            words=tuple(words),
        )

    async def _patch(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        cluster = self._state.cluster(subscription, group, name)
        check_preconditions(call, cluster.etag)
        self._operations.refuse_if_running(cluster)
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
            self._operations.refuse_if_running(cluster)
        return self._accepted(self.delete(cluster))

    def delete(self, cluster: ManagedCluster) -> Operation:
        """Start the deletion of a cluster, and cancel its running operation."""
        self._operations.cancel(cluster)
        return self._operations.start(cluster, self.deletion(cluster))

    def deletion(self, cluster: ManagedCluster) -> Course:
        """Return the course of a deletion, which removes the cluster and its node group."""

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

    async def _rotate(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        """Rotate the certificates. The answer is like that of the sibling, whose exchange is recorded."""
        cluster = self._state.cluster(subscription, group, name)
        if cluster.state == "Deleting":  # quoted from Azure/AKS#3404; the status is inferred
            text = (
                f"Unable to perform 'RotateClusterCertificatesOperation' operation on '{cluster.name}' since deletion "
                f"was issued on '{cluster.name}'. The only allowed operation is deletion once deletion has started."
            )
            raise provider(409, "OperationNotAllowed", text)
        self._operations.refuse_if_running(cluster)
        return self._rotating(cluster, call, self.rotation(cluster))

    async def _rotate_signing_keys(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        """Rotate the keys that sign the tokens of service accounts. Recorded in April 2023."""
        cluster = self._state.cluster(subscription, group, name)
        self._operations.refuse_if_running(cluster)
        return self._rotating(cluster, call, SIGNING_KEYS)

    def _rotating(self, cluster: ManagedCluster, call: Call, course: Course) -> Reply:
        """Start a rotation; the answer holds the cluster in its new state, and the pools stay as they were."""
        pools = dict(cluster.pool_states)
        operation = self._operations.start(cluster, course)
        cluster.pool_states = pools
        headers = {**JSON, **self._operations.headers(operation, location=True)}
        return Reply(202, self._answer(cluster, call), headers)

    def rotation(self, cluster: ManagedCluster) -> Course:
        """Return the course of a certificate rotation.

        A rotation deletes nodes, so a lock on the node group makes it fail; how it fails is not recorded.
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
            done=lambda when: scale_sets.recreate(self._state, cluster, when),
        )

    @staticmethod
    def held_up(cluster: ManagedCluster, failure: Document) -> Course:
        """Return the course of a rotation that fails because a node cannot be drained."""
        return Course(
            kind="RotatingClusterCertificates",
            length="rotate",
            plan=lambda cause, moment: rotation.hold_up(cluster.server, cause, moment),
            failure=failure,
        )

    @staticmethod
    def failing(cluster: ManagedCluster, failure: Document) -> Course:
        """Return the course of a rotation that fails before the first key is replaced."""
        return Course(
            kind="RotatingClusterCertificates",
            length="rotate",
            plan=lambda cause, moment: rotation.fail_to_rotate(cluster.server, cause, moment),
            failure=failure,
        )

    async def _reset_entra(self, call: Call, subscription: str, group: str, name: str) -> Reply:
        """Update the legacy integration of a cluster; AKS refuses this for other clusters."""
        cluster = self._state.cluster(subscription, group, name)
        entra = cluster.properties.get("aadProfile")
        if not entra or entra.get("managed"):
            which = "managed AAD enabled" if entra else "non-AAD enabled"
            raise bad_request(f"Operation 'resetAADProfile' is not allowed for {which} cluster.")
        self._operations.refuse_if_running(cluster)
        sent = validation.mapping(call.request.json(), "aadProfile")
        document = deepcopy(cluster.document)
        document["properties"]["aadProfile"] = merged_aad({**sent, "managed": False}, entra, entra["tenantID"])
        return self._accepted(self._update(cluster, document))

    async def _stop(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        return self._power(self._state.cluster(subscription, group, name), "Stopping")

    async def _start(self, _: Call, subscription: str, group: str, name: str) -> Reply:
        return self._power(self._state.cluster(subscription, group, name), "Starting")

    def _power(self, cluster: ManagedCluster, kind: str) -> Reply:
        self._operations.refuse_if_running(cluster)
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
        """Return the course of a stop or a start; `kind` is `Stopping` or `Starting`."""
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
        """Return the course of an abort; `after` is the kind of the operation that it ended."""

        def left(when: dt.datetime) -> None:
            cluster.set_state("Canceled")
            if after not in {"Creating", "Deleting"} and not cluster.stopped:
                cluster.server.bring_up(when)

        return Course(kind="Canceling", length="abort", done=left, after=after)

    def course(self, cluster: ManagedCluster, recipe: Document) -> Course:
        """Return the course of a recipe (see `Course.recipe`)."""
        kind, length = recipe["kind"], recipe["length"]
        if failure := recipe.get("failure"):
            make = self.held_up if failure["code"] == DRAIN_FAILED else self.failing
            return make(cluster, failure)
        if length in {"tags", "maintenance"}:
            return Course(kind=kind, length=length)
        makers: dict[str, Callable[[], Course]] = {
            "Creating": lambda: self.creation(cluster, recipe.get("words", ())),
            "Updating": lambda: self.update(cluster, length, recipe.get("words", ())),
            "Deleting": lambda: self.deletion(cluster),
            "Stopping": lambda: self.switching(cluster, kind),
            "Starting": lambda: self.switching(cluster, kind),
            "Canceling": lambda: self.abort(cluster, recipe["after"]),
            "RotatingClusterCertificates": lambda: self.rotation(cluster),
            SIGNING_KEYS.kind: lambda: SIGNING_KEYS,
        }
        return makers[kind]()


def add_node_group(state: State, cluster: ManagedCluster) -> None:
    """Add the resource group for a cluster's nodes unless it exists."""
    name = cluster.properties["nodeResourceGroup"]
    groups = state.subscription(cluster.subscription).groups
    groups.setdefault(
        name.lower(),
        ResourceGroup(subscription=cluster.subscription, name=name, location=cluster.location, manager=cluster.id),
    )
