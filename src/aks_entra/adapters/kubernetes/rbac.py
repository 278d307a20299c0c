"""Kubernetes RBAC of one cluster through the Kubernetes client: the `Bindings` port.

Our bindings have a label by which they are found, and annotations with their end, the approver and the reason. A
binding is never changed: an extension is a second binding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from aks_entra.adapters.kubernetes.api_server import ApiServers, answer_of
from aks_entra.core.access.explanation import Token
from aks_entra.core.access.grants import CLUSTER_ROLES, Ask, Grant, Via, end_in, is_bound_by_us
from aks_entra.core.access.rbac import Binding, Rule, Subject
from aks_entra.core.access.resource_access import RBAC_GROUP, ResourceAttributes
from aks_entra.core.cluster import Posture
from aks_entra.errors import Refused
from aks_entra.ports.access import Answer

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient

LABEL: Final = "app.kubernetes.io/managed-by"
OURS: Final = "aks-entra"
TEXT: Final = "aks-entra/grant"
PRINCIPAL: Final = "aks-entra/principal"
STOCK: Final = frozenset(
    {
        ("kubernetes.io/bootstrapping", "rbac-defaults"),
        ("kubernetes.io/cluster-service", "true"),
        ("addonmanager.kubernetes.io/mode", "Reconcile"),
        ("addonmanager.kubernetes.io/mode", "EnsureExists"),
        ("kubernetes.azure.com/managedby", "aks"),
    }
)
"""The labels of the bindings that Kubernetes and AKS make on every cluster."""

_TIMEOUT: Final = 30
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409


class KubernetesRbac:
    """Reads and writes bindings as the prover."""

    def __init__(self, servers: ApiServers) -> None:
        self._servers = servers

    async def bindings(self, posture: Posture) -> tuple[Binding, ...]:
        """Return every binding with the rules of its role."""
        from kubernetes.aio import client

        async with self._servers.opened(posture) as api:
            rbac = client.RbacAuthorizationV1Api(api)
            roles = {
                ("ClusterRole", "", str(one["metadata"]["name"])): _rules(one)
                async for one in self._servers.pages(rbac.list_cluster_role_without_preload_content)
            }
            async for one in self._servers.pages(rbac.list_role_for_all_namespaces_without_preload_content):
                home = str(one["metadata"].get("namespace") or "")
                roles["Role", home, str(one["metadata"]["name"])] = _rules(one)
            items = [it async for it in self._servers.pages(rbac.list_cluster_role_binding_without_preload_content)]
            items += [
                it
                async for it in self._servers.pages(rbac.list_role_binding_for_all_namespaces_without_preload_content)
            ]
        return tuple(_binding(one, roles) for one in items)

    async def grants(self, posture: Posture) -> tuple[Grant, ...]:
        """Return the bindings that are grants of ours. A copy of our label has `foreign` set."""
        from kubernetes.aio import client

        async with self._servers.opened(posture) as api:
            rbac = client.RbacAuthorizationV1Api(api)
            found = [
                _grant(item, posture)
                for fetch in (
                    rbac.list_cluster_role_binding_without_preload_content,
                    rbac.list_role_binding_for_all_namespaces_without_preload_content,
                )
                async for item in self._servers.pages(fetch, label_selector=f"{LABEL}={OURS}")
            ]
        return tuple(found)

    async def bind(self, posture: Posture, ask: Ask, text: str) -> Grant:
        """Create the binding under the request's own name; one that exists is not changed."""
        from kubernetes.aio import client

        parts: dict[str, Any] = {
            "metadata": client.V1ObjectMeta(
                name=ask.binding_name,
                labels={LABEL: OURS},
                annotations={TEXT: text, PRINCIPAL: f"{ask.principal.kind}/{ask.principal.id}"},
            ),
            "role_ref": client.V1RoleRef(api_group=RBAC_GROUP, kind="ClusterRole", name=CLUSTER_ROLES[ask.level]),
            "subjects": [
                client.RbacV1Subject(
                    api_group=RBAC_GROUP,
                    kind="Group" if ask.principal.kind == "Group" else "User",
                    name=ask.principal.kubernetes_name,
                )
            ],
        }
        async with self._servers.opened(posture) as api:
            rbac = client.RbacAuthorizationV1Api(api)
            try:
                made = await answer_of(
                    rbac.create_namespaced_role_binding_without_preload_content(
                        ask.namespace, client.V1RoleBinding(**parts), _request_timeout=_TIMEOUT
                    )
                    if ask.namespace
                    else rbac.create_cluster_role_binding_without_preload_content(
                        client.V1ClusterRoleBinding(**parts), _request_timeout=_TIMEOUT
                    )
                )
            except Refused as refused:
                if refused.status != _CONFLICT:
                    raise
                made = await _read(api, ask.namespace, ask.binding_name)
        return _grant(made, posture)

    async def unbind(self, posture: Posture, grant: Grant) -> bool:
        """Delete the binding. Returns whether it existed.

        Refused (code NotOurs) if it has no label of ours, or if it is not the binding of the grant any more.
        """
        from kubernetes.aio import client

        name = grant.id.rpartition("/")[2]
        async with self._servers.opened(posture) as api:
            rbac = client.RbacAuthorizationV1Api(api)
            try:
                _must_be_ours(grant, await _read(api, grant.namespace, name), posture)
                await answer_of(
                    rbac.delete_namespaced_role_binding_without_preload_content(
                        name, grant.namespace, _request_timeout=_TIMEOUT
                    )
                    if grant.namespace
                    else rbac.delete_cluster_role_binding_without_preload_content(name, _request_timeout=_TIMEOUT)
                )
            except Refused as refused:
                if refused.status != _NOT_FOUND:
                    raise
                return False
        return True

    async def would_allow(self, posture: Posture, token: Token, wanted: ResourceAttributes) -> Answer:
        """Ask the API server what a token with these claims may do (SubjectAccessReview), without the token.

        The authorization webhook of AKS reads the object id from `extra.oid`, where its authentication webhook puts it.
        """
        from kubernetes.aio import client

        attributes = client.V1ResourceAttributes(
            verb=wanted.verb,
            group=wanted.group,
            resource=wanted.resource,
            subresource=wanted.subresource,
            namespace=wanted.namespace,
            name=wanted.name,
        )
        body = client.V1SubjectAccessReview(
            spec=client.V1SubjectAccessReviewSpec(
                user=token.username,
                groups=[*(token.groups or ()), "system:authenticated"],
                extra={"oid": [token.object_id]},
                resource_attributes=attributes,
            )
        )
        async with self._servers.opened(posture) as api:
            answer = await answer_of(
                client.AuthorizationV1Api(api).create_subject_access_review_without_preload_content(
                    body, _request_timeout=_TIMEOUT
                )
            )
        status = answer.get("status") or {}
        return Answer(allowed=bool(status.get("allowed")), reason=str(status.get("reason") or ""))


def _must_be_ours(grant: Grant, there: Mapping[str, Any], posture: Posture) -> None:
    now = _grant(there, posture)
    recorded = not grant.foreign and (now.text, now.role) == (grant.text, grant.role)  # only its mark is damaged
    if (there["metadata"].get("labels") or {}).get(LABEL) != OURS or (now.foreign and not recorded):
        raise Refused(
            f"{grant.id} is not a binding of ours",
            remedy="find out who made it, and delete it by hand if it should go",
            code="NotOurs",
        )


async def _read(api: ApiClient, namespace: str, name: str) -> Mapping[str, Any]:
    from kubernetes.aio import client

    rbac = client.RbacAuthorizationV1Api(api)
    return await answer_of(
        rbac.read_namespaced_role_binding_without_preload_content(name, namespace, _request_timeout=_TIMEOUT)
        if namespace
        else rbac.read_cluster_role_binding_without_preload_content(name, _request_timeout=_TIMEOUT)
    )


def _rules(role: Mapping[str, Any]) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            verbs=tuple(rule.get("verbs") or ()),
            groups=tuple(rule.get("apiGroups") or ()),
            resources=tuple(rule.get("resources") or ()),
            names=tuple(rule.get("resourceNames") or ()),
        )
        for rule in role.get("rules") or ()
        if rule.get("resources")
    )


def _binding(item: Mapping[str, Any], roles: Mapping[tuple[str, str, str], tuple[Rule, ...]]) -> Binding:
    metadata, reference = item.get("metadata") or {}, item.get("roleRef") or {}
    namespace = str(metadata.get("namespace") or "")
    kind, name = str(reference.get("kind") or ""), str(reference.get("name") or "")
    return Binding(
        name=str(metadata.get("name") or ""),
        namespace=namespace,
        role=name,
        subjects=tuple(_subject(one, namespace) for one in item.get("subjects") or ()),
        rules=roles.get((kind, namespace if kind == "Role" else "", name), ()),
        stock=any(label in STOCK for label in (metadata.get("labels") or {}).items()),
    )


def _subject(shown: Mapping[str, Any], namespace: str) -> Subject:
    kind, name = str(shown.get("kind") or ""), str(shown.get("name") or "")
    home = str(shown.get("namespace") or namespace) if kind == "ServiceAccount" else ""
    return Subject(kind=kind, name=name, namespace=home)


def _grant(item: Mapping[str, Any], posture: Posture) -> Grant:
    metadata = item.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    text = str(annotations.get(TEXT) or "")
    until, damaged = end_in(text)
    kind, _, principal = str(annotations.get(PRINCIPAL) or "").partition("/")
    namespace, name = str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
    subject = next((str(one.get("name") or "") for one in item.get("subjects") or ()), "")
    role = str((item.get("roleRef") or {}).get("name") or "")
    return Grant(
        via=Via.KUBERNETES,
        id=f"rolebindings/{namespace}/{name}" if namespace else f"clusterrolebindings/{name}",
        cluster_key=posture.cluster.key,
        principal_id=principal or subject,
        principal_kind=kind,
        role=role,
        namespace=namespace,
        until=until,
        text=text,
        unreadable=damaged,
        foreign=not is_bound_by_us(name, namespace, subject, role, text),
    )
