"""Every session of a run shares Azure's request buckets with the other runs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(file for room in ("flows", "tasks") for file in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_run_opens_its_sessions_with_shared_buckets(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = [
        one.module
        for one in ast.walk(tree)
        if isinstance(one, ast.ImportFrom) and "open_session" in [name.name for name in one.names]
    ]
    assert set(found) <= {"tasks.session"}


def test_runs_open_sessions() -> None:
    assert any("from tasks.session import open_session" in file.read_text(encoding="utf-8") for file in FILES)
