"""Checks the signatures of approvals in a session of its own, because a batch opens its session when it may write."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from aks_entra.access.approvers import sign_in_application
from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.signed_approval import Signature, SignedApproval
from aks_entra.prefect_client.checked_signatures import Checked, check_again
from aks_entra.settings import Settings
from tasks.session import open_session


async def read_signatures(signed: tuple[SignedApproval, ...], approvers: Approvers) -> tuple[Signature, ...]:
    """Return the sign-ins behind signed approvals, or what is wrong with their signatures."""
    async with open_session(Settings()) as session:
        port = session.ports.approvals
        assert port is not None  # noqa: S101 - a session on the real services has every port
        return await port.read(signed, approvers)


async def check_signatures(plan: FleetPlan, decisions: Iterable[Approval]) -> Checked:
    """Return what a check of the signed approvals behind decisions about a plan finds now."""
    return await check_again(read_signatures, partial(sign_in_application, Settings()), plan, decisions)
