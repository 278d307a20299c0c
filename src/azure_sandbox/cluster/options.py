"""Options of a write: `dryRun`, and the preconditions of a deletion (CreateOptions and DeleteOptions of Kubernetes).

The words of the refusals are those of a kube-apiserver 1.34.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from azure_sandbox.cluster import shapes, status
from azure_sandbox.cluster.resources import Resource
from azure_sandbox.cluster.wire import document
from azure_sandbox.front.http import Request

Document = dict[str, Any]
META = "meta.k8s.io"
KINDS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions", "delete": "DeleteOptions"}
VALIDATIONS = ("", "Ignore", "Strict", "Warn")
POLICIES = ("Foreground", "Background", "Orphan", "nil")

METADATA = frozenset(
    {
        *("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation"),
        *("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations"),
        *("ownerReferences", "finalizers", "managedFields"),
    }
)
FIELDS = {
    "ConfigMap": {"data", "binaryData", "immutable"},
    "Secret": {"data", "stringData", "type", "immutable"},
    "Namespace": {"spec", "status"},
    "ServiceAccount": {"secrets", "imagePullSecrets", "automountServiceAccountToken"},
    "PodDisruptionBudget": {"spec", "status"},
    "MutatingWebhookConfiguration": {"webhooks"},
    "ValidatingWebhookConfiguration": {"webhooks"},
    "ClusterRole": {"rules", "aggregationRule"},
    "Role": {"rules"},
    "ClusterRoleBinding": {"subjects", "roleRef"},
    "RoleBinding": {"subjects", "roleRef"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """The options of a write. With `dry_run` everything is done except the storing. An empty text asks nothing."""

    dry_run: bool = False
    strict: bool = False
    uid: str = ""
    resource_version: str = ""

    def check_fields(self, resource: Resource, sent: Document) -> None:
        """Raise a 400 for an unknown field of an object or of its metadata, if the request asks for this."""
        known = FIELDS.get(resource.kind)
        if not self.strict or known is None:
            return
        odd: list[str] = []
        for name, value in sent.items():
            if name == "metadata" and isinstance(value, dict):
                odd += [f"metadata.{it}" for it in value if it not in METADATA]
            elif name not in {"apiVersion", "kind", "metadata", *known}:
                odd.append(name)
        if odd:
            unknown = ", ".join(f'unknown field "{it}"' for it in odd)
            what = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
            raise status.bad_request(f"{what}: strict decoding error: {unknown}")

    def check(self, resource: Resource, held: Document) -> None:
        """Raise a 409 if an object is not the one that a deletion expects."""
        metadata = held["metadata"]
        if self.uid and self.uid != metadata["uid"]:
            words = (
                f"the UID in the precondition ({self.uid}) does not match the UID in record ({metadata['uid']}). "
                "The object might have been deleted and then recreated"
            )
            raise status.conflict(resource.group, resource.kind, metadata["name"], words)
        if self.resource_version and self.resource_version != metadata["resourceVersion"]:
            words = (
                f"the ResourceVersion in the precondition ({self.resource_version}) does not match the "
                f"ResourceVersion in record ({metadata['resourceVersion']}). The object might have been modified"
            )
            raise status.conflict(resource.group, resource.kind, metadata["name"], words)


def write_options(request: Request, verb: str) -> WriteOptions:
    """Return the options of a request: those of its query, or for a deletion with a body, those of the body.

    Raises a 422 for a value that Kubernetes does not know.
    """
    kind, sent = KINDS[verb], _body(request) if verb == "delete" else {}
    asked = sent or {"propagationPolicy": request.query.get("propagationPolicy")}
    wanted = sent.get("dryRun") or [] if sent else [request.query[it] for it in ("dryRun",) if it in request.query]
    if any(it != "All" for it in wanted):
        raise status.unsupported_value(META, kind, "dryRun", wanted, ("All",))
    validation = request.query.get("fieldValidation", "") if verb != "delete" else ""
    if validation not in VALIDATIONS:
        raise status.unsupported_value(META, kind, "fieldValidation", validation, VALIDATIONS)
    policy = asked.get("propagationPolicy") if verb == "delete" else None
    if policy is not None and policy not in POLICIES[:-1]:
        raise status.unsupported_value(META, kind, "propagationPolicy", policy, POLICIES)
    expected = sent.get("preconditions") or {}
    return WriteOptions(
        dry_run=bool(wanted),
        strict=validation == "Strict",
        uid=expected.get("uid") or "",
        resource_version=expected.get("resourceVersion") or "",
    )


def _body(request: Request) -> Document:
    if not request.body:
        return {}
    sent = document(request, "DeleteOptions")
    shapes.check(sent)
    return sent
