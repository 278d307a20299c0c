"""Admission webhooks: which CA they trust, and what happens to writes when the API server cannot call them.

A webhook inside the cluster may have the cluster's own CA as `caBundle`. Once that CA is replaced, the API server can
no longer verify the webhook, and with `failurePolicy: Fail` it refuses every write that matches the webhook.
"""

from __future__ import annotations

import datetime as dt
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable, Iterator
from typing import Any

from azure_sandbox.cluster.resources import ADMISSION_GROUP, BY_KEY, Resource
from azure_sandbox.cluster.status import internal
from azure_sandbox.cluster.store import Key, Object, Store

VALIDATING: Key = (ADMISSION_GROUP, "validatingwebhookconfigurations")
MUTATING: Key = (ADMISSION_GROUP, "mutatingwebhookconfigurations")
SPARED = "kube-system"


def webhooks(store: Store) -> Iterator[tuple[str, Object]]:
    """Yield every webhook with the name of its configuration."""
    for key in (MUTATING, VALIDATING):
        for it in store.list(key):
            for webhook in it.get("webhooks") or ():
                yield it["metadata"]["name"], webhook


def _bundle(webhook: Object) -> bytes:
    try:
        return b64decode((webhook.get("clientConfig") or {}).get("caBundle") or "").strip()
    except NotBase64:
        return b""


def _watches(webhook: Object, resource: Resource, operation: str) -> bool:
    return any(
        {"*", operation} & set(rule.get("operations") or ())
        and {"*", resource.group} & set(rule.get("apiGroups") or ())
        and {"*", "*/*", resource.plural} & set(rule.get("resources") or ())
        for rule in webhook.get("rules") or ()
    )


def broken(store: Store, retired: Iterable[bytes], resource: Resource, operation: str) -> Object | None:
    """Return the first webhook that blocks a write: it trusts a retired CA and has `failurePolicy: Fail`.

    Returns None if no webhook blocks the write. `retired` are CA certificates as PEM.
    """
    old = {it.strip() for it in retired}
    for _, webhook in webhooks(store):
        closed = webhook.get("failurePolicy", "Fail") == "Fail"
        if closed and _bundle(webhook) in old and _watches(webhook, resource, operation):
            return webhook
    return None


def check(store: Store, retired: Iterable[bytes], resource: Resource, operation: str, namespace: str) -> None:
    """Raise the API server's error for a write that a broken webhook blocks."""
    webhook = broken(store, retired, resource, operation)
    if webhook is None or namespace == SPARED:
        return
    service = (webhook.get("clientConfig") or {}).get("service") or {}
    host = f"{service.get('name', 'webhook')}.{service.get('namespace', 'default')}.svc"
    url = f"https://{host}:{service.get('port', 443)}{service.get('path', '/')}?timeout=10s"
    raise internal(
        f'failed calling webhook "{webhook["name"]}": failed to call webhook: Post "{url}": tls: failed to verify '
        "certificate: x509: certificate signed by unknown authority"
    )


def stops_pods(store: Store, retired: Iterable[bytes]) -> bool:
    """Return whether no pod can be created outside of kube-system."""
    return broken(store, retired, BY_KEY["", "pods"], "CREATE") is not None


def declare(store: Store, name: str, authority_pem: bytes, when: dt.datetime, **more: Any) -> None:
    """Store a webhook for pods that trusts a CA. `more`: kind, resources, groups, policy, namespace."""
    mutating = more.get("kind") == "mutating"
    rule = {
        "operations": ["CREATE"],
        "apiGroups": list(more.get("groups") or [""]),
        "apiVersions": ["v1"],
        "resources": list(more.get("resources") or ["pods"]),
        "scope": "*",
    }
    service = {"name": name, "namespace": more.get("namespace") or "default", "path": "/admit", "port": 443}
    bundle = b64encode(authority_pem).decode() if authority_pem else ""
    webhook = {
        "name": f"{name}.sandbox.example",
        "clientConfig": {"service": service, **({"caBundle": bundle} if bundle else {})},
        "rules": [rule],
        "failurePolicy": more.get("policy") or "Fail",
        "matchPolicy": "Equivalent",
        "namespaceSelector": {},
        "objectSelector": {},
        "sideEffects": "None",
        "timeoutSeconds": 10,
        "admissionReviewVersions": ["v1"],
    }
    store.put(MUTATING if mutating else VALIDATING, {"metadata": {"name": name}, "webhooks": [webhook]}, when)
