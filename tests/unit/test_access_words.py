from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_entra.core.durations import iso, moment, span, stamp
from aks_entra.core.rules import Role, Rule, covers
from aks_entra.core.wishes import EVERYTHING, Wish, data_action, forbidden, role_for, wish
from tests.unit.access_cases import AKS, binding


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("45m", timedelta(minutes=45)),
        ("2h", timedelta(hours=2)),
        ("1d12h", timedelta(hours=36)),
        ("PT8H", timedelta(hours=8)),
    ],
)
def test_a_span_is_read_as_people_and_graph_write_it(text: str, wanted: timedelta) -> None:
    assert span(text) == wanted


@pytest.mark.parametrize("text", ["", "2", "0h", "P1W", "2 hours", "-2h"])
def test_anything_else_is_no_span(text: str) -> None:
    with pytest.raises(ValueError, match="no span of time"):
        span(text)


@given(st.integers(min_value=1, max_value=400 * 86400))
def test_iso_is_read_back_and_has_no_weeks(seconds: int) -> None:
    text = iso(timedelta(seconds=seconds))
    assert span(text) == timedelta(seconds=seconds)
    assert "W" not in text
    assert ":" not in text


def test_times_are_to_the_second_and_have_a_zone() -> None:
    assert iso(timedelta()) == "PT0S"
    at = datetime(2026, 11, 24, 10, 0, 0, 5, tzinfo=UTC)
    assert stamp(at) == "2026-11-24T10:00:00Z"
    assert moment(stamp(at)) == at.replace(microsecond=0)
    with pytest.raises(ValueError, match="no time zone"):
        moment("2026-11-24T10:00:00")


@pytest.mark.parametrize(
    ("wanted", "action"),
    [
        (EVERYTHING, f"{AKS}/*"),
        (wish("list", "nodes"), f"{AKS}/nodes/read"),
        (wish("create", "deployments", namespace="a"), f"{AKS}/apps/deployments/write"),
        (wish("delete", "Deployments.apps/scale"), f"{AKS}/apps/deployments/scale/delete"),
        (wish("create", "pods/exec"), f"{AKS}/pods/exec/action"),
        (wish("escalate", "clusterroles"), f"{AKS}/rbac.authorization.k8s.io/clusterroles/escalate/action"),
        (wish("*", "pods"), f"{AKS}/pods/*"),
    ],
)
def test_a_wish_is_named_as_azure_rbac_does(wanted: Wish, action: str) -> None:
    assert data_action(wanted) == action


def test_a_wish_reads_well() -> None:
    assert str(EVERYTHING) == "everything at the cluster scope"
    assert str(wish("get", "deployments/scale", namespace="a")) == "get deployments.apps/scale in namespace a"
    assert str(wish("list", "nodes")) == "list nodes at the cluster scope"


def test_a_forbidden_says_who_wanted_what() -> None:
    said = (
        'Error from server (Forbidden): nodes is forbidden: User "aaaa" cannot list resource "nodes" in API group "" '
        "at the cluster scope"
    )
    assert forbidden(said) == ("aaaa", Wish(verb="list", resource="nodes", group=""))
    named = (
        'pods "web" is forbidden: User "dana@contoso.com" cannot get resource "pods/log" in API group "" in the '
        'namespace "shop"'
    )
    assert forbidden(named) == (
        "dana@contoso.com",
        Wish(verb="get", resource="pods", subresource="log", group="", namespace="shop", name="web"),
    )
    assert forbidden("error: You must be logged in to the server (Unauthorized)") is None


@pytest.mark.parametrize(
    ("rule", "wanted", "allowed"),
    [
        (Rule(verbs=("*",), groups=("*",), resources=("*",)), EVERYTHING, True),
        (Rule(verbs=("get",), groups=("",), resources=("pods",)), wish("get", "pods"), True),
        (Rule(verbs=("get",), groups=("",), resources=("pods",)), wish("list", "pods"), False),
        (Rule(verbs=("get",), groups=("apps",), resources=("pods",)), wish("get", "pods"), False),
        (Rule(verbs=("get",), groups=("",), resources=("pods",)), wish("get", "pods/log"), False),
        (Rule(verbs=("get",), groups=("",), resources=("*/log",)), wish("get", "pods/log"), True),
        (Rule(verbs=("get",), groups=("",), resources=("pods",), names=("a",)), wish("get", "pods", name="a"), True),
        (Rule(verbs=("get",), groups=("",), resources=("pods",), names=("a",)), wish("get", "pods"), False),
    ],
)
def test_a_rule_covers_what_the_api_server_says_it_covers(rule: Rule, wanted: Wish, allowed: bool) -> None:
    assert rule.allows(wanted) is allowed


def test_a_binding_holds_in_its_namespace() -> None:
    here = binding("User", "dana", namespace="shop")
    assert here.allows(wish("get", "pods", namespace="shop"))
    assert not here.allows(wish("get", "pods"))
    assert (here.title, binding("User", "dana").title) == ("rolebinding shop/b1", "clusterrolebinding b1")


def test_what_is_taken_away_counts_for_wildcards_too() -> None:
    admin = Role(id="1", name="admin", data_actions=(f"{AKS}/*",), not_data_actions=(f"{AKS}/namespaces/write",))
    assert admin.allows_data(f"{AKS}/pods/write")
    assert not admin.allows_data(f"{AKS}/namespaces/write")
    assert not admin.allows_data(f"{AKS}/*")
    assert not Role(id="1", name="none").allows("anything")


def test_scopes_are_whole_segments_in_any_case() -> None:
    assert covers("/Subscriptions/A", "/subscriptions/a/resourceGroups/x/")
    assert covers("/", "/subscriptions/a")
    assert not covers("/subscriptions/a", "/subscriptions/ab")


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
def test_the_narrowest_role_for_a_wish(verb: str, resource: str, namespace: str, role: str) -> None:
    assert role_for(wish(verb, resource, namespace=namespace)) == role
