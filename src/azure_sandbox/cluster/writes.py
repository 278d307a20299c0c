"""Writes that the sandbox's API server supports: namespaces, service accounts and their tokens, RBAC objects."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

from azure_sandbox.cluster import admission, budgets, signing, status
from azure_sandbox.cluster.credentials import Generation
from azure_sandbox.cluster.guard import Guard
from azure_sandbox.cluster.rbac import Attributes, Caller
from azure_sandbox.cluster.resources import RBAC_GROUP, Resource
from azure_sandbox.cluster.store import Store, stamp

Document = dict[str, Any]
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
PATH_NAME = re.compile(r"[^/%]+")
HOUR = 3600


class Writes:
    """Creates and deletes objects."""

    def __init__(
        self,
        store: Store,
        guard: Guard,
        generation: Callable[[], Generation],
        retired: Callable[[], list[bytes]] = list,
    ) -> None:
        self._retired = retired
        self._store = store
        self._guard = guard
        self._generation = generation
        self.approvals = signing.Approvals(store, guard, generation)

    def create(
        self, resource: Resource, document: Document, namespace: str, caller: Caller, now: dt.datetime
    ) -> Document:
        """Create an object and return it as stored."""
        home, metadata = self._place(resource, document, namespace)
        name = metadata["name"]
        if home and self._store.get(("", "namespaces"), "", home) is None:
            raise status.not_found("", "namespaces", home)
        if self._store.get(resource.key, home, name) is not None:
            raise status.already_exists(resource.group, resource.plural, name)
        admission.check(self._store, self._retired(), resource, "CREATE", home)
        document = {**document, "metadata": metadata}
        match resource.plural:
            case "namespaces":
                document["status"] = {"phase": "Active"}
                self._store.put(("", "serviceaccounts"), {"metadata": {"name": "default", "namespace": name}}, now)
            case "clusterrolebindings" | "rolebindings":
                self._check_binding(resource, document, home, caller)
            case "poddisruptionbudgets" if problem := budgets.malformed(document.get("spec")):
                raise status.invalid(resource.group, resource.kind, name, problem)
            case signing.PLURAL:
                document = signing.prepared(document, caller)
            case "clusterroles" | "roles":
                self._check_role(resource, document, home, caller)
        return self._store.put(resource.key, document, now)

    @staticmethod
    def _place(resource: Resource, document: Document, namespace: str) -> tuple[str, Document]:
        """Return the namespace and the metadata with which an object is stored."""
        metadata = dict(document.get("metadata") or {})
        name = metadata.get("name", "")
        if document.get("kind", resource.kind) != resource.kind:
            raise status.bad_request(f"{document['kind']} in version {resource.version} cannot be handled here")
        pattern = PATH_NAME if resource.group == RBAC_GROUP else NAME
        if not pattern.fullmatch(name):
            raise status.invalid(resource.group, resource.kind, name, "metadata.name: Required or invalid value")
        if not resource.namespaced:
            return "", metadata
        if metadata.get("namespace", namespace) != namespace:
            raise status.bad_request("the namespace of the provided object does not match the request's")
        return namespace, {**metadata, "namespace": namespace}

    def _check_role(self, resource: Resource, document: Document, home: str, caller: Caller) -> None:
        """Require the right to escalate before a role is written. Kubernetes also compares the rules."""
        if not self._may(caller, "escalate", resource.plural, home):
            text = f'user "{caller.name}" is attempting to grant RBAC permissions not currently held'
            name = document["metadata"]["name"]
            raise status.forbidden(text, {"group": RBAC_GROUP, "kind": resource.plural, "name": name})

    def _may(self, caller: Caller, verb: str, plural: str, namespace: str, name: str = "") -> bool:
        attributes = Attributes(verb=verb, group=RBAC_GROUP, resource=plural, namespace=namespace, name=name)
        return self._guard.may(caller, attributes).allowed

    def _check_binding(self, resource: Resource, document: Document, home: str, caller: Caller) -> None:
        """Require the right to bind a role, so that nobody grants rights to themselves."""
        reference = document.get("roleRef") or {}
        kinds = {"ClusterRole": "clusterroles", "Role": "roles"}
        plural = kinds.get(reference.get("kind", ""))
        name = document["metadata"]["name"]
        if plural is None or (plural == "roles" and not home):
            text = 'roleRef.kind: Unsupported value: supported values: "ClusterRole"'
            raise status.invalid(resource.group, resource.kind, name, text)
        for subject in document.get("subjects") or []:
            if subject.get("kind") not in {"User", "Group", "ServiceAccount"} or not subject.get("name"):
                text = 'subjects[0].kind: Unsupported value: supported values: "ServiceAccount", "User", "Group"'
                raise status.invalid(resource.group, resource.kind, name, text)
        if not self._may(caller, "bind", plural, home, reference.get("name", "")):
            text = f'user "{caller.name}" is attempting to grant RBAC permissions not currently held'
            raise status.forbidden(text, {"group": RBAC_GROUP, "kind": resource.plural, "name": name})

    def delete(self, resource: Resource, namespace: str, name: str) -> Document:
        """Delete an object and return Kubernetes' confirmation."""
        gone = self._store.delete(resource.key, namespace, name)
        if gone is None:
            raise status.not_found(resource.group, resource.plural, name)
        if resource.plural == "namespaces":
            self._store.clear_namespace(name)
        details: Document = {"name": name, "kind": resource.plural, "uid": gone["metadata"]["uid"]}
        if resource.group:
            details["group"] = resource.group
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def token(self, document: Document, namespace: str, name: str, now: dt.datetime) -> Document:
        """Return a service account token (TokenRequest)."""
        account = self._store.get(("", "serviceaccounts"), namespace, name)
        if account is None:
            raise status.not_found("", "serviceaccounts", name)
        spec = document.get("spec") or {}
        seconds = int(spec.get("expirationSeconds") or HOUR)
        token = self._generation().sign(namespace, name, account["metadata"]["uid"], now, seconds)
        until = stamp(now + dt.timedelta(seconds=seconds))
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": stamp(now)},
            "spec": spec,
            "status": {"token": token, "expirationTimestamp": until},
        }
