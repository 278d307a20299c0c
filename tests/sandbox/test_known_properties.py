"""A PUT of a cluster accepts the properties that the vendor's SDK knows, at every depth."""

from __future__ import annotations

import re
from typing import Any

from azure.mgmt.containerservice import models

from azure_sandbox.arm.containerservice.known_properties import OF_CLUSTERS, OF_POOLS, WITHIN


def names(model: type[Any]) -> dict[str, str]:
    """Return a model's properties: the types, as text, by the names on the wire."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        for name, words in getattr(kind, "__annotations__", {}).items():
            field: Any = kind.__dict__.get(name)
            if hasattr(field, "_rest_name_input"):
                found[field._rest_name_input or name] = str(words)  # noqa: SLF001 - where the SDK keeps the name
    return found


def tree(model: type[Any], seen: tuple[type[Any], ...] = ()) -> dict[str, Any]:
    """Return the nested properties of each property. `*` stands for any name. None stops the check there."""
    found: dict[str, Any] = {}
    for name, words in names(model).items():
        named = re.search(r"_models\.(\w+)", words)
        inner = getattr(models, named[1], None) if named else None
        within = tree(inner, (*seen, inner)) if inner and inner not in seen and names(inner) else None
        found[name] = {"*": within} if re.search(r"[Dd]ict\[", words) else within
    return found


def test_the_known_properties_are_those_of_the_vendors_sdk() -> None:
    vendors = tree(models.ManagedClusterProperties)
    ours = {name: {**within} for name, within in WITHIN.items()}
    ours["aadProfile"].pop("adminUsers")  # read-only
    assert ours == {name: within for name, within in vendors.items() if within}
    assert set(vendors) <= OF_CLUSTERS
    assert set(vendors["agentPoolProfiles"]) <= OF_POOLS
