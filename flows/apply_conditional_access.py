"""Apply a Conditional Access policy to sign-ins at the clusters: report-only first, enforced after an approval."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from aks_entra.access.approvers import access_approvers
from aks_entra.access.policy_file import PolicyFile
from aks_entra.core.digests import sha256_of_text
from aks_entra.core.planning.signed_request import SignedRequest
from aks_entra.prefect_client import access_pages, events, signed_requests
from aks_entra.prefect_client.liveness import register
from aks_entra.prefect_client.names import RunName
from aks_entra.prefect_client.run_log import tell
from aks_entra.settings import Settings
from aks_entra.text.safe import for_log
from flows.rollout.signatures import read_signatures
from tasks.access import apply_policy, check_policy
from tasks.session import open_session


@flow(name="apply-conditional-access", flow_run_name=RunName("policy {policy.name}"), persist_result=False)
async def apply_conditional_access(policy: PolicyFile, enforce: bool = False) -> State[Any]:
    """Write the policy report-only. With `enforce`, enforce that same policy once a person has approved it.

    Args:
        policy: its principals, its requirements, and the break-glass accounts that it excludes.
        enforce: enforce the policy that ran report-only.
    """
    await register()
    request = policy.to_request()
    async with open_session(Settings()):
        findings = await check_policy(request, enforce=enforce)
        if enforce:
            decision = await signed_requests.ask(
                sha256_of_text(policy.text),
                "Conditional Access policy",
                lambda: access_pages.policy_question(policy.name, findings),
                about=events.policy_subject(policy.name),
                request=to_sign(policy),
                read=read_signatures,
            )
            tell(f"enforcing it was approved by {decision.by}")
            if decision.decision == "reject":
                return Completed(name="Rejected", message=for_log(f"rejected by {decision.by} ({decision.reason})"))
        applied = await apply_policy(request, enforce=enforce)
        await access_pages.show_policy(policy.name, applied)
    met = sum(one.applied for one in applied.sign_ins or ())
    return Completed(message=for_log(f"{policy.name} {applied.id}: {applied.state}; it applied to {met} sign-ins"))


def to_sign(policy: PolicyFile) -> SignedRequest | None:
    """Return the request that people sign, or None if a typed name is enough. Nobody knows who started the run."""
    approvers = access_approvers(Settings())
    if approvers is None:
        return None
    anybody = replace(approvers, not_requester=False)
    return SignedRequest(subject="Conditional Access policy", text=policy.text, approvers=anybody)
