"""When a break-glass opening is over."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aks_entra.core.evidence.break_glass import Opening


@pytest.mark.parametrize(
    ("until", "due"),
    [
        ("2026-11-24T10:00:00Z", True),
        ("2026-11-24T10:00:01Z", False),
        ("2026-11-24T10:00:00", True),  # without a zone it is UTC
        ("2026-11-24T15:00:01+05:00", False),
        ("2026-11-24T05:00:00-05:00", True),
        ("2026-11-24T14:00:00+05:00", True),
        ("soon", True),
    ],
)
def test_an_opening_is_due_at_its_end(until: str, due: bool) -> None:
    assert Opening(until=until, since="", reason="").due(datetime(2026, 11, 24, 10, tzinfo=UTC)) is due
