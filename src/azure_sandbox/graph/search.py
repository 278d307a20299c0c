"""Read `$search` over directory objects: `"property:words"` clauses, joined by AND or OR, that match starts of words.

Source: Graph's search-query-parameter page. It needs the header `ConsistencyLevel: eventual`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from azure_sandbox.graph import errors

_CLAUSE = re.compile(r'\s*"(?P<property>\w+):(?P<words>[^"]*)"')
_JOINT = re.compile(r"\s+(?P<word>AND|OR)\b", re.IGNORECASE)
_NEEDS = (
    "Request with $search query parameter only works through MSGraph with a special request header: 'ConsistencyLevel: "
    "eventual'"
)
Test = Callable[[dict[str, Any]], bool]


def compile_search(text: str, properties: frozenset[str], *, eventual: bool) -> Test:
    """Return a test for documents; raises 400 without the header or for a malformed search, 501 for a property."""
    if not eventual:
        raise errors.problem(400, "Request_UnsupportedQuery", _NEEDS)
    any_of: list[list[Test]] = [[]]
    position = 0
    while True:
        clause = _CLAUSE.match(text, position)
        if clause is None:
            raise errors.bad_request(f"Unrecognized query argument specified: '{text}'.")
        any_of[-1].append(_test(clause["property"], clause["words"], properties))
        position = clause.end()
        if not text[position:].strip():
            break
        joint = _JOINT.match(text, position)
        if joint is None:
            raise errors.bad_request(f"Unrecognized query argument specified: '{text}'.")
        if joint["word"].upper() == "OR":
            any_of.append([])
        position = joint.end()
    return lambda it: any(all(test(it) for test in tests) for tests in any_of)


def _test(name: str, words: str, properties: frozenset[str]) -> Test:
    if name not in properties:
        raise errors.not_modelled(f"$search over {name!r}; it reads {', '.join(sorted(properties))}")
    wanted = words.casefold().split()

    def matches(document: dict[str, Any]) -> bool:
        there = _words(str(document.get(name) or ""))
        return bool(wanted) and all(any(it.startswith(word) for it in there) for word in wanted)

    return matches


def _words(text: str) -> set[str]:
    """Return the words of a name, split at spaces, case and digits: `aksAdmins2` has `aks`, `admins` and `2`."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=\D)(?=\d)|(?<=\d)(?=\D)", " ", text)
    return {it.casefold() for it in (*re.split(r"[\W_]+", spaced), *text.split(), text) if it}
