"""The OData options of Graph's reads: `$filter`, `$search`, `$orderby`, `$select`, `$expand`, `$count` and paging."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from azure_sandbox.front.http import Reply, Request
from azure_sandbox.graph import errors, expansion, search
from azure_sandbox.graph.documents import DEFAULTS, ROOT, Document
from azure_sandbox.graph.filters import compile_filter
from azure_sandbox.graph.properties import NOT_MODELLED

PAGE = 100
LARGEST_PAGE = 999
Expands = expansion.Expands
_SORTED = "Sorting not supported for current query."


def understood(request: Request, *options: str) -> None:
    """Raise 501 for a query option that is not among `options`, because this read would ignore it."""
    for name in request.query:
        if name.lower() not in options:
            raise errors.not_modelled(f"the option {name!r} on {request.method} {request.path}")


def option(request: Request, name: str) -> str | None:
    """Return the value of an option, or None; names ignore case."""
    return next((value for key, value in request.query.items() if key.lower() == name), None)


def entity(
    request: Request,
    shown: Document,
    context: str,
    *,
    defaults: Iterable[str] | None = None,
    expands: Expands | None = None,
) -> Reply:
    """Return the reply with one object, after `$select` and, if there are `expands`, `$expand`."""
    understood(request, "$select", *(["$expand"] if expands else []))
    wanted = expansion.wanted(request, option(request, "$expand"), expands)
    body = {"@odata.context": f"{ROOT}/$metadata#{context}/$entity", **_selected(request, shown, defaults)}
    return Reply(body=body | {name: make(shown) for name, make in wanted.items()})


def count(request: Request, shown: Iterable[Document], properties: Iterable[str]) -> Reply:
    """Return the reply with the number of documents that pass `$filter`, as plain text."""
    understood(request, "$filter")
    if request.headers.get("ConsistencyLevel", "").lower() != "eventual":
        raise errors.bad_request("$count needs the header ConsistencyLevel: eventual.")
    clause = option(request, "$filter")
    test = compile_filter(clause, frozenset(properties), advanced=True) if clause else None
    return Reply(body=str(sum(1 for it in shown if test is None or test(it))))


def page(  # noqa: PLR0913  # one argument per option of a collection
    request: Request,
    shown: Iterable[Document],
    context: str,
    properties: Iterable[str],
    *,
    defaults: Iterable[str] | None = None,
    expands: Expands | None = None,
    searches: Iterable[str] = (),
    size: int = PAGE,
    largest: int = LARGEST_PAGE,
) -> Reply:
    """Return the reply with a page of a collection, after all options of the query.

    `searches` are the properties that `$search` reads, `expands` those that `$expand` adds. Without them the option is
    answered with 501. `size` is the default of `$top`, `largest` its maximum.
    """
    more = [*(["$expand"] if expands else []), *(["$search"] if searches else [])]
    understood(request, "$filter", "$select", "$top", "$skiptoken", "$count", "$orderby", *more)
    known = frozenset(properties)
    eventual = request.headers.get("ConsistencyLevel", "").lower() == "eventual"
    advanced = eventual and _counts(request)
    found = list(shown)
    if (clause := option(request, "$filter")) is not None:
        test = compile_filter(clause, known, advanced=advanced)
        found = [it for it in found if test(it)]
    if (words := option(request, "$search")) is not None:
        matches = search.compile_search(words, frozenset(searches), eventual=eventual)
        found = [it for it in found if matches(it)]
    if (order := option(request, "$orderby")) is not None:
        if clause is not None and not advanced and known & {"securityEnabled", "accountEnabled"}:
            raise errors.problem(400, "Request_UnsupportedQuery", _SORTED)
        found = _sorted(found, order, known)
    wanted = expansion.wanted(request, option(request, "$expand"), expands)
    if wanted and eventual and (words is not None or _counts(request)):
        raise errors.problem(400, "Request_UnsupportedQuery", "$expand is not supported with advanced queries.")
    length, start = _size(request, size, largest), _start(request)
    body: dict[str, Any] = {"@odata.context": f"{ROOT}/$metadata#{context}"}
    if _counts(request) and not start:
        if not eventual:
            raise errors.bad_request("$count needs the header ConsistencyLevel: eventual.")
        body["@odata.count"] = len(found)
    if len(found) > start + length:
        body["@odata.nextLink"] = _next(request, start + length)
    body["value"] = [
        _selected(request, it, defaults, known) | {name: make(it) for name, make in wanted.items()}
        for it in found[start : start + length]
    ]
    return Reply(body=body)


def _counts(request: Request) -> bool:
    return (option(request, "$count") or "").lower() == "true"


def _size(request: Request, size: int, largest: int) -> int:
    text = option(request, "$top")
    if text is None:
        return size
    if not (text.isdecimal() and 1 <= int(text) <= largest):
        raise errors.bad_request(f"Invalid page size specified: '{text}'. Must be between 1 and {largest} inclusive.")
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
        of_type = DEFAULTS.get(str(shown.get("@odata.type")), frozenset(shown))
        names = frozenset(defaults) if defaults is not None else of_type
        return {name: value for name, value in shown.items() if name in names or name.startswith("@")}
    wanted = [name.strip() for name in clause.split(",")]
    for name in wanted:
        if name in NOT_MODELLED:
            raise errors.not_modelled(f"the property {name!r}")
        if name not in shown and (known is None or name not in known):
            raise errors.bad_request(
                f"Parsing OData Select and Expand failed: Could not find a property named '{name}'."
            )
    return {name: value for name, value in shown.items() if name in wanted or name.startswith("@")}
