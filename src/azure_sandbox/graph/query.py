"""OData's options on Graph's reads: which are understood, how a page is cut, how a document is narrowed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from azure_sandbox.graph import errors
from azure_sandbox.graph.documents import ROOT, Document
from azure_sandbox.graph.filters import compile_filter
from azure_sandbox.http import Reply, Request

PAGE = 100
LARGEST_PAGE = 999


def understood(request: Request, *options: str) -> None:
    """Raises 501 when the query holds an option that this read would otherwise ignore."""
    for name in request.query:
        if name.lower() not in options:
            raise errors.not_modelled(f"the option {name!r} on {request.method} {request.path}")


def option(request: Request, name: str) -> str | None:
    """An option's value; names ignore case."""
    return next((value for key, value in request.query.items() if key.lower() == name), None)


def entity(request: Request, shown: Document, context: str, *, defaults: Iterable[str] | None = None) -> Reply:
    """One object: `$select` only."""
    understood(request, "$select")
    return Reply(body={"@odata.context": f"{ROOT}/$metadata#{context}/$entity", **_selected(request, shown, defaults)})


def count(request: Request, shown: Iterable[Document], properties: Iterable[str]) -> Reply:
    """How many there are, as plain text."""
    understood(request, "$filter")
    if request.headers.get("ConsistencyLevel", "").lower() != "eventual":
        raise errors.bad_request("$count needs the header ConsistencyLevel: eventual.")
    clause = option(request, "$filter")
    test = compile_filter(clause, frozenset(properties), advanced=True) if clause else None
    return Reply(body=str(sum(1 for it in shown if test is None or test(it))))


def page(
    request: Request,
    shown: Iterable[Document],
    context: str,
    properties: Iterable[str],
    *,
    defaults: Iterable[str] | None = None,
) -> Reply:
    """A collection: filtered, sorted, cut to a page, narrowed."""
    understood(request, "$filter", "$select", "$top", "$skiptoken", "$count", "$orderby")
    known = frozenset(properties)
    advanced = request.headers.get("ConsistencyLevel", "").lower() == "eventual" and _counts(request)
    found = list(shown)
    if (clause := option(request, "$filter")) is not None:
        test = compile_filter(clause, known, advanced=advanced)
        found = [it for it in found if test(it)]
    if (order := option(request, "$orderby")) is not None:
        found = _sorted(found, order, known)
    size, start = _size(request), _start(request)
    body: dict[str, Any] = {"@odata.context": f"{ROOT}/$metadata#{context}"}
    if _counts(request) and not start:
        if request.headers.get("ConsistencyLevel", "").lower() != "eventual":
            raise errors.bad_request("$count needs the header ConsistencyLevel: eventual.")
        body["@odata.count"] = len(found)
    if len(found) > start + size:
        body["@odata.nextLink"] = _next(request, start + size)
    body["value"] = [_selected(request, it, defaults, known) for it in found[start : start + size]]
    return Reply(body=body)


def _counts(request: Request) -> bool:
    return (option(request, "$count") or "").lower() == "true"


def _size(request: Request) -> int:
    text = option(request, "$top")
    if text is None:
        return PAGE
    if not (text.isdecimal() and 1 <= int(text) <= LARGEST_PAGE):
        raise errors.bad_request(f"Invalid page size specified: '{text}'. Must be between 1 and 999 inclusive.")
    return int(text)


def _start(request: Request) -> int:
    text = option(request, "$skiptoken")
    if text is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(text))
    except (ValueError, binascii.Error) as error:
        raise errors.bad_request("The specified page token value is invalid.") from error


def _next(request: Request, start: int) -> str:
    token = base64.urlsafe_b64encode(str(start).encode()).decode()
    options: Mapping[str, str] = {**{k: v for k, v in request.query.items() if k.lower() != "$skiptoken"}}
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in {**options, "$skiptoken": token}.items())
    return f"https://{request.host}{quote(request.path)}?{query}"


def _sorted(found: list[Document], order: str, known: frozenset[str]) -> list[Document]:
    name, _, direction = order.strip().partition(" ")
    if name not in known or direction.strip().lower() not in {"", "asc", "desc"}:
        raise errors.not_modelled(f"$orderby={order}")
    return sorted(found, key=lambda it: str(it.get(name) or "").casefold(), reverse=direction.strip().lower() == "desc")


def _selected(
    request: Request, shown: Document, defaults: Iterable[str] | None, known: frozenset[str] | None = None
) -> Document:
    clause = option(request, "$select")
    if clause is None:
        names = tuple(defaults) if defaults is not None else tuple(shown)
        return {name: value for name, value in shown.items() if name in names or name.startswith("@")}
    wanted = [name.strip() for name in clause.split(",")]
    for name in wanted:
        if name not in shown and (known is None or name not in known):
            raise errors.bad_request(
                f"Parsing OData Select and Expand failed: Could not find a property named '{name}'."
            )
    return {name: value for name, value in shown.items() if name in wanted or name.startswith("@")}
