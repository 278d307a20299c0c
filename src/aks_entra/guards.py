"""What surrounds a write: nothing is written to a cluster that moved, and the effect of a write must be there."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from aks_entra.core.cluster import Posture
from aks_entra.core.steps import Guarded
from aks_entra.errors import Diverged, Refused
from aks_entra.ports import Operation
from aks_entra.watch import Watch

AGAIN: Final = "run the plan again: what is left of it is done, nothing is done twice"


def differences(wanted: Guarded, posture: Posture) -> tuple[str, ...]:
    """What a cluster has otherwise than wanted, its CA aside."""
    return replace(wanted, ca=None).differences(Guarded.of(posture), ca_before=None)


def entra_differences(wanted: Guarded, posture: Posture) -> tuple[str, ...]:
    """What of the Entra profile is not as wanted: later steps may have gone on from there."""
    now = Guarded.of(posture)
    return differences(replace(wanted, local_accounts=now.local_accounts, kubernetes_rbac=now.kubernetes_rbac), posture)


def as_expected(expected: Guarded, posture: Posture) -> None:
    """Nothing is written to a cluster that somebody else changed since it was approved. Raises Refused."""
    if found := differences(expected, posture):
        raise Refused(
            f"the cluster is not as the approved plan expects it: {'; '.join(found)}",
            remedy="plan again, and have that plan approved",
        )


def effect_seen(found: tuple[str, ...], prefix: str) -> None:
    """The effect of a write that ended well must be there. Raises Diverged that names what is otherwise."""
    if found:
        raise Diverged(f"{prefix}: {'; '.join(found)}", remedy=f"compare with the activity log, then {AGAIN}")


async def ended_well(watch: Watch, operation: Operation) -> None:
    """Wait for the end of our own operation. Diverged when it did not end well; the effect is checked after it."""
    state = await watch.settled(operation)
    if not state.succeeded:
        raise Diverged(
            f"the operation ended {state.status}{f': {state.message}' if state.message else ''}",
            remedy=f"look at the cluster's activity log, then {AGAIN}",
            code=state.code,
            correlation_id=operation.correlation_id,
        )
