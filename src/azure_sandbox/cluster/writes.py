"""Writes that the sandbox's API server supports: namespaces, service accounts and their tokens, RBAC objects."""

from __future__ import annotations

import datetime as dt
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from string import ascii_letters, digits
from typing import Any

from azure_sandbox.cluster import admission, budgets, signing, status
from azure_sandbox.cluster.credentials import Generation
from azure_sandbox.cluster.guard import Guard
from azure_sandbox.cluster.machines import namespace as namespace_object
from azure_sandbox.cluster.options import WriteOptions
from azure_sandbox.cluster.rbac import Attributes, Caller
from azure_sandbox.cluster.resources import RBAC_GROUP, Resource
from azure_sandbox.cluster.store import Store, stamp
from azure_sandbox.front.http import Problem

Document = dict[str, Any]
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
PATH_NAME = re.compile(r"[^/%]+")
HOUR = 3600
BASE64 = frozenset(ascii_letters + digits + "+/=")


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
        self,
        resource: Resource,
        document: Document,
        namespace: str,
        caller: Caller,
        now: dt.datetime,
        options: WriteOptions,
    ) -> Document:
        """Create an object and return it as stored. A dry run checks everything and stores nothing."""
        home, metadata = self._place(resource, document, namespace)
        name = metadata["name"]
        if home and self._store.get(("", "namespaces"), "", home) is None:
            raise status.not_found("", "namespaces", home)
        if self._store.get(resource.key, home, name) is not None:
            raise status.already_exists(resource.group, resource.plural, name)
        admission.check(self._store, self._retired(), resource, "CREATE", home)
        document = self._prepared(resource, {**document, "metadata": metadata}, home, caller)
        if options.dry_run:
            return self._store.draft(resource.key, document, now)
        if resource.plural == "namespaces":
            self._store.put(("", "serviceaccounts"), {"metadata": {"name": "default", "namespace": name}}, now)
        return self._store.put(resource.key, document, now)

    def _prepared(self, resource: Resource, document: Document, home: str, caller: Caller) -> Document:
        """Return an object as it is stored. Raises the refusal of an object that breaks a rule."""
        metadata, name = document["metadata"], document["metadata"]["name"]
        match resource.plural:
            case "namespaces":
                given = namespace_object(name)
                labels = {**(metadata.get("labels") or {}), **given["metadata"]["labels"]}
                document |= {**given, "metadata": {**metadata, "labels": labels}}
            case "secrets":
                document = _kept_secret(document)
            case "configmaps":
                for key, value in (document.get("data") or {}).items():
                    _text("ConfigMap", "data", key, value)
            case "clusterrolebindings" | "rolebindings":
                self._check_binding(resource, document, home, caller)
            case "poddisruptionbudgets" if problem := budgets.malformed(document.get("spec")):
                raise status.invalid(resource.group, resource.kind, name, problem)
            case signing.PLURAL:
                document = signing.prepared(document, caller)
            case "clusterroles" | "roles":
                self._check_role(resource, document, home, caller)
        return document

    def update(  # one argument per part of a request
        self,
        resource: Resource,
        document: Document,
        namespace: str,
        name: str,
        caller: Caller,
        now: dt.datetime,
        options: WriteOptions,
    ) -> Document:
        """Replace an object and return it as stored. A dry run checks everything and stores nothing."""
        named = str((document.get("metadata") or {}).get("name", ""))
        if named != name:
            words = f"the name of the object ({named}) does not match the name on the URL ({name})"
            raise status.bad_request(words)
        home, metadata = self._place(resource, document, namespace)
        held = self._store.get(resource.key, home, name)
        if held is None:
            raise status.not_found(resource.group, resource.plural, name)
        version, uid = metadata.get("resourceVersion"), metadata.get("uid")
        own = held["metadata"]
        if (version or own["resourceVersion"], uid or own["uid"]) != (own["resourceVersion"], own["uid"]):
            raise status.modified(resource.group, resource.plural, name)
        admission.check(self._store, self._retired(), resource, "UPDATE", home)
        kept = {it: held[it] for it in ("status",) if it in held}
        new = self._prepared(resource, {**document, **kept, "metadata": metadata}, home, caller)
        _check_fixed(resource, name, held, new)
        draft = self._store.draft(resource.key, new, now)
        draft["metadata"]["resourceVersion"] = own["resourceVersion"]
        if options.dry_run or draft == held:
            return draft
        return self._store.put(resource.key, new, now)

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

    def delete(
        self, resource: Resource, namespace: str, name: str, options: WriteOptions, now: dt.datetime
    ) -> Document:
        """Delete an object and return Kubernetes' answer. A dry run checks everything and deletes nothing."""
        held = self._store.get(resource.key, namespace, name)
        if held is None:
            raise status.not_found(resource.group, resource.plural, name)
        options.check(resource, held)
        if not options.dry_run:
            self._store.delete(resource.key, namespace, name)
            if resource.plural == "namespaces":
                self._store.clear_namespace(name)
        if resource.plural == "serviceaccounts":
            return held
        if resource.plural == "namespaces":
            ended = {**held["metadata"], "deletionTimestamp": stamp(now)}
            return {**held, "metadata": ended, "status": {"phase": "Terminating"}}
        details: Document = {"name": name, "kind": resource.plural, "uid": held["metadata"]["uid"]}
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


def _check_fixed(resource: Resource, name: str, held: Document, new: Document) -> None:
    """Raise a 422 for the change of a field that never changes."""
    if held.get("roleRef") != new.get("roleRef"):
        raise status.invalid(resource.group, resource.kind, name, "roleRef: Invalid value: cannot change roleRef")
    if held.get("immutable") and any(held.get(it) != new.get(it) for it in ("data", "binaryData", "immutable")):
        words = "data: Forbidden: field is immutable when `immutable` is set"
        raise status.invalid(resource.group, resource.kind, name, words)


def _unusable(kind: str, why: str) -> Problem:
    return status.bad_request(f'{kind} in version "v1" cannot be handled as a {kind}: {why}')


def _text(kind: str, field: str, key: str, value: object) -> str:
    if not isinstance(value, str):
        raise _unusable(kind, f"json: cannot unmarshal into field {kind}.{field}.{key} of type string")
    return value


def _kept_secret(document: Document) -> Document:
    """Return a secret as it is stored: `stringData` becomes `data` in base64. Raises a 400 for other data."""
    data = dict(document.get("data") or {})
    for key, value in data.items():
        try:
            b64decode(_text("Secret", "data", key, value), validate=True)
        except ValueError as error:
            at = next((place for place, it in enumerate(value) if it not in BASE64), len(value))
            raise _unusable("Secret", f"illegal base64 data at input byte {at}") from error
    for key, value in (document.get("stringData") or {}).items():
        _text("Secret", "stringData", key, value)
        data[key] = b64encode(value.encode()).decode()
    kept = {key: value for key, value in document.items() if key not in {"data", "stringData"}}
    return {**kept, **({"data": data} if data else {}), "type": document.get("type") or "Opaque"}
