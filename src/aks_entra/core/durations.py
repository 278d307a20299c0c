"""Spans and moments of time, as people write them (`2h`) and as ISO 8601 (`PT2H`)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

NEVER: Final = "never"
"""The end of something that has no end, as grants store it and as people see it."""
_PLAIN: Final = re.compile(r"(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?", re.IGNORECASE)
_ISO: Final = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?", re.IGNORECASE
)


def span(text: str) -> timedelta:
    """Read a span such as `45m`, `2h`, `1d12h` or `PT8H`. Raises ValueError for any other text."""
    stripped = text.strip()
    match = _PLAIN.fullmatch(stripped) or _ISO.fullmatch(stripped)
    found = timedelta(**{unit: int(amount) for unit, amount in match.groupdict(0).items()}) if match else timedelta()
    if not found:
        raise ValueError(f"{text!r} is no span of time; write 45m, 2h, 1d or PT8H")
    return found


def iso(wanted: timedelta) -> str:
    """Return ISO 8601 such as `PT2H30M` or `P180D`: PIM refuses weeks, months and years."""
    seconds = int(wanted.total_seconds())
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    clock = "".join(f"{amount}{unit}" for amount, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if amount)
    day = f"{days}D" if days else ""
    return f"P{day}{f'T{clock}' if clock else ''}" if day or clock else "PT0S"


def stamp(moment: datetime) -> str:
    """Return a moment in UTC, to the second: `2026-11-24T10:00:00Z`."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def exact_stamp(moment: datetime) -> str:
    """Return a moment in UTC as evidence has it, to the millisecond: `2026-11-24T10:00:00.000Z`."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime:
    """Read an ISO 8601 moment with an offset, such as `stamp` writes. Returns UTC. Raises ValueError."""
    read = datetime.fromisoformat(text.strip())
    if read.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return read.astimezone(UTC)


def when(text: str) -> datetime | None:
    """Read a moment of a record or a tag, in UTC. A time without an offset is taken for UTC.

    Returns None for a text that is not an ISO 8601 time.
    """
    try:
        read = datetime.fromisoformat(text.strip())
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def in_words(seconds: int) -> str:
    """Return a number of seconds as people write it: `7d`, `1d12h`, `1h30m`, `45s`."""
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{amount}{unit}" for amount, unit in parts if amount) or "0m"
