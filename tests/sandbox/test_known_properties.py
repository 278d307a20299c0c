"""What a PUT of a cluster may carry is what the vendor's SDK knows, down to the last word."""

from __future__ import annotations

import re
from typing import Any

from azure.mgmt.containerservice import models

from azure_sandbox.arm.known import OF_CLUSTERS, OF_POOLS, WITHIN


def names(model: type[Any]) -> dict[str, str]:
    """A model's properties by their names on the wire, with the words of their types."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        for name, words in getattr(kind, "__annotations__", {}).items():
            field: Any = kind.__dict__.get(name)
            if hasattr(field, "_rest_name_input"):
                found[field._rest_name_input or name] = str(words)  # noqa: SLF001 - where the SDK keeps the name
    return found


def tree(model: type[Any], seen: tuple[type[Any], ...] = ()) -> dict[str, Any]:
    """The properties within each property; `*` is any name, None what is not looked into."""
    found: dict[str, Any] = {}
    for name, words in names(model).items():
        named = re.search(r"_models\.(\w+)", words)
        inner = getattr(models, named[1], None) if named else None
        within = tree(inner, (*seen, inner)) if inner and inner not in seen and names(inner) else None
        found[name] = {"*": within} if re.search(r"[Dd]ict\[", words) else within
    return found


def test_the_words_of_a_cluster_are_the_vendors() -> None:
    vendors = tree(models.ManagedClusterProperties)
    mine = {name: {**within} for name, within in WITHIN.items()}
    mine["aadProfile"].pop("adminUsers")  # of answers
    assert mine == {name: within for name, within in vendors.items() if within}
    assert set(vendors) <= OF_CLUSTERS
    assert set(vendors["agentPoolProfiles"]) <= OF_POOLS
