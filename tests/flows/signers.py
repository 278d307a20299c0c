"""A fleet file whose approvals two people sign, and these people at work at a gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aks_entra import prefect_client
from aks_entra.core.durations import stamp
from aks_entra.core.planning.signed_approval import Statement
from aks_entra.prefect_client import progress
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tests.flows.approved_writes import Signers
from tests.flows.conftest import APPROVALS, APPROVING
from tests.support.browser import browser_elsewhere

if TYPE_CHECKING:
    from uuid import UUID

    from aks_entra.core.planning.approvers import Approvers
    from aks_entra.core.planning.plan import FleetPlan
    from aks_entra.core.planning.signed_approval import SignedApproval
    from tests.flows.conftest import PrefectStack

TENANT: Final = "7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32"
SIGNED: Final[dict[str, Any]] = {
    "approvers": {
        "tenant_id": TENANT,
        "client_id": APPROVALS,
        "groups": [APPROVING],
        "at_least": 2,
        "not": "requester",
    }
}
"""The part of a rollout that names the approvers."""
ACCEPTED: Final = f"{TENANT}/{APPROVALS}/{APPROVING}"
"""What a worker has as AKS_ENTRA_APPROVERS, so that it begins nothing that others approve."""
BOTH: Final = Signers(people=frozenset({"dana", "glass"}), at_least=2)
"""The members of the group, and how many of them have to sign."""


async def asked_statement(run: UUID) -> tuple[Statement, FleetPlan]:
    """Return what an approval of the gate at which a run waits says, and the plan that it is about."""
    gate = await prefect_client.gate_waiting(str(run))
    plan = await prefect_client.frozen_plan(run)
    assert plan is not None
    said = Statement(
        decision="approve",
        plan=gate.plan,
        facts=plan.facts_digest,
        stage=plan.stages[gate.stage].name,
        side=gate.moment,
        run=str(run),
        reason="as read",
        ticket="CHG-1",
        at=stamp(progress.now()),
    )
    return said, plan


async def sign(stack: PrefectStack, said: Statement, who: str, approvers: Approvers) -> SignedApproval:
    """Let a person sign a statement, and store it where the run that it names looks for it."""
    async with open_session(Settings()) as session:
        assert session.ports.approvals is not None
        browser = browser_elsewhere(stack.sandbox.environment, who)
        signed = (await session.ports.approvals.sign_in(said, approvers, browser)).sign(said)
    await prefect_client.store_signed(signed)
    return signed
