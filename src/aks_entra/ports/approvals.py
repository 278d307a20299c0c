"""The calls for approvals that people sign at Microsoft Entra ID."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aks_entra.core.planning.approvers import Approvers
    from aks_entra.core.planning.signed_approval import Signature, SignedApproval, Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """How a person reaches Entra's page. `tell` shows a line to the person; `open` opens an address.

    `pasted` asks for the address at which a browser on another machine ended. None: the browser is on this machine.
    """

    tell: Callable[[str], None]
    open: Callable[[str], object]
    pasted: Callable[[], str] | None = None


class Approvals(Protocol):
    """Signs approvals in the name of a person, and reads signed ones."""

    async def sign(
        self, statements: tuple[Statement, ...], approvers: Approvers, browser: Browser
    ) -> tuple[SignedApproval, ...]:
        """Sign one or more statements with one sign-in, which commits to the first. Refused if Entra refuses it.

        The key that signs lives in the memory of this call alone.
        """

    async def read(self, signed: Iterable[SignedApproval], approvers: Approvers) -> tuple[Signature, ...]:
        """Check the signatures against the keys that Entra publishes now, and look up memberships that a token omits.

        A signed approval with a wrong signature is returned with its problem. Refused or TryLater if Entra's keys
        cannot be read.
        """
