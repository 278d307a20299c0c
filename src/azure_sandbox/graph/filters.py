"""Read `$filter`, for the clauses that clients use: comparisons, in, startswith, endswith, any, and, or, not.

An unknown clause is refused. If it were ignored, the answer would contain objects that the client did not ask for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure_sandbox.graph import errors
from azure_sandbox.graph.properties import NOT_MODELLED

Literal = str | bool | int | None
Test = Callable[[dict[str, Any]], bool]
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<moment>\d{4}-\d\d-\d\d(?:T[\d:.]+)?Z?)|"
    r"(?P<number>-?\d+)(?![\w-])|(?P<name>[A-Za-z_][\w]*)|(?P<mark>[(),/:]))"
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def compile_filter(text: str, properties: frozenset[str], *, advanced: bool) -> Test:
    """Return a test for documents; raises Graph's 400, or 501 for an operator that only the real Graph has.

    `advanced`: the request has `ConsistencyLevel: eventual` and `$count=true`. Without them `ne`, `not` and `endsWith`
    are refused.
    """
    return _Parser(text, properties, advanced=advanced).whole()


class _Parser:
    def __init__(self, text: str, properties: frozenset[str], *, advanced: bool) -> None:
        self._text = text
        self._properties = properties
        self._advanced = advanced
        self._tokens = list(self._scan())
        self._at = 0

    def whole(self) -> Test:
        test = self._either()
        if self._at != len(self._tokens):
            raise self._invalid()
        return test

    def _scan(self) -> list[_Token]:
        found: list[_Token] = []
        position, text = 0, self._text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise self._invalid()
            found.append(_Token(match.lastgroup, match[match.lastgroup]))
            position = match.end()
        return found

    def _invalid(self) -> Exception:
        return errors.bad_request(f"Invalid filter clause: {self._text}")

    def _peek(self) -> str:
        return self._tokens[self._at].text if self._at < len(self._tokens) else ""

    def _take(self, kind: str | None = None, text: str | None = None) -> str:
        if self._at >= len(self._tokens):
            raise self._invalid()
        token = self._tokens[self._at]
        if (kind is not None and token.kind != kind) or (text is not None and token.text.lower() != text):
            raise self._invalid()
        self._at += 1
        return token.text

    def _either(self) -> Test:
        tests = [self._both()]
        while self._peek().lower() == "or":
            self._take()
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda it: any(test(it) for test in tests)

    def _both(self) -> Test:
        tests = [self._clause()]
        while self._peek().lower() == "and":
            self._take()
            tests.append(self._clause())
        return tests[0] if len(tests) == 1 else lambda it: all(test(it) for test in tests)

    def _clause(self) -> Test:
        if self._peek() == "(":
            self._take()
            test = self._either()
            self._take(text=")")
            return test
        name = self._take("name")
        if name.lower() == "not":
            self._must_be_advanced("not")
            inner = self._clause()
            return lambda it: not inner(it)
        if self._peek() == "(":
            return self._function(name)
        if self._peek() == "/":
            following = self._tokens[self._at + 1].text if self._at + 1 < len(self._tokens) else ""
            if following.lower() in {"any", "all"}:
                return self._any(self._property(name))
            self._take()
            name = f"{name}/{self._take('name')}"
        return self._comparison(self._property(name))

    def _property(self, name: str) -> str:
        # Names ignore case: AKS's documentation writes `displayname eq '…'`.
        name = next((it for it in self._properties if it.lower() == name.lower()), name)
        if name in NOT_MODELLED:
            raise errors.not_modelled(f"the property {name!r} in $filter")
        if name not in self._properties:
            raise errors.bad_request(f"Invalid filter clause: could not find a property named '{name}'.")
        return name

    def _function(self, name: str) -> Test:
        if name.lower() not in {"startswith", "endswith"}:
            raise errors.not_modelled(f"{name}() in $filter")
        if name.lower() == "endswith":
            self._must_be_advanced("endswith")
        self._take(text="(")
        wanted = self._property(self._take("name"))
        self._take(text=",")
        prefix = self._literal()
        self._take(text=")")
        if not isinstance(prefix, str):
            raise self._invalid()
        if name.lower() == "endswith":
            return lambda it: str(_value(it, wanted) or "").casefold().endswith(prefix.casefold())
        return lambda it: str(_value(it, wanted) or "").casefold().startswith(prefix.casefold())

    def _must_be_advanced(self, word: str) -> None:
        if not self._advanced:
            raise errors.problem(
                400,
                "Request_UnsupportedQuery",
                f"Operator '{word}' needs the header ConsistencyLevel: eventual and $count=true.",
            )

    def _any(self, name: str) -> Test:
        self._take(text="/")
        self._take("name", "any")
        self._take(text="(")
        variable = self._take("name")
        self._take(text=":")
        if self._take("name") != variable:
            raise self._invalid()
        self._take("name", "eq")
        wanted = self._literal()
        self._take(text=")")
        return lambda it: any(_equal(value, wanted) for value in _value(it, name) or [])

    def _comparison(self, name: str) -> Test:
        match self._take("name").lower():
            case "eq":
                wanted = self._literal()
                return lambda it: _equal(_value(it, name), wanted)
            case "ne":
                self._must_be_advanced("ne")
                unwanted = self._literal()
                return lambda it: not _equal(_value(it, name), unwanted)
            case "in":
                choices = self._list()
                return lambda it: any(_equal(_value(it, name), choice) for choice in choices)
            case "ge" | "le" | "gt" | "lt" as word:
                bound = self._literal()
                return lambda it: _ordered(word, _value(it, name), bound)
            case word:
                raise errors.not_modelled(f"the operator {word!r} in $filter")

    def _list(self) -> list[Literal]:
        self._take(text="(")
        values = [self._literal()]
        while self._peek() == ",":
            self._take()
            values.append(self._literal())
        self._take(text=")")
        return values

    def _literal(self) -> Literal:
        kind = self._tokens[self._at].kind if self._at < len(self._tokens) else ""
        text = self._take()
        if kind == "number":
            return int(text)
        if kind == "moment":
            return text if "T" in text else f"{text}T00:00:00Z"
        if text.startswith("'"):
            return text[1:-1].replace("''", "'")
        if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        if text.lower() == "null":
            return None
        raise self._invalid()


def _value(document: dict[str, Any], name: str) -> Any:
    """Return a property of a document, or a nested one (`status/errorCode`)."""
    found: Any = document
    for part in name.split("/"):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _equal(left: Any, right: Literal) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.casefold() == right.casefold()
    return bool(left == right)


def _ordered(word: str, left: Any, right: Literal) -> bool:
    if left is None or right is None or isinstance(left, bool) or isinstance(right, bool):
        return False
    one, other = _comparable(left), _comparable(right)
    if type(one) is not type(other):
        return False
    order: int = (one > other) - (one < other)
    return {"ge": order >= 0, "le": order <= 0, "gt": order > 0, "lt": order < 0}[word]


def _comparable(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value).timestamp() if "T" in value else value.casefold()
    except ValueError:
        return value.casefold()
