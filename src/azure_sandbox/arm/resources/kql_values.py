"""Compare, sort and convert the values of the Kusto query language."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any


class Unreadable(Exception):
    """The query is malformed, or the sandbox does not model it."""


def walk(value: Any, step: str | int) -> Any:
    """Return a part of a dynamic value, or None; names of columns ignore case."""
    if isinstance(value, dict):
        if step in value:
            return value[step]
        return next((it for key, it in value.items() if str(key).lower() == str(step).lower()), None)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


def text(value: Any) -> str:
    """Return a value as a string, as `tostring()` does: null is empty."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _has(one: str, other: str) -> bool:
    return re.search(rf"(?<![a-z0-9]){re.escape(other)}(?![a-z0-9])", one) is not None


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _lower(value: Any) -> str:
    return text(value).lower()


def _ordered(word: str, one: Any, other: Any) -> bool:
    left, right = _number(one), _number(other)
    if left is None or right is None:
        return False
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[word]


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return _lower(one) == _lower(other)
    return bool(one == other) or (one is not None and text(one) == text(other))


COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": _equal,
    "!=": lambda one, other: not _equal(one, other),
    "=~": lambda one, other: _lower(one) == _lower(other),
    "!~": lambda one, other: _lower(one) != _lower(other),
    "has": lambda one, other: _has(_lower(one), _lower(other)),
    "contains": lambda one, other: _lower(other) in _lower(one),
    "startswith": lambda one, other: _lower(one).startswith(_lower(other)),
    "endswith": lambda one, other: _lower(one).endswith(_lower(other)),
    "<": lambda one, other: _ordered("<", one, other),
    "<=": lambda one, other: _ordered("<=", one, other),
    ">": lambda one, other: _ordered(">", one, other),
    ">=": lambda one, other: _ordered(">=", one, other),
}


def compare(word: str, one: Any, other: Any) -> bool:
    """Return whether two values compare by an operator, a key of `COMPARISONS`."""
    return COMPARISONS[word](one, other)


def sort_key(value: Any) -> tuple[int, float, str]:
    """Return a key that sorts values of any type: null, then numbers, then strings without regard to case."""
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, int | float):
        return (1, float(value), "")
    return (2, 0.0, _lower(value))


def _truth(value: Any) -> bool | None:
    return {"true": True, "false": False}.get(_lower(value))


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, list | dict) else None


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "tostring": text,
    "tolower": _lower,
    "toupper": lambda value: text(value).upper(),
    "tobool": _truth,
    "toint": lambda value: None if (it := _number(value)) is None else int(it),
    "array_length": _length,
    "isnull": lambda value: value is None,
    "isnotnull": lambda value: value is not None,
    "isempty": lambda value: text(value) == "",
    "isnotempty": lambda value: text(value) != "",
    "not": lambda value: not value,
    "coalesce": lambda *values: next((it for it in values if it is not None), None),
    "iff": lambda condition, one, other: one if condition else other,
    "iif": lambda condition, one, other: one if condition else other,
    "strcat": lambda *values: "".join(map(text, values)),
    "bool": _truth,
}
AGGREGATES: Mapping[str, Callable[[list[Any]], Any]] = {
    "count": len,
    "countif": lambda values: sum(bool(it) for it in values),
    "dcount": lambda values: len({repr(it) for it in values}),
    "sum": lambda values: sum(it for it in values if isinstance(it, int | float)),
    "max": lambda values: max(values, key=sort_key, default=None),
    "min": lambda values: min(values, key=sort_key, default=None),
    "make_list": list,
    "make_set": lambda values: list({repr(it): it for it in values}.values()),
    "any": lambda values: next(iter(values), None),
    "take_any": lambda values: next(iter(values), None),
}
