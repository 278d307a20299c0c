"""Who looks after a caller: its namespace says so, or else its cluster's tags; otherwise nobody is known."""

from __future__ import annotations

import pytest

from aks_entra.core.rollout.owners import (
    MOST_NAMESPACES,
    Owner,
    namespaces_of,
    owner_in_namespace,
    owner_in_tags,
    owner_of,
)
from tests.support.audit_logs import caller

SHOP = Owner(name="shop", by="tag team")
CI = Owner(name="payments", by="label team of namespace ci", namespace="ci")


@pytest.mark.parametrize(
    ("tags", "owner"),
    [
        ({}, None),
        ({"cost": "7"}, None),
        ({"Team": "shop", "contact": "dana"}, Owner(name="shop", by="tag Team")),
        ({"owner": " ", "contact": "dana"}, Owner(name="dana", by="tag contact")),
        ({"contact": "dana", "OWNER": "erin"}, Owner(name="erin", by="tag OWNER")),
    ],
)
def test_tags_say_who_looks_after_a_cluster(tags: dict[str, str], owner: Owner | None) -> None:
    assert owner_in_tags(tags.items()) == owner


@pytest.mark.parametrize(
    ("labels", "annotations", "name", "by"),
    [
        ({"team": "payments"}, {}, "payments", "label team"),
        ({"team": "payments"}, {"owner": "dana@contoso.com"}, "dana@contoso.com", "annotation owner"),
        ({"owner": "payments"}, {"owner": "dana@contoso.com"}, "dana@contoso.com", "annotation owner"),
        ({"contoso.com/Owner": "payments"}, {}, "payments", "label contoso.com/Owner"),
        ({"owner": "payments"}, {"contoso.com/owner": "dana"}, "payments", "label owner"),
        ({"b.example/team": "b", "a.example/team": "a"}, {}, "a", "label a.example/team"),
        ({"owner": " ", "contact": "dana"}, {}, "dana", "label contact"),
        ({"app.kubernetes.io/managed-by": "argocd", "team": "payments"}, {}, "payments", "label team"),
        ({"app.kubernetes.io/managed-by": "argocd"}, {}, "argocd", "label app.kubernetes.io/managed-by"),
        ({}, {"owner": "x" * 200}, "x" * 120 + "…", "annotation owner"),
    ],
)
def test_labels_and_annotations_say_who_looks_after_a_namespace(
    labels: dict[str, str], annotations: dict[str, str], name: str, by: str
) -> None:
    found = owner_in_namespace("ci", labels=labels.items(), annotations=annotations.items())
    assert found == Owner(name=name, by=f"{by} of namespace ci", namespace="ci")


def test_other_labels_say_nothing() -> None:
    labels = {"kubernetes.io/metadata.name": "ci", "contoso.com/managed-by": "x", "co-owner": "y"}
    assert owner_in_namespace("ci", labels=labels.items(), annotations=()) is None


def test_the_namespace_of_a_caller_counts_before_the_cluster() -> None:
    both = (SHOP, CI)
    assert owner_of(both, caller(namespace="ci")) == CI
    assert owner_of(both, caller(namespace="other")) == SHOP
    assert owner_of(both, caller()) == SHOP
    assert owner_of(both) == SHOP
    assert owner_of((CI,), caller(namespace="other")) is None
    assert owner_of((CI,)) is None
    assert CI.words == "owner: payments, by label team of namespace ci"


def test_the_namespaces_of_the_busiest_callers_are_read() -> None:
    many = [caller(namespace=f"n-{number}", count=number) for number in range(MOST_NAMESPACES + 5)]
    found = namespaces_of([caller(count=999), *many, caller(namespace="n-24", count=1)])
    assert (len(found), found[0], found[-1]) == (MOST_NAMESPACES, "n-24", "n-5")
