from __future__ import annotations

import pytest

from aks_entra.core.access.resource_access import (
    EVERYTHING,
    ResourceAttributes,
    attributes,
    data_action,
    forbidden,
    role_for,
    scope_of,
)
from tests.support.access_cases import AKS


@pytest.mark.parametrize(
    ("wanted", "action"),
    [
        (EVERYTHING, f"{AKS}/*"),
        (attributes("list", "nodes"), f"{AKS}/nodes/read"),
        (attributes("create", "deployments", namespace="a"), f"{AKS}/apps/deployments/write"),
        (attributes("delete", "Deployments.apps/scale"), f"{AKS}/apps/deployments/scale/delete"),
        (attributes("create", "pods/exec"), f"{AKS}/pods/exec/action"),
        (attributes("escalate", "clusterroles"), f"{AKS}/rbac.authorization.k8s.io/clusterroles/escalate/action"),
        (attributes("*", "pods"), f"{AKS}/pods/*"),
    ],
)
def test_a_request_is_named_as_azure_rbac_does(wanted: ResourceAttributes, action: str) -> None:
    assert data_action(wanted) == action


def test_a_request_reads_well() -> None:
    assert str(EVERYTHING) == "everything at the cluster scope"
    assert str(attributes("get", "deployments/scale", namespace="a")) == "get deployments.apps/scale in namespace a"
    assert str(attributes("list", "nodes")) == "list nodes at the cluster scope"


def test_a_forbidden_says_who_wanted_what() -> None:
    said = (
        'Error from server (Forbidden): nodes is forbidden: User "aaaa" cannot list resource "nodes" in API group "" '
        "at the cluster scope"
    )
    assert forbidden(said) == ("aaaa", ResourceAttributes(verb="list", resource="nodes", group=""))
    named = (
        'pods "web" is forbidden: User "dana@contoso.com" cannot get resource "pods/log" in API group "" in the '
        'namespace "shop"'
    )
    assert forbidden(named) == (
        "dana@contoso.com",
        ResourceAttributes(verb="get", resource="pods", subresource="log", group="", namespace="shop", name="web"),
    )
    assert forbidden("error: You must be logged in to the server (Unauthorized)") is None


@pytest.mark.parametrize(
    ("verb", "resource", "namespace", "role"),
    [
        ("list", "pods", "", "reader"),
        ("watch", "pods", "shop", "reader"),
        ("list", "nodes", "", "cluster-admin"),
        ("get", "storageclasses", "", "cluster-admin"),
        ("get", "secrets", "shop", "writer"),
        ("get", "rolebindings", "shop", "admin"),
        ("create", "roles", "shop", "admin"),
        ("create", "deployments", "shop", "writer"),
        ("delete", "deployments", "", "cluster-admin"),
        ("*", "*", "shop", "admin"),
        ("*", "*", "", "cluster-admin"),
    ],
)
def test_the_narrowest_role_for_a_request(verb: str, resource: str, namespace: str, role: str) -> None:
    assert role_for(attributes(verb, resource, namespace=namespace)) == role


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (("get", "Pods", {}), ResourceAttributes(verb="get", resource="pods", group="")),
        (("GET", "deployments", {}), ResourceAttributes(verb="get", resource="deployments", group="apps")),
        (("get", "foos.example.com", {}), ResourceAttributes(verb="get", resource="foos", group="example.com")),
        (("get", "pods.", {}), ResourceAttributes(verb="get", resource="pods", group="")),
        (("get", "*", {}), ResourceAttributes(verb="get")),
        (
            ("get", "pods/log", {"name": "web"}),
            ResourceAttributes(verb="get", resource="pods", group="", subresource="log", name="web"),
        ),
    ],
)
def test_a_request_as_kubectl_writes_it(said: tuple[str, str, dict[str, str]], wanted: ResourceAttributes) -> None:
    verb, resource, more = said
    assert attributes(verb, resource, **more) == wanted


@pytest.mark.parametrize(
    ("wanted", "words", "action"),
    [
        (EVERYTHING, "everything at the cluster scope", f"{AKS}/*"),
        (ResourceAttributes(group="apps"), "everything at the cluster scope", f"{AKS}/*"),
        (ResourceAttributes(verb="get"), "get * at the cluster scope", f"{AKS}/*/read"),
        (ResourceAttributes(verb="*", resource="pods"), "* pods at the cluster scope", f"{AKS}/pods/*"),
        (ResourceAttributes(verb="get", resource="pods"), "get pods at the cluster scope", f"{AKS}/pods/read"),
        (ResourceAttributes(verb="get", resource="a", group="b"), "get a.b at the cluster scope", f"{AKS}/b/a/read"),
    ],
)
def test_a_wildcard_is_everything_only_in_both_places(wanted: ResourceAttributes, words: str, action: str) -> None:
    assert str(wanted) == words
    assert data_action(wanted).replace(f"{AKS}/read", f"{AKS}/*/read") == action
    assert scope_of("/c", "") == "/c"
    assert scope_of("/c", "shop") == "/c/namespaces/shop"
