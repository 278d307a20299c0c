"""What was typed after `aks-entra break-glass`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from aks_entra.cli import output


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The arguments and options that were typed."""

    cluster: str
    subscription: str | None
    lasting: timedelta | None  # None: close it now
    reason: str
    ticket: str
    file: Path | None
    fleet: Path | None
    wait: bool
    format_: output.Format = output.Format.TABLE
    approval: Path | None = None  # a signed approval of this opening
