"""Reads how long a service asks to wait, and bounds it, because a response may contain any number."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST: Final = 120.0
"""The longest wait in seconds. A service that wants a longer wait is called again after it, and can ask again."""
ALOUD: Final = 15.0
"""A wait of at least so many seconds is logged, and the command line shows the log on stderr."""
_MILLISECONDS: Final = ("x-ms-retry-after-ms", "retry-after-ms")
_QUOTA: Final = "x-ms-user-quota-resets-after"  # Azure Resource Graph's, as hh:mm:ss
_log: Final = logging.getLogger(__name__)


def bounded(seconds: float) -> float:
    """Return a wait between 0 and `LONGEST` seconds; 0 for `nan`."""
    return 0.0 if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST)


def asked(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a service asks to wait, bounded. It may name milliseconds, seconds, a date or a span.

    None if it names no time.
    """
    for name in _MILLISECONDS:
        if (milliseconds := _number(headers.get(name))) is not None:
            return bounded(milliseconds / 1000)
    said = headers.get("Retry-After")
    if (seconds := _number(said)) is not None:
        return bounded(seconds)
    if said and (at := _date(said)) is not None:
        return bounded((at - (_date(headers.get("Date") or "") or datetime.now(UTC))).total_seconds())
    return _span(headers.get(_QUOTA))


def tidy(headers: MutableMapping[str, str]) -> float | None:
    """Bound the wait in each header that names one, and remove a header that names no time. Return the seconds.

    SDKs read these headers too: one sleeps without a limit, and others fail if the value is not an integer.
    """
    seconds = asked(headers)
    for name in _MILLISECONDS:
        if name in headers:
            milliseconds = _number(headers[name])
            del headers[name]
            if milliseconds is not None:
                headers[name] = f"{math.ceil(bounded(milliseconds / 1000) * 1000)}"
    if "Retry-After" in headers:
        del headers["Retry-After"]
        if seconds is not None:
            headers["Retry-After"] = f"{math.ceil(seconds)}"
    return seconds


def say(who: str, seconds: float) -> None:
    """Log a wait of at least `ALOUD` seconds. `who` says who asks for it."""
    if seconds >= ALOUD:
        _log.warning("%s: waiting %.0f s", who, seconds)


def _number(text: str | None) -> float | None:
    """Return the finite number in a text, or None."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _span(text: str | None) -> float | None:
    found = re.fullmatch(r"(\d{1,2}):(\d{2}):(\d{2})(?:\.\d+)?", text or "")
    return None if found is None else bounded(int(found[1]) * 3600.0 + int(found[2]) * 60 + int(found[3]))


def _date(text: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
