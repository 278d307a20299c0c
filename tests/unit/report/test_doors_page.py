"""The reference page of the doors is made from the kinds themselves."""

from __future__ import annotations

from pathlib import Path

from aks_entra.report.doors_page import page

WRITTEN = Path(__file__).parents[3] / "docs" / "reference" / "doors.md"


def test_the_reference_is_current() -> None:
    assert WRITTEN.read_text(encoding="utf-8") == page(), "run: make docs"
