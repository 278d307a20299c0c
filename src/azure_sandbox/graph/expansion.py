"""Read `$expand`, which adds navigation properties to a document. A nested option is passed on to the property."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from azure_sandbox.front.http import Request
from azure_sandbox.graph import errors
from azure_sandbox.graph.documents import DEFAULTS, Document

Expand = Callable[[Document, str], Any]  # from the document and the nested options, the text in parentheses
Expands = Mapping[str, Expand]
MAX_EXPANDED = 20  # objects per expanded collection, as documented
_ITEM = re.compile(r"\s*(?P<name>\w+)(?:\((?P<inner>.*)\))?\s*")
_SELECT = re.compile(r"\$select=([\w,\s]+)")


def wanted(request: Request, clause: str | None, expands: Expands | None) -> dict[str, Callable[[Document], Any]]:
    """Return the makers of the properties that an `$expand` names, by name.

    Raises 400 if nothing can be expanded here, and 501 for a property that is not modelled.
    """
    found: dict[str, Callable[[Document], Any]] = {}
    for text in _split(clause or ""):
        item = _ITEM.fullmatch(text)
        if item is None or expands is None:
            raise errors.bad_request(f"Parsing OData Select and Expand failed: {clause!r}.")
        make = next((value for name, value in expands.items() if name.lower() == item["name"].lower()), None)
        if make is None:
            raise errors.not_modelled(f"$expand={item['name']} on {request.method} {request.path}")
        found[item["name"]] = _bind(make, item["inner"] or "")
    return found


def _bind(make: Expand, inner: str) -> Callable[[Document], Any]:
    return lambda document: make(document, inner)


def narrowed(shown: Document, inner: str) -> Document:
    """Return an expanded object with the properties of its nested `$select`; raises 501 for other nested options."""
    if not inner:
        names = DEFAULTS.get(str(shown.get("@odata.type")), frozenset(shown))
        return {name: value for name, value in shown.items() if name in names or name.startswith("@")}
    match = _SELECT.fullmatch(inner)
    if match is None:
        raise errors.not_modelled(f"the nested option {inner!r} in $expand")
    chosen = {it.strip() for it in match[1].split(",")}
    return {name: value for name, value in shown.items() if name in chosen or name.startswith("@")}


def _split(clause: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for place, mark in enumerate(clause):
        depth += {"(": 1, ")": -1}.get(mark, 0)
        if mark == "," and depth == 0:
            parts.append(clause[start:place])
            start = place + 1
    return [it for it in (*parts, clause[start:]) if it.strip()]
