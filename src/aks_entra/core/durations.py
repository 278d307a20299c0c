"""Spans of time as people write them (`2h`, `90m`), and as ISO 8601, which Microsoft Graph reads (`PT2H`)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_PLAIN: Final = re.compile(r"(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?", re.IGNORECASE)
_ISO: Final = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?", re.IGNORECASE
)


def span(text: str) -> timedelta:
    """`45m`, `2h`, `1d12h`, `PT8H`. Raises ValueError for anything else, and for nothing at all."""
    stripped = text.strip()
    match = _PLAIN.fullmatch(stripped) or _ISO.fullmatch(stripped)
    found = timedelta(**{unit: int(amount) for unit, amount in match.groupdict(0).items()}) if match else timedelta()
    if not found:
        raise ValueError(f"{text!r} is no span of time; write 45m, 2h, 1d or PT8H")
    return found


def iso(wanted: timedelta) -> str:
    """ISO 8601 without weeks, months and years, which PIM refuses: `PT2H30M`, `P180D`."""
    seconds = int(wanted.total_seconds())
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    clock = "".join(f"{amount}{unit}" for amount, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if amount)
    day = f"{days}D" if days else ""
    return f"P{day}{f'T{clock}' if clock else ''}" if day or clock else "PT0S"


def stamp(moment: datetime) -> str:
    """A moment in UTC, to the second: `2026-11-24T10:00:00Z`."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def moment(text: str) -> datetime:
    """What `stamp` wrote, or any ISO 8601 moment with an offset, aware and in UTC. Raises ValueError."""
    read = datetime.fromisoformat(text.strip())
    if read.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return read.astimezone(UTC)


def in_words(seconds: int) -> str:
    """As people write it: `7d`, `1d12h`, `90m` is `1h30m`; seconds only where there are some."""
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{amount}{unit}" for amount, unit in parts if amount) or "0m"
