"""Times in the form of Graph."""

from __future__ import annotations

from datetime import datetime


def moment(value: datetime | None) -> str | None:
    """Return a time in the form that Graph uses, in whole seconds; None stays None."""
    return None if value is None else f"{value:%Y-%m-%dT%H:%M:%SZ}"
