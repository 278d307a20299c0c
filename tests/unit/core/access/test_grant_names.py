"""Something with our mark is a grant of ours only under the name that we would have given it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aks_entra.core.access.grants import CLUSTER_ROLES, Level, Via, description, due, is_bound_by_us, is_named_by_us
from aks_entra.core.access.rbac import RoleAssignment
from tests.support.access_cases import CLUSTER, DANA, NOW, READER, ROBOT, ask, grant

ASSIGNMENTS = "providers/Microsoft.Authorization/roleAssignments"


def assigned(**change: Any) -> RoleAssignment:
    """Our own role assignment, as Azure shows it; `change`: what somebody else's has instead."""
    ours = ask()
    whole: dict[str, Any] = {
        "id": f"{ours.scope}/{ASSIGNMENTS}/{ours.assignment_name}",
        "role": READER,
        "principal_id": DANA.id,
        "scope": ours.scope,
        "description": description(ours, "erin", ours.end),
        **change,
    }
    return RoleAssignment(**whole)


def test_our_own_assignment_is_ours_in_whatever_case_azure_shows_it() -> None:
    ours = assigned()
    assert is_named_by_us(ours)
    assert is_named_by_us(
        replace(ours, id=ours.id.upper(), scope=ours.scope.replace("resourceGroups", "resourcegroups"))
    )


@pytest.mark.parametrize(
    "change",
    [
        {"id": f"{CLUSTER.resource_id}/{ASSIGNMENTS}/0f4bd0a1-0000-4000-8000-000000000000"},
        {"principal_id": ROBOT.id},
        {"scope": CLUSTER.resource_id},
        {"role": replace(READER, id="8e3af657-a8ff-443c-a75c-2fe8c4bcb635")},
    ],
)
def test_a_copy_of_our_description_on_another_assignment_is_not_ours(change: dict[str, Any]) -> None:
    assert not is_named_by_us(assigned(**change))


@pytest.mark.parametrize("end", [NOW + timedelta(hours=1), None])
def test_our_own_binding_is_ours(end: Any) -> None:
    ours = ask(via=Via.KUBERNETES, end=end)
    text = description(ours, "erin", end)
    assert ours.name == ours.binding_name
    assert ask().name == ask().assignment_name
    assert is_bound_by_us(ours.binding_name, "shop", DANA.name, "view", text)


@pytest.mark.parametrize(
    ("name", "namespace", "subject", "role", "text"),
    [
        ("helm-made-it", "shop", DANA.name, "view", None),
        (None, "other", DANA.name, "view", None),
        (None, "shop", "mallory@contoso.com", "view", None),
        (None, "shop", DANA.name, "cluster-admin", None),
        (None, "shop", DANA.name, "their-own-role", None),
        (None, "shop", DANA.name, "view", "aks-entra grant; until=2026-01-01T00:00:00Z"),
        (None, "shop", DANA.name, "view", ""),
    ],
)
def test_a_binding_that_differs_from_its_name_is_not_ours(
    name: str | None, namespace: str, subject: str, role: str, text: str | None
) -> None:
    ours = ask(via=Via.KUBERNETES)
    said = description(ours, "erin", ours.end) if text is None else text
    assert not is_bound_by_us(name or ours.binding_name, namespace, subject, role, said)
    assert CLUSTER_ROLES[Level.READER] == "view"


def test_what_only_looks_like_a_grant_is_never_due() -> None:
    copies = (grant(until=NOW - timedelta(days=1), foreign=True), grant(unreadable=True, foreign=True))
    assert due(copies, NOW) == ()


def test_a_damaged_mark_is_read_from_our_own_record_and_from_nothing_else() -> None:
    damaged = grant(id="rolebindings/shop/aks-entra-reader-1", until=None, unreadable=True, foreign=True)
    ended, later = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
    assert damaged.recorded({}) is damaged
    assert damaged.recorded({"another": ended}) is damaged
    assert due([damaged.recorded({"aks-entra-reader-1": ended})], NOW)
    assert not due([damaged.recorded({"aks-entra-reader-1": later})], NOW)
    assert not due([damaged.recorded({"aks-entra-reader-1": None})], NOW)
    copied = replace(damaged, unreadable=False, until=ended)
    assert copied.recorded({"aks-entra-reader-1": ended}) is copied
    readable = grant(until=later)
    assert readable.recorded({"1": ended}) is readable


def test_a_grant_says_where_it_is() -> None:
    assert grant().where == "shop-01"
    assert grant(namespace="shop").where == "namespace shop of shop-01"
