"""The objects of one cluster, as etcd would hold them: documents by resource, namespace and name."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from azure_sandbox.cluster.resources import BY_KEY

Object = dict[str, Any]
Key = tuple[str, str]
Event = tuple[int, str, Key, Object]  # resource version, ADDED | MODIFIED | DELETED, resource, object
REMEMBERED = 2000  # events; a watch that starts before them gets a 410


def stamp(when: dt.datetime) -> str:
    """Return a time as Kubernetes writes it: whole seconds, Z."""
    return when.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """Objects with uids and resource versions. Callers must not change the documents that it returns."""

    def __init__(self, shared: Mapping[Key, Iterable[Object]] | None = None) -> None:
        """Create a store. `shared` objects are the same for every cluster and are not copied."""
        self._objects: dict[Key, dict[tuple[str, str], Object]] = {}
        self._version = 1000
        self._events: deque[Event] = deque(maxlen=REMEMBERED)
        self._shared = {key: {self._place(it): it for it in documents} for key, documents in (shared or {}).items()}
        for key, held in self._shared.items():
            self._objects[key] = dict(held)

    @staticmethod
    def _place(document: Object) -> tuple[str, str]:
        metadata = document["metadata"]
        return metadata.get("namespace", ""), metadata["name"]

    @property
    def version(self) -> str:
        """Return the resource version of the latest write."""
        return str(self._version)

    def put(self, key: Key, document: Object, when: dt.datetime) -> Object:
        """Create or replace an object, and return it. An existing object keeps its uid and creation time."""
        self._version += 1
        whole = self.draft(key, document, when)
        whole["metadata"]["resourceVersion"] = self.version
        place, held = self._place(document), self._objects.setdefault(key, {})
        self._events.append((self._version, "MODIFIED" if place in held else "ADDED", key, whole))
        held[place] = whole
        return whole

    def draft(self, key: Key, document: Object, when: dt.datetime) -> Object:
        """Return an object as `put` would store it, without a resource version, and store nothing."""
        resource = BY_KEY[key]
        held = self._objects.get(key, {}).get(self._place(document), {}).get("metadata", {})
        metadata = {name: value for name, value in document["metadata"].items() if name != "resourceVersion"}
        return {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            **document,
            "metadata": {
                **metadata,
                "uid": held.get("uid") or str(uuid.uuid4()),
                "creationTimestamp": held.get("creationTimestamp") or stamp(when),
            },
        }

    @property
    def oldest(self) -> int:
        """Return the oldest resource version from which a watch can continue."""
        return self._events[0][0] - 1 if self._events else self._version

    def since(self, version: int) -> list[Event] | None:
        """Return the events after a resource version. Returns None if they are no longer stored."""
        if version == self._version:
            return []
        if version > self._version or version < self.oldest:
            return None
        return [it for it in self._events if it[0] > version]

    def get(self, key: Key, namespace: str, name: str) -> Object | None:
        """Return an object. Returns None if it does not exist."""
        return self._objects.get(key, {}).get((namespace, name))

    def list(self, key: Key, namespace: str = "") -> list[Object]:
        """Return the objects of a resource in a namespace (empty: all), sorted by namespace and name."""
        held = self._objects.get(key, {})
        return [held[place] for place in sorted(held) if not namespace or place[0] == namespace]

    def delete(self, key: Key, namespace: str, name: str) -> Object | None:
        """Remove an object and return it. Returns None if it does not exist."""
        gone = self._objects.get(key, {}).pop((namespace, name), None)
        if gone is not None:
            self._forget(key, gone)
        return gone

    def kept(self) -> Object:
        """Return the objects that are not shared, and which shared objects were deleted, as JSON."""
        mine = [
            [list(key), [it for place, it in held.items() if self._shared.get(key, {}).get(place) is not it]]
            for key, held in self._objects.items()
        ]
        gone = [
            [list(key), list(place)]
            for key, held in self._shared.items()
            for place in held
            if place not in self._objects[key]
        ]
        return {"version": self._version, "objects": [it for it in mine if it[1]], "gone": gone}

    def restore(self, kept: Object) -> None:
        """Restore what `kept` returned. Earlier watches must start again."""
        for key, place in kept["gone"]:
            self._objects.get((key[0], key[1]), {}).pop((place[0], place[1]), None)
        for key, documents in kept["objects"]:
            held = self._objects.setdefault((key[0], key[1]), {})
            held.update({self._place(it): it for it in documents})
        self._version = kept["version"]

    def _forget(self, key: Key, gone: Object) -> None:
        self._version += 1
        last = {**gone, "metadata": {**gone["metadata"], "resourceVersion": self.version}}
        self._events.append((self._version, "DELETED", key, last))

    def clear_namespace(self, namespace: str) -> None:
        """Remove all objects in a namespace."""
        for key, held in self._objects.items():
            for place in [it for it in held if it[0] == namespace]:
                self._forget(key, held.pop(place))
