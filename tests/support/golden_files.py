"""Compares the texts that people read with the approved ones in `tests/unit/golden/*.txt`.

A message and its remedy are as much part of the product as a decision. After a change on purpose, run
`RENEW_GOLDEN=1 pytest tests/unit -k golden`, and read the diff as a reviewer would. That run skips the tests, so a run
that writes the files never passes.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeGuard

import pytest

FOLDER: Final = Path(__file__).parents[1] / "unit" / "golden"
RENEW: Final = "RENEW_GOLDEN"


def approved(name: str, blocks: Iterable[tuple[str, object]]) -> None:
    """Compare blocks (title, value) with the approved text of that name."""
    path = FOLDER / f"{name}.txt"
    text = "\n".join(f"== {title}\n{rendered(value)}" for title, value in blocks)
    if os.environ.get(RENEW):
        path.write_text(text, encoding="utf-8")
        pytest.skip(f"{path.name} was written anew: read its diff")
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    diff = difflib.unified_diff(before.splitlines(), text.splitlines(), "approved", "now", n=2, lineterm="")
    assert before == text, f"{path.name}: changed on purpose? {RENEW}=1 renews it.\n" + "\n".join(diff)


def rendered(value: object) -> str:
    """Return a value as lines: the fields of a dataclass without those at their default, and the items of a tuple."""
    return "".join(f"{line}\n" for line in _lines(value))


def brief(value: object) -> str:
    """Return a value on one line, for a title."""
    return "; ".join(line.strip() for line in _lines(value)) or "nothing special"


def _lines(value: object) -> Iterator[str]:
    if is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            said = getattr(value, one.name)
            if said == one.default:
                continue
            if _is_many(said):
                yield f"{one.name}:"
                yield from (f"  {line}" for line in _lines(said))
            else:
                yield f"{one.name}: {_word(said)}"
    elif _is_many(value):
        if not value:
            yield "nothing"
        for member in value:
            first, *rest = [*_lines(member)] or ["nothing"]
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _word(value)


def _is_many(value: object) -> TypeGuard[Collection[object]]:
    return isinstance(value, tuple | list)


def _word(value: object) -> str:
    return str(value.value if isinstance(value, Enum) else value) or "''"


def cases(test: Any) -> Iterable[tuple[Any, ...]]:
    """Return the cases of a parametrized test, so that each case becomes a block."""
    (table,) = [mark.args[1] for mark in test.pytestmark if mark.name == "parametrize"]
    return tuple(one if isinstance(one, tuple) else (one,) for one in table)
