"""How many requests a cluster costs, by the limits that count them for a whole subscription.

`tests/contract/test_requests.py` counts them in the sandbox, and prints this table when it no longer holds. Polls of
running operations are left out: one list serves all clusters of a subscription.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from aks_entra.core.estimate.limits import AKS_REST, ARM_READS, ARM_WRITES, Limit
from aks_entra.core.steps import Step

PLAN: Final[Mapping[Limit, int]] = {ARM_READS: 14, ARM_WRITES: 3, AKS_REST: 4}
"""Of one cluster more in a first plan."""

START: Final[Mapping[Limit, int]] = {ARM_READS: 1, ARM_WRITES: 1, AKS_REST: 1}
"""Of one cluster more, until the first step of its migration begins."""

STEPS: Final[Mapping[str, Mapping[Limit, int]]] = {}
"""Of each step, by its `kind`."""


def requests_of(steps: Iterable[Step]) -> Mapping[Limit, int]:
    """Return the requests of a cluster's migration with these steps. A step without a row costs nothing."""
    found = Counter(START)
    for step in steps:
        found.update(STEPS.get(step.kind, {}))
    return found
