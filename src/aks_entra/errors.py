"""Errors named by what must happen next. Adapters alone translate a service's answer into one of them."""

from __future__ import annotations

import math
from typing import Final

from aks_entra.text.safe import for_log, lines_for_terminal

LONGEST_WAIT: Final = 600.0
"""Seconds after which what may pass is tried again where the time that was named is none."""


class AksEntraError(Exception):
    """Something that a person has to know. `remedy` says what to do next; the other attributes say where it happened.

    `field` is the path in the fleet file that the error is about, such as `clusters[0].name`. It is empty for an error
    about something else. `code` and `correlation_id` are the service's own (ARM's `x-ms-correlation-request-id`,
    Graph's `request-id`). As a string the error is one line, and one more for the remedy: text from a service cannot
    add a line to a log or a terminal.
    """

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        field: str = "",
        cluster: str = "",
        step: str = "",
        code: str = "",
        status: int | None = None,
        correlation_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.field = field
        self.cluster = cluster
        self.step = step
        self.code = code
        self.status = status
        self.correlation_id = correlation_id

    def located(self, *, cluster: str, step: str) -> AksEntraError:
        """Fill in where it happened, unless that is known already; returns itself."""
        self.cluster = self.cluster or cluster
        self.step = self.step or step
        return self

    def __str__(self) -> str:
        where = " · ".join(part for part in (self.cluster, self.step) if part)
        source = ", ".join(
            part
            for part in (
                self.code,
                f"HTTP {self.status}" if self.status else "",
                f"correlation id {self.correlation_id}" if self.correlation_id else "",
            )
            if part
        )
        message = self._lines_of(self.message)
        message = f"`{for_log(self.field)}`: {message}" if self.field else message
        text = f"{for_log(where)}: {message}" if where else message
        text = f"{text} ({for_log(source)})" if source else text
        return f"{text}\n  → {for_log(self.remedy)}" if self.remedy else text

    def _lines_of(self, message: str) -> str:
        return for_log(message)


class Refused(AksEntraError):
    """Nothing was touched; a person decides."""


class SeveralRefused(Refused):
    """Several problems of one file. Each part of the message was made safe already, and has a line of its own."""

    def _lines_of(self, message: str) -> str:
        return lines_for_terminal(message)


class TryLater(AksEntraError):
    """Throttled, still provisioning, not yet replicated: the only kind that is retried.

    `after` is in seconds, and always a number: adapters bound what a service asks for.
    """

    def __init__(self, message: str, *, after: float = 10.0, **details: str | int | None) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]  # the keywords of the base class, passed through
        self.after = max(after, 0.0) if math.isfinite(after) else LONGEST_WAIT


class Rejected(AksEntraError):
    """Retrying is useless; this write did not happen."""


class Diverged(AksEntraError):
    """Written, but reality disagrees: the stage stops and offers the way back."""


def unexpected(error: BaseException) -> str:
    """Return the message for an error that is none of the four, in one line with its class."""
    return f"unexpected error: {type(error).__name__}: {' '.join(str(error).split()) or 'no further text'}"
