"""Guards around a write: a cluster that changed is not written, and ARM must show the effect of a write."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from typing import Final

from aks_entra.core.cluster import CertificateAuthority, Posture
from aks_entra.core.evidence.break_glass import opening_on
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.steps import Guarded, Step, writes
from aks_entra.errors import Diverged, Refused
from aks_entra.execution.operations import Watch
from aks_entra.ports.operations import Operation

AGAIN: Final = "run the plan again: it does what is left, and nothing twice"


def differences(wanted: Guarded, posture: Posture) -> tuple[str, ...]:
    """Return the differences between a cluster and the wanted state, without its CA."""
    return replace(wanted, ca=None).differences(Guarded.of(posture), ca_before=None)


def entra_differences(wanted: Guarded, posture: Posture) -> tuple[str, ...]:
    """Return the differences in the Entra profile alone, because later steps may have changed the rest."""
    now = Guarded.of(posture)
    return differences(replace(wanted, local_accounts=now.local_accounts, kubernetes_rbac=now.kubernetes_rbac), posture)


def expected_before(plan: ClusterPlan, step: Step, groups: dict[str, str]) -> Guarded:
    """Return the state that the approved steps before this one lead to. The CA is compared separately."""
    state = plan.before
    for earlier in takewhile(lambda one: one != step, plan.steps):
        if writes(earlier):
            state = state.after(earlier)
    return replace(state.resolved(groups), ca=None)


def as_expected(expected: Guarded, posture: Posture) -> None:
    """Raise Refused if somebody else changed the cluster since the approval."""
    if found := differences(expected, posture):
        raise Refused(
            f"the cluster is not as the approved plan expects it: {'; '.join(found)}",
            remedy="plan again, and have that plan approved",
        )


def not_through_break_glass(plan: ClusterPlan, posture: Posture, left: tuple[Step, ...]) -> None:
    """Raise Refused while break-glass is open, so that a migration neither closes it nor ends its credential."""
    opening = opening_on(posture.tags)
    if opening and posture.local_accounts and not plan.restores and any(writes(step) for step in left):
        raise Refused(
            f"local accounts are open by break-glass until {opening.until}: {opening.reason}",
            remedy=f"wait for its end, or close it: `aks-entra break-glass {posture.cluster} --close`",
            code="BreakGlassOpen",
        )


def same_ca(now: CertificateAuthority, ca_before: str) -> None:
    """Raise Refused if the CA changed: a process that was suspended must not rotate a second time."""
    if now.fingerprint != ca_before:
        raise Refused(
            "the CA is not the one in the plan any more: somebody rotated the certificates in the meantime",
            remedy=f"find out who did (the cluster's activity log), then {AGAIN}",
        )


async def nobody_else() -> None:
    """Allow every write. A process that a person started by hand holds no lease."""


def effect_seen(found: tuple[str, ...], prefix: str) -> None:
    """Raise Diverged if ARM does not show the effect of a write that succeeded. `found` names the differences."""
    if found:
        raise Diverged(f"{prefix}: {'; '.join(found)}", remedy=f"compare with the activity log, then {AGAIN}")


async def ended_well(watch: Watch, operation: Operation) -> None:
    """Wait for the end of our own operation. Raise Diverged if it failed. The caller checks the effect afterwards."""
    state = await watch.settled(operation)
    if not state.succeeded:
        raise Diverged(
            f"the operation ended {state.status}{f': {state.message}' if state.message else ''}",
            remedy=f"look at the cluster's activity log, then {AGAIN}",
            code=state.code,
            correlation_id=operation.correlation_id,
        )
