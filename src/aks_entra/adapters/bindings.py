"""Kubernetes RBAC of one cluster through the Kubernetes client: the `Bindings` port.

Bindings of ours carry a label, by which they are found, and annotations with their end, who approved and why. Each has
one end for its life: an extension is a second binding, so that none is ever changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from aks_entra.access_ports import Answer
from aks_entra.adapters.cluster import ApiServers, answer_of
from aks_entra.core.access import Token
from aks_entra.core.cluster import Posture
from aks_entra.core.grants import CLUSTER_ROLES, Ask, Grant, Via, end_in
from aks_entra.core.rules import Binding, Rule, Subject
from aks_entra.core.wishes import RBAC_GROUP, Wish
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient

LABEL: Final = "app.kubernetes.io/managed-by"
OURS: Final = "aks-entra"
TEXT: Final = "aks-entra/grant"
PRINCIPAL: Final = "aks-entra/principal"
_TIMEOUT: Final = 30
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409


class KubernetesRbac:
    """Bindings as the prover may see and change them."""

    def __init__(self, servers: ApiServers) -> None:
        self._servers = servers

    async def bindings(self, posture: Posture) -> tuple[Binding, ...]:
        """Every binding with the rules of its role."""
        from kubernetes.aio import client  # noqa: PLC0415 - lazy: 0.3 s, 45 MB

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
        """The bindings that are grants of ours."""
        from kubernetes.aio import client  # noqa: PLC0415 - lazy, as above

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
        """Create the binding under the request's own name; one that is there is left as it is."""
        from kubernetes.aio import client  # noqa: PLC0415 - lazy, as above

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
        """Delete it; whether it was there. Nothing that does not carry our label is ever deleted."""
        from kubernetes.aio import client  # noqa: PLC0415 - lazy, as above

        name = grant.id.rpartition("/")[2]
        async with self._servers.opened(posture) as api:
            rbac = client.RbacAuthorizationV1Api(api)
            try:
                _must_be_ours(grant, await _read(api, grant.namespace, name))
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

    async def would_allow(self, posture: Posture, token: Token, wish: Wish) -> Answer:
        """What the API server says to a token that carries this (SubjectAccessReview): no token of theirs is needed.

        AKS' authorization webhook takes the object id from `extra.oid`, as its authentication webhook fills it.
        """
        from kubernetes.aio import client  # noqa: PLC0415 - lazy, as above

        attributes = client.V1ResourceAttributes(
            verb=wish.verb,
            group=wish.group,
            resource=wish.resource,
            subresource=wish.subresource,
            namespace=wish.namespace,
            name=wish.name,
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


def _must_be_ours(grant: Grant, there: Mapping[str, Any]) -> None:
    if (there["metadata"].get("labels") or {}).get(LABEL) != OURS:
        raise Refused(f"{grant.id} is not a binding of ours", code="NotOurs")


async def _read(api: ApiClient, namespace: str, name: str) -> Mapping[str, Any]:
    from kubernetes.aio import client  # noqa: PLC0415 - lazy, as above

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
        subjects=tuple(
            Subject(kind=str(one.get("kind") or ""), name=str(one.get("name") or ""))
            for one in item.get("subjects") or ()
        ),
        rules=roles.get((kind, namespace if kind == "Role" else "", name), ()),
    )


def _grant(item: Mapping[str, Any], posture: Posture) -> Grant:
    metadata = item.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    text = str(annotations.get(TEXT) or "")
    until, damaged = end_in(text)
    kind, _, principal = str(annotations.get(PRINCIPAL) or "").partition("/")
    namespace, name = str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
    subject = next((str(one.get("name") or "") for one in item.get("subjects") or ()), "")
    return Grant(
        via=Via.KUBERNETES,
        id=f"rolebindings/{namespace}/{name}" if namespace else f"clusterrolebindings/{name}",
        cluster_key=posture.cluster.key,
        principal_id=principal or subject,
        principal_kind=kind,
        role=str((item.get("roleRef") or {}).get("name") or ""),
        namespace=namespace,
        until=until,
        text=text,
        unreadable=damaged,
    )
