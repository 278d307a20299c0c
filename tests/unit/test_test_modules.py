"""The tests' own layout."""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]


def imported_by(file: Path) -> set[str]:
    """Return the last part of each module that a file imports, anywhere in it, and each name that it takes from one."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {one.name.rpartition(".")[2] for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").rpartition(".")[2], *(one.name for one in node.names)}
    return found


def test_no_module_imports_a_test_module() -> None:
    modules = {file: file.stem for file in TESTS.rglob("*.py")}
    assert len(modules) > 200
    tests = {stem for stem in modules.values() if stem.startswith("test_")}
    wrong = {str(file.relative_to(TESTS)): sorted(imported_by(file) & tests) for file in modules}
    assert {file: names for file, names in wrong.items() if names} == {}
