"""How many requests a cluster costs, by the limits that count them for a whole subscription.

`tests/contract/test_requests.py` counts them in the sandbox, and prints this table when it no longer holds. Polls of
running operations are left out: one list serves all clusters of a subscription.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aks_entra.core.estimate.limits import AKS_REST, ARM_READS, ARM_WRITES, Limit
from aks_entra.core.steps import Step

PLAN: Final[Mapping[Limit, int]] = {ARM_READS: 2, ARM_WRITES: 1, AKS_REST: 2}
"""Of one cluster more in a first plan of up to `WINDOWS_UP_TO` clusters."""

WINDOWS_UP_TO: Final = 50
"""Clusters of a plan that reads the maintenance windows of each. Each read takes one of the requests that AKS allows
once a second for all clusters of a subscription, and each cluster's CA takes one already.
"""

START: Final[Mapping[Limit, int]] = {ARM_READS: 1, ARM_WRITES: 1, AKS_REST: 1}
"""Of one cluster more, until the first step of its migration begins."""

STEPS: Final[Mapping[str, Mapping[Limit, int]]] = {
    "enable-entra": {ARM_READS: 2, ARM_WRITES: 1},
    "prove-sign-in": {},
    "record-baseline": {ARM_WRITES: 1, AKS_REST: 1},
    "disable-local-accounts": {ARM_READS: 2, ARM_WRITES: 2, AKS_REST: 1},
    "rotate-certificates": {ARM_READS: 2, ARM_WRITES: 2, AKS_REST: 2},
    "verify-outcome": {ARM_READS: 4, ARM_WRITES: 1, AKS_REST: 1},
}
"""Of each step, by its `kind`."""

_AS_MANY_AS: Final = {
    "update-entra": "enable-entra",
    "enable-local-accounts": "disable-local-accounts",
    "verify-restored": "verify-outcome",
}
"""Rarer steps, each with the one that asks the same questions."""


def requests_of_plan(clusters: int) -> Mapping[Limit, int]:
    """Return the requests of one cluster more in a first plan of this many clusters."""
    if clusters <= WINDOWS_UP_TO:
        return PLAN
    return {**PLAN, ARM_READS: PLAN[ARM_READS] - 1, AKS_REST: PLAN[AKS_REST] - 1}


def requests_of(step: Step | None) -> Mapping[Limit, int]:
    """Return the requests of a step, or until the first one begins (None). A step without a row sends none."""
    return START if step is None else STEPS.get(_AS_MANY_AS.get(step.kind, step.kind), {})
