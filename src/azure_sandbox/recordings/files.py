"""Recordings as files: a JSON list of exchanges, which only its owner can read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

KEYS = {"method", "url", "request", "status", "headers", "response"}


class Unreadable(Exception):
    """The file holds no recording."""


def keep(file: Path, exchanges: list[dict[str, Any]]) -> None:
    """Write a recording to a new file with mode 0600. Raises OSError if the file exists or cannot be made."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(file, flags, 0o600), "w", encoding="utf-8") as made:
        json.dump(exchanges, made, indent=1)
        made.write("\n")


def read(file: Path) -> list[dict[str, Any]]:
    """Return the exchanges of a recording. Raises Unreadable, whose message says why."""
    try:
        exchanges = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unreadable(str(error.strerror)) from error
    except ValueError as error:
        raise Unreadable(f"this is not a recording: {error}") from error
    if not isinstance(exchanges, list) or not exchanges:
        raise Unreadable("this is not a recording: it is no list of exchanges")
    for number, it in enumerate(exchanges):
        if not isinstance(it, dict) or not set(it) >= KEYS or not isinstance(it["headers"], dict):
            raise Unreadable(f"this is not a recording: exchange {number} lacks one of {', '.join(sorted(KEYS))}")
        if not isinstance(it["status"], int) or not isinstance(it["url"], str) or not isinstance(it["method"], str):
            raise Unreadable(f"this is not a recording: status, url or method of exchange {number} has a wrong type")
    return exchanges
