"""Copies the platform's objects (nodes, pods, workloads, bindings …) from a cluster's store to a real API server.

Only objects that the platform itself stored are copied, and in one direction: what clients write is in etcd only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from azure_sandbox.cluster.real.client import Client
from azure_sandbox.cluster.resources import ADMISSION_GROUP, BY_KEY, Resource
from azure_sandbox.cluster.store import Key, Object, Store

Place = tuple[Key, str, str]
SERVERS_OWN = ("uid", "resourceVersion", "creationTimestamp", "generation", "ownerReferences")
BOOTSTRAPPED = "kubernetes.io/bootstrapping"
WITH_STATUS = frozenset(
    {"nodes", "pods", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs"}
    | {"poddisruptionbudgets", "persistentvolumes", "persistentvolumeclaims", "services"}
)
FIRST = ("namespaces", "clusterroles", "roles", "nodes", "persistentvolumes")
LAST = ("pods",)  # their owners need a uid first
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Applied:
    """An object that was copied: the store's object and the uid that the API server assigned."""

    source: Object
    uid: str


def travels(key: Key, document: Object) -> bool:
    """Return whether an object is the platform's and not created by kube-apiserver itself."""
    return key[0] != ADMISSION_GROUP and BOOTSTRAPPED not in (document["metadata"].get("labels") or {})


class Mirror:
    """The objects that were copied so far."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._applied: dict[Place, Applied] = {}

    def _wanted(self) -> dict[Place, Object]:
        return {
            (key, it["metadata"].get("namespace", ""), it["metadata"]["name"]): it
            for key in BY_KEY
            for it in self._store.list(key)
            if travels(key, it)
        }

    async def bring(self, client: Client) -> None:
        """Make the API server's objects match the store. Raises RefusedByServer."""
        wanted = self._wanted()
        gone = [place for place in self._applied if place not in wanted]
        await _all(partial(self._remove, client, place) for place in gone)
        for rank in range(3):
            todo = [(place, it) for place, it in wanted.items() if _rank(place) == rank and self._differs(place, it)]
            await _all(partial(self._put, client, place, it) for place, it in todo)

    def _differs(self, place: Place, document: Object) -> bool:
        held = self._applied.get(place)
        return held is None or held.source is not document

    async def _remove(self, client: Client, place: Place) -> None:
        held = self._applied.pop(place)
        await client.delete(BY_KEY[place[0]], held.source)

    async def _put(self, client: Client, place: Place, document: Object) -> None:
        resource, held = BY_KEY[place[0]], self._applied.get(place)
        if held is not None and _content(held.source) == _content(document):
            self._applied[place] = Applied(document, held.uid)
            return
        if held is not None and _replaces(resource, held.source, document):
            await self._remove(client, place)
        body = self._body(resource, document)
        made = await client.apply(resource, {key: it for key, it in body.items() if key != "status"})
        if "status" in body:
            bare = {"name": document["metadata"]["name"]}
            await client.apply(
                resource, {**_kind(body), "metadata": {**bare, **_home(body)}, "status": body["status"]}, "status"
            )
        self._applied[place] = Applied(document, made["metadata"]["uid"])

    def _body(self, resource: Resource, document: Object) -> Object:
        body = _content(document)
        if resource.plural not in WITH_STATUS:
            body.pop("status", None)
        owners = [self._owner(it, body) for it in document["metadata"].get("ownerReferences") or ()]
        if known := [it for it in owners if it["uid"]]:
            body["metadata"]["ownerReferences"] = known
        return body

    def _owner(self, reference: Object, body: Object) -> Object:
        """Return an owner reference with the uid that the API server assigned to the owner."""
        for key, resource in BY_KEY.items():
            if (resource.kind, resource.api_version) == (reference["kind"], reference["apiVersion"]):
                held = self._applied.get((key, body["metadata"].get("namespace", ""), reference["name"]))
                return {**reference, "uid": held.uid if held else ""}
        return {**reference, "uid": ""}


def _rank(place: Place) -> int:
    plural = place[0][1]
    return 0 if plural in FIRST else 2 if plural in LAST else 1


def _kind(document: Object) -> Object:
    return {name: document[name] for name in ("apiVersion", "kind")}


def _home(document: Object) -> Object:
    metadata: Object = document["metadata"]
    return {"namespace": metadata["namespace"]} if metadata.get("namespace") else {}


def _content(document: Object) -> Object:
    """Return an object without the fields that an API server sets."""
    metadata = {name: it for name, it in document["metadata"].items() if name not in SERVERS_OWN}
    return {**document, "metadata": metadata}


def _replaces(resource: Resource, before: Object, after: Object) -> bool:
    """Return whether an object must be deleted and created again. A pod, for example, cannot move to another node."""
    if before["metadata"]["uid"] != after["metadata"]["uid"]:
        return True
    return resource.plural == "pods" and before.get("spec") != after.get("spec")


async def _all(calls: Iterable[Callable[[], Awaitable[None]]]) -> None:
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(call: Callable[[], Awaitable[None]]) -> None:
        async with limit:
            await call()

    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(one(call))
