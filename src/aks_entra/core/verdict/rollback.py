"""Weigh a rollback: what was restored, and what is owed from then on."""

from __future__ import annotations

from typing import Final

from aks_entra.core.cluster import Identity
from aks_entra.core.evidence.observations import CredentialTried, Evidence, Failure, SignInProven, StateSeen
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.verdict.assess import Weights

_OK: Final = 200
CLOSE_AGAIN: Final = "close it again: `aks-entra plan` and `aks-entra migrate`; that plan also rotates the certificates"


def weigh_restored(plan: ClusterPlan, evidence: tuple[Evidence, ...]) -> Weights:
    """Compare the present state with the plan's end, and weigh the way in that is left."""
    seen = Weights()
    for one in evidence:
        if isinstance(one, Failure):
            seen.missing.append(one.message)
            seen.next = seen.next or one.remedy
    state = next((one for one in reversed(evidence) if isinstance(one, StateSeen)), None)
    if state is None:
        seen.missing.append("the final state was not read")
        return seen
    _compare(plan, state, seen)
    if plan.after.local_accounts:
        if any(isinstance(one, CredentialTried) and one.status == _OK for one in evidence):
            seen.proven.append("an admin credential from Azure works")
        else:
            seen.missing.append("no admin credential was seen to work")
    else:
        sign_in = next((one for one in reversed(evidence) if isinstance(one, SignInProven)), None)
        if sign_in is None or not sign_in.by or not sign_in.everything or sign_in.ca != state.ca:
            seen.missing.append("no member signed in")
        else:
            seen.proven.append(f"member signed in by {sign_in.by}")
    return seen


def weigh_owed(plan: ClusterPlan, answer: OldCredentials | None) -> Weights:
    """Weigh what a rollback leaves owed. A cluster that is open is never "verified"."""
    found = Weights()
    if plan.after.local_accounts:
        found.missing.append(
            "local accounts are open: anybody with the right gets admin credentials from Azure; "
            "once they are closed, a rotation is owed"
        )
        found.next = CLOSE_AGAIN
    elif answer is not None and answer.debt is Debt.NONE:
        found.proven.append(f"old credentials dead: {answer.because}")
    else:
        because = answer.because if answer is not None else plan.debt_because
        found.missing.append(f"rotation owed, as far as is known: {because}")
        found.next = CLOSE_AGAIN
    return found


def is_restored(plan: ClusterPlan, evidence: tuple[Evidence, ...]) -> bool:
    """Whether everything that the rollback restores is proven. What is owed from then on does not count."""
    seen = weigh_restored(plan, evidence)
    return not seen.wrong and not seen.missing


def _compare(plan: ClusterPlan, state: StateSeen, seen: Weights) -> None:
    expected = plan.after
    if state.identity != Identity.MANAGED:
        seen.wrong.append(f"Microsoft Entra ID is {state.identity}")
    if state.local_accounts is not expected.local_accounts:
        seen.wrong.append(f"local accounts are {'on' if state.local_accounts else 'off'}")
    if state.azure_rbac is not expected.azure_rbac:
        seen.wrong.append(f"Azure RBAC for Kubernetes is {'on' if state.azure_rbac else 'off'}")
    present = {group.lower() for group in state.admin_group_ids}
    if present != set(expected.admin_groups):
        seen.wrong.append(f"admin groups are {', '.join(sorted(present)) or 'none'}")
    if not seen.wrong:
        seen.proven.append(
            f"restored: local accounts {'on' if state.local_accounts else 'off'}, admin groups as planned"
        )
    if state.provisioning_state.casefold() in {"failed", "canceled"}:
        seen.wrong.append(f"the cluster's last operation ended {state.provisioning_state}")
