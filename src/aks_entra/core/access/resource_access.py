"""A request to a cluster, as Kubernetes describes it and as Azure RBAC names it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

CLUSTER_TYPE: Final = "Microsoft.ContainerService/managedClusters"
RBAC_GROUP: Final = "rbac.authorization.k8s.io"

_GROUPS: Final[dict[str, str]] = {
    **dict.fromkeys(("deployments", "daemonsets", "statefulsets", "replicasets", "controllerrevisions"), "apps"),
    **dict.fromkeys(("jobs", "cronjobs"), "batch"),
    **dict.fromkeys(("roles", "rolebindings", "clusterroles", "clusterrolebindings"), RBAC_GROUP),
    **dict.fromkeys(("ingresses", "networkpolicies", "ingressclasses"), "networking.k8s.io"),
    "horizontalpodautoscalers": "autoscaling",
    "poddisruptionbudgets": "policy",
    "customresourcedefinitions": "apiextensions.k8s.io",
    "storageclasses": "storage.k8s.io",
}
_ACTIONS: Final = {
    **dict.fromkeys(("get", "list", "watch"), "read"),
    **dict.fromkeys(("create", "patch", "update"), "write"),
    **dict.fromkeys(("delete", "deletecollection"), "delete"),
}
_CLUSTER_WIDE: Final = frozenset(
    {
        "nodes",
        "persistentvolumes",
        "clusterroles",
        "clusterrolebindings",
        "storageclasses",
        "ingressclasses",
        "customresourcedefinitions",
    }
)
_POINTS: Final = frozenset({"exec", "attach", "portforward"})
_FORBIDDEN: Final = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)")?'
)
_NAMED: Final = re.compile(r'\S+ "(?P<name>[^"]+)" is forbidden')


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceAttributes:
    """What a request does, as in Kubernetes' SubjectAccessReview: a verb on a resource.

    An empty namespace is the cluster scope. `*` means everything.
    """

    verb: str = "*"
    resource: str = "*"
    group: str = "*"
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        if (self.verb, self.resource) == ("*", "*"):
            what = "everything"
        else:
            grouped = f"{self.resource}.{self.group}" if self.group not in {"", "*"} else self.resource
            what = f"{self.verb} {grouped}{f'/{self.subresource}' if self.subresource else ''}"
        return f"{what} in namespace {self.namespace}" if self.namespace else f"{what} at the cluster scope"


EVERYTHING: Final = ResourceAttributes()


def attributes(verb: str, resource: str, *, namespace: str = "", name: str = "") -> ResourceAttributes:
    """Read a request as kubectl writes it: `deployments.apps/scale`. A well-known resource needs no group."""
    whole, _, subresource = resource.partition("/")
    plain, dot, group = whole.partition(".")
    plain = plain.lower()
    return ResourceAttributes(
        verb=verb.lower(),
        resource=plain,
        group=group if dot else "*" if plain == "*" else _GROUPS.get(plain, ""),
        subresource=subresource,
        namespace=namespace,
        name=name,
    )


def role_for(wanted: ResourceAttributes) -> str:
    """Return the narrowest role of `aks-entra access` that allows a request, in Azure RBAC and in Kubernetes RBAC.

    Reader and `view` do not allow secrets, roles and resources without a namespace (except namespaces themselves).
    """
    if wanted.resource in _CLUSTER_WIDE:
        return "cluster-admin"
    reads = wanted.verb in {"get", "list", "watch"}
    if not reads and not wanted.namespace:
        return "cluster-admin"
    if wanted.verb == "*" or wanted.resource in {"roles", "rolebindings"}:
        return "admin"
    return "reader" if reads and wanted.resource != "secrets" else "writer"


def forbidden(message: str) -> tuple[str, ResourceAttributes] | None:
    """Read the user and the request from the API server's `… is forbidden: User "…" cannot …`.

    Returns None for any other text.
    """
    found = _FORBIDDEN.search(message)
    if found is None:
        return None
    resource, _, subresource = found["resource"].partition("/")
    named = _NAMED.search(message)
    return found["user"], ResourceAttributes(
        verb=found["verb"],
        resource=resource,
        group=found["group"],
        subresource=subresource,
        namespace=found["namespace"] or "",
        name=named["name"] if named else "",
    )


def data_action(wanted: ResourceAttributes) -> str:
    """Return Azure RBAC's name, such as `Microsoft.ContainerService/managedClusters/apps/deployments/read`.

    AKS' authorization webhook builds it from group, resource, subresource, and read, write, delete or action.
    """
    if wanted.resource == "*" and wanted.verb == "*":
        return f"{CLUSTER_TYPE}/*"
    parts = [
        CLUSTER_TYPE,
        *(part for part in (wanted.group, wanted.resource, wanted.subresource) if part not in {"", "*"}),
    ]
    if wanted.verb == "*":
        return "/".join((*parts, "*"))
    action = "action" if wanted.subresource in _POINTS else _ACTIONS.get(wanted.verb, f"{wanted.verb}/action")
    return "/".join((*parts, action))


def scope_of(cluster_id: str, namespace: str) -> str:
    """Return the scope in Azure RBAC: the cluster, or `<cluster>/namespaces/<name>`."""
    return f"{cluster_id}/namespaces/{namespace}" if namespace else cluster_id
