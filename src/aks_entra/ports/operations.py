"""Long-running operations of Azure Resource Manager, as the ports describe them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aks_entra.core.cluster import ClusterId


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A long-running operation of ARM: its cluster, and its own URL (polled verbatim; empty when it was lost)."""

    cluster: ClusterId
    url: str
    correlation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationState:
    """The state of an operation. ARM's status is an open set; `Succeeded`, `Failed` and `Canceled` are final."""

    status: str
    code: str = ""
    message: str = ""

    @property
    def terminal(self) -> bool:
        """Whether the operation ended."""
        return self.status.casefold() in {"succeeded", "failed", "canceled"}

    @property
    def succeeded(self) -> bool:
        """Whether the operation succeeded."""
        return self.status.casefold() == "succeeded"
