"""The objects of one cluster, as etcd would hold them: documents by resource, namespace and name."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from azure_sandbox.cluster.resources import BY_KEY

Object = dict[str, Any]
Key = tuple[str, str]


def stamp(when: dt.datetime) -> str:
    """A time as Kubernetes writes it: whole seconds, Z."""
    return when.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """Objects with uids and resource versions. Documents that it hands out are its own: callers do not change them."""

    def __init__(self, shared: Mapping[Key, Iterable[Object]] | None = None) -> None:
        """`shared` objects are the same for every cluster and cost nothing."""
        self._objects: dict[Key, dict[tuple[str, str], Object]] = {}
        self._version = 1000
        for key, documents in (shared or {}).items():
            self._objects[key] = {self._place(it): it for it in documents}

    @staticmethod
    def _place(document: Object) -> tuple[str, str]:
        metadata = document["metadata"]
        return metadata.get("namespace", ""), metadata["name"]

    @property
    def version(self) -> str:
        """The resource version of the newest write."""
        return str(self._version)

    def put(self, key: Key, document: Object, when: dt.datetime) -> Object:
        """Create or replace an object; an object that exists keeps its uid and its age."""
        resource = BY_KEY[key]
        self._version += 1
        metadata = document["metadata"]
        place = self._place(document)
        held = self._objects.setdefault(key, {})
        before = held.get(place, {}).get("metadata", {})
        whole: Object = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            **document,
            "metadata": {
                **metadata,
                "uid": before.get("uid") or str(uuid.uuid4()),
                "resourceVersion": self.version,
                "creationTimestamp": before.get("creationTimestamp") or stamp(when),
            },
        }
        held[place] = whole
        return whole

    def get(self, key: Key, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        return self._objects.get(key, {}).get((namespace, name))

    def list(self, key: Key, namespace: str = "") -> list[Object]:
        """The objects of a resource in a namespace (empty: all), by namespace and name."""
        held = self._objects.get(key, {})
        return [held[place] for place in sorted(held) if not namespace or place[0] == namespace]

    def delete(self, key: Key, namespace: str, name: str) -> Object | None:
        """Remove an object and return it, or None."""
        self._version += 1
        return self._objects.get(key, {}).pop((namespace, name), None)

    def clear_namespace(self, namespace: str) -> None:
        """Remove everything in a namespace."""
        for held in self._objects.values():
            for place in [it for it in held if it[0] == namespace]:
                del held[place]
