"""Start and end of a PIM request, and PIM's errors.

Sources: Graph's expirationPattern; entra-wire-facts section 2.8 (azuread#1464: months are refused).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from azure_sandbox.entra import pim_rules


class Refusal(Exception):
    """An error of PIM: a code and a message, sent as 400."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time span from `start` to `end` (None: permanent)."""

    start: datetime
    end: datetime | None

    @property
    def lasts(self) -> timedelta | None:
        """Return the length. Returns None if the span has no end."""
        return None if self.end is None else self.end - self.start


def read(info: Mapping[str, Any] | None, now: datetime) -> Span:
    """Parse a requestSchedule. Raises Refusal."""
    if info is None:
        raise unscheduled()
    expiration = info.get("expiration") or {}
    kind = str(expiration.get("type") or "notSpecified").lower()
    start = max(_when(info.get("startDateTime")) or now, now)
    ends, length = expiration.get("endDateTime"), expiration.get("duration")
    if (kind == "afterdatetime") != (ends is not None) or (kind == "afterduration") != (length is not None):
        raise unscheduled()
    if kind in {"noexpiration", "notspecified"}:
        return Span(start=start, end=None)
    if kind == "afterduration":
        try:
            return Span(start=start, end=start + pim_rules.duration(length))
        except (ValueError, OverflowError) as error:
            raise invalid() from error
    end = _when(ends)
    if kind != "afterdatetime" or end is None or end <= start:
        raise unscheduled()
    return Span(start=start, end=end)


def _when(text: object) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise unscheduled() from error
    if found.tzinfo is None:
        raise unscheduled()
    return found


def invalid() -> Refusal:
    """Return the error for an invalid request."""
    return Refusal("InvalidRoleAssignmentRequest", "The role assignment request is invalid.")


def unscheduled() -> Refusal:
    """Return the error for an invalid schedule."""
    return Refusal("InvalidRoleAssignmentRequestSchedule", "The role assignment request schedule is invalid.")


def exists() -> Refusal:
    """Return the error for an assignment that already exists."""
    return Refusal("RoleAssignmentExists", "The Role assignment already exists.")
