"""Errors named by what must happen next. Adapters alone translate a service's answer into one of them."""

from __future__ import annotations


class AksEntraError(Exception):
    """Something that a person has to know. `remedy` says what to do next; the rest says where it came from.

    `code` and `correlation_id` are the service's own (ARM's `x-ms-correlation-request-id`, Graph's `request-id`).
    """

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        cluster: str = "",
        step: str = "",
        code: str = "",
        status: int | None = None,
        correlation_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
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
        text = f"{where}: {self.message}" if where else self.message
        text = f"{text} ({source})" if source else text
        return f"{text}\n  → {self.remedy}" if self.remedy else text


class Refused(AksEntraError):
    """Nothing was touched; a person decides."""


class TryLater(AksEntraError):
    """Throttled, still provisioning, not yet replicated: the only kind that is retried. `after` is in seconds."""

    def __init__(self, message: str, *, after: float = 10.0, **details: str | int | None) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]  # the keywords of the base class, passed through
        self.after = after


class Rejected(AksEntraError):
    """Retrying is useless; this write did not happen."""


class Diverged(AksEntraError):
    """Written, but reality disagrees: the stage stops and offers the way back."""
