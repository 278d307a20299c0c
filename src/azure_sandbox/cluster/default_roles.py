"""Roles and bindings of every new AKS cluster. All clusters share these objects, which nobody changes."""

from __future__ import annotations

import uuid
from typing import Any

from azure_sandbox.cluster.resources import BY_KEY, RBAC_GROUP

Rule = dict[str, Any]
ADMIN_BINDING = "aks-cluster-admin-binding"
ENTRA_ADMIN_BINDING = "aks-cluster-admin-binding-aad"
RECONCILED = {"addonmanager.kubernetes.io/mode": "Reconcile", "kubernetes.io/cluster-service": "true"}
_NAMESPACE = uuid.UUID("6f1f7b0e-50c7-4d2c-8f76-0a8f0c7a4a11")
_BORN = "2024-01-01T00:00:00Z"
_DEFAULTS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_CORE = ["configmaps", "endpoints", "persistentvolumeclaims", "pods", "replicationcontrollers", "serviceaccounts"]
_CORE += ["services"]
_LOOK = ["bindings", "events", "limitranges", "namespaces/status", "pods/log", "pods/status", "resourcequotas"]
_LOOK += ["namespaces"]
_APPS = ["controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"]
_APPS += ["deployments/scale", "replicasets/scale", "statefulsets/scale"]
_PATHS = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz"]
_PATHS += ["/version", "/version/"]


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> Rule:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


def _view() -> list[Rule]:
    return [
        _rule([""], _CORE + _LOOK, _READ),
        _rule(["apps"], _APPS, _READ),
        _rule(["batch"], ["cronjobs", "jobs"], _READ),
        _rule(["policy"], ["poddisruptionbudgets"], _READ),
    ]


def _edit() -> list[Rule]:
    return [
        *_view(),
        _rule([""], ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"], _READ),
        _rule([""], ["serviceaccounts"], ["impersonate"]),
        _rule([""], [*_CORE, "secrets", "events", "pods/attach", "pods/exec", "pods/portforward"], _WRITE),
        _rule([""], ["serviceaccounts/token"], ["create"]),
        _rule(["apps"], _APPS, _WRITE),
        _rule(["batch"], ["cronjobs", "jobs"], _WRITE),
        _rule(["policy"], ["poddisruptionbudgets"], _WRITE),
    ]


def _admin() -> list[Rule]:
    return [
        *_edit(),
        _rule(["authorization.k8s.io"], ["localsubjectaccessreviews"], ["create"]),
        _rule([RBAC_GROUP], ["rolebindings", "roles"], _READ + _WRITE),
    ]


def _basic() -> list[Rule]:
    return [
        _rule(["authorization.k8s.io"], ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], ["create"]),
        _rule(["authentication.k8s.io"], ["selfsubjectreviews"], ["create"]),
    ]


ROLES: dict[str, list[Rule]] = {
    "cluster-admin": [_rule(["*"], ["*"], ["*"]), {"nonResourceURLs": ["*"], "verbs": ["*"]}],
    "admin": _admin(),
    "edit": _edit(),
    "view": _view(),
    "system:basic-user": _basic(),
    "system:discovery": [{"nonResourceURLs": _PATHS, "verbs": ["get"]}],
    "system:public-info-viewer": [
        {"nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"], "verbs": ["get"]}
    ],
}
BINDINGS: dict[str, tuple[str, list[str]]] = {
    "cluster-admin": ("cluster-admin", ["system:masters"]),
    "system:basic-user": ("system:basic-user", ["system:authenticated"]),
    "system:discovery": ("system:discovery", ["system:authenticated"]),
    "system:public-info-viewer": ("system:public-info-viewer", ["system:authenticated", "system:unauthenticated"]),
}


def group_subject(name: str) -> dict[str, str]:
    """Return the subject of a binding for a group."""
    return {"kind": "Group", "apiGroup": RBAC_GROUP, "name": name}


def role_reference(name: str) -> dict[str, str]:
    """Return a binding's reference to a cluster role."""
    return {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": name}


def _shared(plural: str, name: str, content: dict[str, Any]) -> dict[str, Any]:
    resource = BY_KEY[RBAC_GROUP, plural]
    metadata = {
        "name": name,
        "uid": str(uuid.uuid5(_NAMESPACE, f"{plural}/{name}")),
        "resourceVersion": "1",
        "creationTimestamp": _BORN,
        "labels": _DEFAULTS,
    }
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **content}


def _bound(role: str, groups: list[str]) -> dict[str, Any]:
    return {"roleRef": role_reference(role), "subjects": [group_subject(it) for it in groups]}


DEFAULTS: dict[tuple[str, str], list[dict[str, Any]]] = {
    (RBAC_GROUP, "clusterroles"): [_shared("clusterroles", name, {"rules": rules}) for name, rules in ROLES.items()],
    (RBAC_GROUP, "clusterrolebindings"): [
        _shared("clusterrolebindings", name, _bound(role, groups)) for name, (role, groups) in BINDINGS.items()
    ],
}
