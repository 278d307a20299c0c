"""At a gate whose approvals are signed, people read that the file of Entra's keys is old, or cannot be read."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aks_entra.host.entra_key_file import warning
from aks_entra.prefect_client.pages import how_to_sign
from aks_entra.settings import Settings

NOW = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(("days", "words"), [(30, ""), (31, "is 31 days old"), (400, "is 400 days old")])
def test_a_file_older_than_thirty_days_is_named_with_its_age_and_how_to_renew_it(
    days: int, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    file.write_text("{}")
    written = (NOW - timedelta(days=days)).timestamp()
    os.utime(file, (written, written))
    found = warning(Settings(entra_keys=str(file)), NOW)
    assert bool(found) is bool(words)
    if words:
        assert f"{file} {words}" in found
        assert f"curl --fail --output {file} https://login.microsoftonline.com/" in found


def test_a_file_that_cannot_be_read_is_named_before_anybody_signs(tmp_path: Path) -> None:
    found = warning(Settings(entra_keys=str(tmp_path / "lost.json")), NOW)
    assert "lost.json cannot be read: No such file or directory" in found


def test_nothing_is_said_where_the_keys_are_read_from_entra() -> None:
    assert warning(Settings(), NOW) == ""


def test_the_warning_is_on_the_page_of_the_gate_before_the_commands() -> None:
    page = how_to_sign("4f1c09aa-1", "sha256:9f31c2d07b1e", "the file `a*b` is old")
    assert page.startswith("**the file \\`a\\*b\\` is old.**\n\n")
    assert how_to_sign("4f1c09aa-1", "sha256:9f31c2d07b1e").startswith("People sign this approval")
