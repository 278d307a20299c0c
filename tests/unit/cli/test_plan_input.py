"""What a word names: a file, or the digest of a stored plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from aks_entra.cli.plan_input import is_digest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("540459eeea1f", True),
        (f"sha256:{'0a' * 32}", True),
        ("SHA256:540459EEEA1F", True),
        ("54045", False),
        ("plan.json", False),
        ("540459eeea1g", False),
        (f"{'0a' * 32}f", False),
    ],
)
def test_a_digest_is_told_from_the_name_of_a_file(
    text: str, *, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_digest(text) is expected
    (tmp_path / text).write_text("")
    assert not is_digest(text)
