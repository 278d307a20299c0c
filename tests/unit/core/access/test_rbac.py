"""What roles, rules, bindings and scopes allow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.access.rbac import RoleDefinition, Rule, covers
from aks_entra.core.access.rbac import Rule as Allows
from aks_entra.core.access.resource_access import EVERYTHING, ResourceAttributes, attributes
from aks_entra.core.cluster import ClusterId
from tests.support.access_cases import AKS, READER, binding, held
from tests.support.golden_files import approved


@pytest.mark.parametrize(
    ("rule", "wanted", "allowed"),
    [
        (Rule(verbs=("*",), groups=("*",), resources=("*",)), EVERYTHING, True),
        (Rule(verbs=("get",), groups=("",), resources=("pods",)), attributes("get", "pods"), True),
        (Rule(verbs=("get",), groups=("",), resources=("pods",)), attributes("list", "pods"), False),
        (Rule(verbs=("get",), groups=("apps",), resources=("pods",)), attributes("get", "pods"), False),
        (Rule(verbs=("get",), groups=("",), resources=("pods",)), attributes("get", "pods/log"), False),
        (Rule(verbs=("get",), groups=("",), resources=("*/log",)), attributes("get", "pods/log"), True),
        (
            Rule(verbs=("get",), groups=("",), resources=("pods",), names=("a",)),
            attributes("get", "pods", name="a"),
            True,
        ),
        (Rule(verbs=("get",), groups=("",), resources=("pods",), names=("a",)), attributes("get", "pods"), False),
    ],
)
def test_a_rule_covers_what_the_api_server_says_it_covers(
    rule: Rule, wanted: ResourceAttributes, allowed: bool
) -> None:
    assert rule.allows(wanted) is allowed


def test_a_binding_holds_in_its_namespace() -> None:
    here = binding("User", "dana", namespace="shop")
    assert here.allows(attributes("get", "pods", namespace="shop"))
    assert not here.allows(attributes("get", "pods"))
    assert (here.title, binding("User", "dana").title) == ("rolebinding shop/b1", "clusterrolebinding b1")


def test_what_is_taken_away_counts_for_wildcards_too() -> None:
    admin = RoleDefinition(
        id="1", name="admin", data_actions=(f"{AKS}/*",), not_data_actions=(f"{AKS}/namespaces/write",)
    )
    assert admin.allows_data(f"{AKS}/pods/write")
    assert not admin.allows_data(f"{AKS}/namespaces/write")
    assert not admin.allows_data(f"{AKS}/*")
    assert not RoleDefinition(id="1", name="none").allows("anything")


def test_scopes_are_whole_segments_in_any_case() -> None:
    assert covers("/Subscriptions/A", "/subscriptions/a/resourceGroups/x/")
    assert covers("/", "/subscriptions/a")
    assert not covers("/subscriptions/a", "/subscriptions/ab")


def test_golden_names_of_rules_and_clusters() -> None:
    role = RoleDefinition(id="1", name="r", data_actions=("A/*",), actions=("b",))
    shop = ClusterId(subscription_id="S", resource_group="G", name="N")
    values = [role, Rule(verbs=("get",), groups=("",), resources=("pods",)), held(READER), binding("User", "d")]
    approved("names", [("rules", values), ("a cluster", [shop.resource_id, shop.key, str(shop)])])


@pytest.mark.parametrize(
    ("rule_", "wanted", "allowed"),
    [
        (Allows(verbs=("get",), groups=("",), resources=("*",)), attributes("get", "pods"), True),
        (Allows(verbs=("*",), groups=("",), resources=("pods",)), attributes("get", "pods"), True),
        (Allows(verbs=("get",), groups=("*",), resources=("pods",)), attributes("get", "pods"), True),
        (Allows(verbs=("get",), groups=("",), resources=("*/",)), attributes("get", "pods"), False),
        (Allows(verbs=("get",), groups=("",), resources=("*/log",)), attributes("get", "pods"), False),
    ],
)
def test_a_rule_s_wildcards(rule_: Allows, wanted: ResourceAttributes, allowed: bool) -> None:
    assert rule_.allows(wanted) is allowed


def test_what_is_taken_away_is_only_what_is_named() -> None:
    role = RoleDefinition(id="1", name="r", data_actions=(f"{AKS}/pods/*",), not_data_actions=(f"{AKS}/secrets/*",))
    assert role.allows_data(f"{AKS}/pods/*")
    assert not replace(role, not_data_actions=(f"{AKS}/pods/delete",)).allows_data(f"{AKS}/pods/*")


@pytest.mark.parametrize(
    ("upper", "lower", "inside"),
    [
        ("/subscriptions/a/", "/subscriptions/a", True),
        ("/subscriptions/x", "/subscriptions/x", True),
        ("/subscriptions/x", "/subscriptions/x/", True),
        ("/subscriptions/ax", "/subscriptions/a", False),
        ("/subscriptions/a", "/subscriptions/ax", False),
        ("/subscriptions/a", "/subscriptions/a x ", False),
    ],
)
def test_a_scope_ends_where_it_ends(upper: str, lower: str, inside: bool) -> None:
    assert covers(upper, lower) is inside
