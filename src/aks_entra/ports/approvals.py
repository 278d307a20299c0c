"""The calls for approvals that people sign at Microsoft Entra ID."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
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


class SigningKey(Protocol):
    """The key to which a person's sign-in commits. It is stored nowhere: it ends with this object."""

    @property
    def until(self) -> datetime:
        """When a signature counts last, by the sign-in's own commitment."""

    def sign(self, statement: Statement) -> SignedApproval:
        """Sign a statement. Whether it counts is decided by its time, and where it is counted."""


class Approvals(Protocol):
    """Signs people in for approvals, and reads signed ones."""

    async def sign_in(
        self, first: Statement, approvers: Approvers, browser: Browser, *, until: datetime | None = None
    ) -> SigningKey:
        """Let a person sign in for a first approval, and return the key that signs it. Refused if Entra refuses it.

        `until`: when the key stops signing. None: an hour after the first approval.
        """

    async def read(self, signed: Iterable[SignedApproval], approvers: Approvers) -> tuple[Signature, ...]:
        """Check the signatures against Entra's keys, and look up memberships that a token omits.

        Its keys are those that it publishes now, or those in the file that AKS_ENTRA_ENTRA_KEYS names.

        A signed approval with a wrong signature is returned with its problem. Refused or TryLater if Entra's keys
        cannot be read.
        """
