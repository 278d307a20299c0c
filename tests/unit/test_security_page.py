"""docs/security.md: every row of its tables names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.partition("## Attack")[2].splitlines() if line.startswith("| ") and "::" in line]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)(?:\[[^`]*\])?`", "\n".join(ROWS))))


@cache
def _tests_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_row_names_a_test() -> None:
    assert len(ROWS) >= 60
    assert all(re.search(r"`tests/[\w/]+\.py::test_\w+", row) for row in ROWS)


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_it_exists(file: str, name: str) -> None:
    assert name in _tests_in(file)
