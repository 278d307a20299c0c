"""The part of the Kusto query language (KQL) that people use to find clusters in Azure Resource Graph.

A query names one table and may use `where`, `extend`, `project`, `project-away`, `order by`, `take`, `distinct`,
`count` and `summarize`. Anything else is an error, never an empty answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from azure_sandbox.arm.resources.kql_values import (
    AGGREGATES,
    COMPARISONS,
    FUNCTIONS,
    Unreadable,
    compare,
    sort_key,
    walk,
)

Row = dict[str, Any]
Expression = Callable[[Row], Any]
TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_$][\w$]*)|(?P<symbol>=~|!~|==|!=|<=|>=|[|()\[\],.<>=*!~-]))"
)
COMMENT = re.compile(r"//[^\n]*")


DEFAULT_TABLE = "resources"
OPERATORS = frozenset(
    {"where", "filter", "extend", "project", "order", "sort", "take", "limit", "distinct", "count", "summarize"}
)


class EndsTooEarly(Unreadable):
    """A query that ends where it has to go on: a mistake in every dialect of KQL."""


def tokens(query: str) -> list[str]:
    """Return the words of a query; raises Unreadable for a character that starts no word."""
    found, at = [], 0
    text = COMMENT.sub("", query).strip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise Unreadable(f"unexpected {text[at : at + 10]!r}")
        found.append(match.group().strip())
        at = match.end()
    return found


class Query:
    """A parsed query; `table` is its table in lower case. Raises Unreadable for a query outside the modelled part."""

    def __init__(self, text: str) -> None:
        self._words = tokens(text)
        self._at = 0
        if not self._words:
            raise Unreadable("the query is empty")
        self._steps: list[Callable[[list[Row]], list[Row]]] = []
        if self._peek().lower() in OPERATORS:  # a query without a table asks for resources
            self.table = DEFAULT_TABLE
            self._steps.append(self._operator())
        else:
            self.table = self._take().lower()
        while self._at < len(self._words):
            self._expect("|")
            self._steps.append(self._operator())

    def run(self, rows: list[Row]) -> list[Row]:
        """Return the result of the query over the rows of its table."""
        for step in self._steps:
            rows = step(rows)
        return rows

    def _peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._words[at] if at < len(self._words) else ""

    def _take(self) -> str:
        word = self._peek()
        if not word:
            raise EndsTooEarly("the query ends too early")
        self._at += 1
        return word

    def _expect(self, word: str) -> None:
        if (found := self._take()).lower() != word:
            raise Unreadable(f"expected {word!r}, found {found!r}")

    def _maybe(self, *words: str) -> str:
        if self._peek().lower() in words:
            return self._take().lower()
        return ""

    def _operator(self) -> Callable[[list[Row]], list[Row]]:  # noqa: C901, PLR0911  # one case per operator
        name = self._take().lower()
        if name == "project" and self._peek() == "-":
            self._take()
            name += f"-{self._take().lower()}"
        match name:
            case "where" | "filter":
                condition = self._either()
                return lambda rows: [it for it in rows if condition(it)]
            case "extend":
                columns = list(self._columns())
                return lambda rows: [{**it, **{key: read(it) for key, read in columns}} for it in rows]
            case "project":
                columns = list(self._columns())
                return lambda rows: [{key: read(it) for key, read in columns} for it in rows]
            case "project-away":
                away = {it.lower() for it in self._names()}
                return lambda rows: [{key: it for key, it in row.items() if key.lower() not in away} for row in rows]
            case "take" | "limit":
                number = int(self._number())
                return lambda rows: rows[:number]
            case "count":
                return lambda rows: [{"Count": len(rows)}]
            case "distinct":
                columns = list(self._columns())
                return lambda rows: _distinct([{key: read(it) for key, read in columns} for it in rows])
            case "order" | "sort":
                return self._order()
            case "summarize":
                return self._summarize()
            case _:
                raise Unreadable(f"the operator {name!r} is not modelled")

    def _number(self) -> float:
        word = self._take()
        try:
            return float(word)
        except ValueError:
            raise Unreadable(f"expected a number, found {word!r}") from None

    def _names(self) -> Iterator[str]:
        yield self._take()
        while self._maybe(","):
            yield self._take()

    def _columns(self) -> Iterator[tuple[str, Expression]]:
        while True:
            start = self._at
            if self._peek(1) == "=":
                name = self._take()
                self._take()
            else:
                name = ""
            read = self._either()
            yield name or self._default_name(start), read
            if not self._maybe(","):
                return

    def _default_name(self, start: int) -> str:
        words = self._words[start : self._at]
        return words[0] if len(words) == 1 else "_".join(it for it in words if re.fullmatch(r"\w+", it))

    def _order(self) -> Callable[[list[Row]], list[Row]]:
        self._expect("by")
        keys: list[tuple[Expression, bool]] = []
        while True:
            read = self._operand()
            keys.append((read, self._maybe("asc", "desc") != "asc"))
            if not self._maybe(","):
                break

        def order(rows: list[Row]) -> list[Row]:
            for read, down in reversed(keys):
                rows = sorted(rows, key=lambda it, read=read: sort_key(read(it)), reverse=down)  # type: ignore[misc]  # bound now
            return rows

        return order

    def _summarize(self) -> Callable[[list[Row]], list[Row]]:
        wanted: list[tuple[str, Callable[[list[Any]], Any], Expression]] = []
        while True:
            name = ""
            if self._peek(1) == "=":
                name = self._take()
                self._take()
            function = self._take().lower()
            if function not in AGGREGATES:
                raise Unreadable(f"the aggregate {function!r} is not modelled")
            self._expect("(")
            read: Expression = (lambda _: True) if self._peek() == ")" else self._either()
            self._expect(")")
            wanted.append((name or f"{function}_", AGGREGATES[function], read))
            if not self._maybe(","):
                break
        groups = list(self._columns()) if self._maybe("by") else []

        def summarize(rows: list[Row]) -> list[Row]:
            found: dict[str, tuple[Row, list[Row]]] = {}
            for row in rows:
                key = {name: read(row) for name, read in groups}
                found.setdefault(repr(sorted(key.items(), key=str)), (key, []))[1].append(row)
            if not groups and not found:
                found[""] = ({}, [])
            return [
                {**key, **{name: fold([read(it) for it in members]) for name, fold, read in wanted}}
                for key, members in found.values()
            ]

        return summarize

    def _either(self) -> Expression:
        read = self._both()
        while self._maybe("or"):
            one, other = read, self._both()
            read = lambda row, one=one, other=other: bool(one(row)) or bool(other(row))  # type: ignore[misc]  # noqa: E731  # folded
        return read

    def _both(self) -> Expression:
        read = self._comparison()
        while self._maybe("and"):
            one, other = read, self._comparison()
            read = lambda row, one=one, other=other: bool(one(row)) and bool(other(row))  # type: ignore[misc]  # noqa: E731  # folded
        return read

    def _comparison(self) -> Expression:
        left = self._operand()
        word = self._peek().lower()
        if word == "!":
            self._take()
            inside = self._membership(left)
            return lambda row: not inside(row)
        if word == "in":
            return self._membership(left)
        if word not in COMPARISONS:
            return left
        self._take()
        right = self._operand()
        return lambda row: compare(word, left(row), right(row))

    def _membership(self, left: Expression) -> Expression:
        self._expect("in")
        loose = bool(self._maybe("~"))
        self._expect("(")
        members = [self._operand()]
        while self._maybe(","):
            members.append(self._operand())
        self._expect(")")
        return lambda row: any(compare("=~" if loose else "==", left(row), it(row)) for it in members)

    def _operand(self) -> Expression:
        word = self._take()
        if word == "(":
            read = self._either()
            self._expect(")")
        elif word[0] in "'\"":
            text = word[1:-1].replace("\\", "")
            read = lambda _: text  # noqa: E731  # a constant
        elif word[0].isdigit():
            number = float(word) if "." in word else int(word)
            read = lambda _: number  # noqa: E731  # a constant
        elif word.lower() in {"true", "false"}:
            truth = word.lower() == "true"
            read = lambda _: truth  # noqa: E731  # a constant
        elif self._peek() == "(" and re.fullmatch(r"\w+", word):
            read = self._call(word.lower())
        elif word.lower() in OPERATORS and not self._peek():
            raise EndsTooEarly("the query ends too early")
        elif re.fullmatch(r"[A-Za-z_$][\w$]*", word):
            read = lambda row: walk(row, word)  # noqa: E731  # a column
        else:
            raise Unreadable(f"unexpected {word!r}")
        return self._path(read)

    def _path(self, read: Expression) -> Expression:
        while self._peek() in {".", "["}:
            if self._take() == ".":
                step: Any = self._take()
            else:
                word = self._take()
                step = int(word) if word.isdigit() else word.strip("'\"")
                self._expect("]")
            read = lambda row, before=read, step=step: walk(before(row), step)  # type: ignore[misc]  # noqa: E731  # folded
        return read

    def _call(self, name: str) -> Expression:
        function = FUNCTIONS.get(name)
        if function is None:
            raise Unreadable(f"the function {name!r} is not modelled")
        self._expect("(")
        arguments = [] if self._peek() == ")" else [self._either()]
        while self._maybe(","):
            arguments.append(self._either())
        self._expect(")")
        return lambda row: function(*(it(row) for it in arguments))


def _distinct(rows: list[Row]) -> list[Row]:
    seen: dict[str, Row] = {}
    for it in rows:
        seen.setdefault(repr(it), it)
    return list(seen.values())
