"""Put a Conditional Access policy in front of the clusters: report-only first; enforcing it waits for an approval."""

from __future__ import annotations

import hashlib
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from aks_entra.policy_file import PolicyFile
from aks_entra.prefect_client import access_pages, approvals
from aks_entra.prefect_client.life import sign_on
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tasks.access import apply_policy, check_policy


@flow(name="apply-conditional-access", flow_run_name="policy {policy.name}", persist_result=False)
async def apply_conditional_access(policy: PolicyFile, enforce: bool = False) -> State[Any]:
    """Write the policy report-only; with `enforce`, enforce the very policy that ran report-only, once approved.

    Args:
        policy: whom it is for, what it asks, and the break-glass accounts that it never reaches.
        enforce: enforce it.
    """
    await sign_on()
    request = policy.to_request()
    async with open_session(Settings()):
        findings = await check_policy(request, enforce=enforce)
        if enforce:
            digest = f"sha256:{hashlib.sha256(policy.model_dump_json().encode()).hexdigest()}"
            decision = await approvals.ask(
                digest, (0, "policy"), "before", lambda: access_pages.policy_question(policy.name, findings)
            )
            if decision.decision == "reject":
                return Completed(name="Rejected", message=f"rejected by {decision.approver} ({decision.reason})")
        applied = await apply_policy(request, enforce=enforce)
        await access_pages.show_policy(policy.name, applied)
    met = sum(one.applied for one in applied.sign_ins or ())
    return Completed(message=f"{policy.name} {applied.id}: {applied.state}; {met} sign-ins met it")
