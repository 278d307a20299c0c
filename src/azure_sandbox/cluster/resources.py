"""The kinds that the sandbox's API server supports. Any other kind gets 404, as on a server without it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

READ = ("get", "list", "watch")
OWN = ("create", "delete", "get", "list", "watch")
CHANGED = ("create", "delete", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource type. `verbs` are those that the sandbox supports."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short: tuple[str, ...] = ()
    verbs: tuple[str, ...] = READ
    categories: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Return group and plural, as RBAC rules name a resource."""
        return self.group, self.plural

    @property
    def api_version(self) -> str:
        """Return `v1` or `group/version`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        """Return the kind in lower case."""
        return self.kind.lower()


def _core(plural: str, kind: str, *short: str, namespaced: bool = True, verbs: tuple[str, ...] = READ) -> Resource:
    return Resource(
        group="", version="v1", plural=plural, kind=kind, namespaced=namespaced, short=short, verbs=verbs, categories=()
    )


def _apps(plural: str, kind: str, *short: str) -> Resource:
    return Resource(
        group="apps", version="v1", plural=plural, kind=kind, namespaced=True, short=short, categories=("all",)
    )


ADMISSION_GROUP = "admissionregistration.k8s.io"
RBAC_GROUP = "rbac.authorization.k8s.io"


def _other(
    group: str, plural: str, kind: str, *short: str, namespaced: bool = False, verbs: tuple[str, ...] = READ
) -> Resource:
    return Resource(
        group=group, version="v1", plural=plural, kind=kind, namespaced=namespaced, short=short, verbs=verbs
    )


def _rbac(plural: str, kind: str, *, namespaced: bool) -> Resource:
    return Resource(group=RBAC_GROUP, version="v1", plural=plural, kind=kind, namespaced=namespaced, verbs=CHANGED)


RESOURCES = (
    _core("configmaps", "ConfigMap", "cm", verbs=CHANGED),
    _core("endpoints", "Endpoints", "ep"),
    _core("limitranges", "LimitRange", "limits"),
    _core("resourcequotas", "ResourceQuota", "quota"),
    _core("events", "Event", "ev"),
    _core("namespaces", "Namespace", "ns", namespaced=False, verbs=CHANGED),
    _core("nodes", "Node", "no", namespaced=False),
    _core("persistentvolumeclaims", "PersistentVolumeClaim", "pvc"),
    _core("persistentvolumes", "PersistentVolume", "pv", namespaced=False),
    _core("pods", "Pod", "po"),
    _core("secrets", "Secret", verbs=CHANGED),
    _core("serviceaccounts", "ServiceAccount", "sa", verbs=CHANGED),
    _core("services", "Service", "svc"),
    _apps("daemonsets", "DaemonSet", "ds"),
    _apps("deployments", "Deployment", "deploy"),
    _apps("replicasets", "ReplicaSet", "rs"),
    _apps("statefulsets", "StatefulSet", "sts"),
    Resource(group="batch", version="v1", plural="cronjobs", kind="CronJob", namespaced=True, short=("cj",)),
    Resource(group="batch", version="v1", plural="jobs", kind="Job", namespaced=True),
    _other("policy", "poddisruptionbudgets", "PodDisruptionBudget", "pdb", namespaced=True, verbs=CHANGED),
    _other("networking.k8s.io", "ingresses", "Ingress", "ing", namespaced=True),
    _other("networking.k8s.io", "networkpolicies", "NetworkPolicy", "netpol", namespaced=True),
    _other("storage.k8s.io", "csidrivers", "CSIDriver"),
    _other("storage.k8s.io", "storageclasses", "StorageClass", "sc"),
    _other("storage.k8s.io", "volumeattachments", "VolumeAttachment"),
    _other(ADMISSION_GROUP, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", verbs=CHANGED),
    _other(ADMISSION_GROUP, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", verbs=CHANGED),
    _other("apiregistration.k8s.io", "apiservices", "APIService"),
    _other("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", "crd", "crds"),
    _other("certificates.k8s.io", "certificatesigningrequests", "CertificateSigningRequest", "csr", verbs=OWN),
    _other("scheduling.k8s.io", "priorityclasses", "PriorityClass", "pc"),
    _rbac("clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    _rbac("clusterroles", "ClusterRole", namespaced=False),
    _rbac("rolebindings", "RoleBinding", namespaced=True),
    _rbac("roles", "Role", namespaced=True),
)
REVIEWS: dict[str, dict[str, tuple[str, ...]]] = {
    "authentication.k8s.io": {
        "v1": ("SelfSubjectReview", "TokenReview"),
        "v1beta1": ("SelfSubjectReview",),
        "v1alpha1": ("SelfSubjectReview",),
    },
    "authorization.k8s.io": {
        "v1": ("LocalSubjectAccessReview", "SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"),
    },
}
BY_PATH = {(it.group, it.version, it.plural): it for it in RESOURCES}
BY_KEY = {it.key: it for it in RESOURCES}


def versions() -> dict[str, list[str]]:
    """Return every named group with its versions, the preferred one first."""
    found: dict[str, list[str]] = {group: list(kinds) for group, kinds in REVIEWS.items()}
    for it in RESOURCES:
        if it.group:
            known = found.setdefault(it.group, [])
            if it.version not in known:
                known.append(it.version)
    return found


def of(group: str, version: str) -> Iterable[Resource]:
    """Return the resource types of a group and version."""
    return (it for it in RESOURCES if (it.group, it.version) == (group, version))
