"""Checks the signatures of approvals in a session of its own, because a batch opens its session when it may write."""

from __future__ import annotations

from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.signed_approval import Signature, SignedApproval
from aks_entra.settings import Settings
from tasks.session import open_session


async def read_signatures(signed: tuple[SignedApproval, ...], approvers: Approvers) -> tuple[Signature, ...]:
    """Return the sign-ins behind signed approvals, or what is wrong with their signatures."""
    async with open_session(Settings()) as session:
        port = session.ports.approvals
        assert port is not None  # noqa: S101 - a session on the real services has every port
        return await port.read(signed, approvers)
