"""The requests of a plan, by its size. `tests/contract/test_requests.py` counts them in the sandbox."""

from __future__ import annotations

from aks_entra.core.estimate.limits import AKS_REST, ARM_READS
from aks_entra.core.estimate.requests import PLAN, WINDOWS_UP_TO, requests_of_plan


def test_a_large_plan_reads_no_maintenance_windows_so_each_cluster_costs_one_request_less() -> None:
    large = requests_of_plan(WINDOWS_UP_TO + 1)
    assert requests_of_plan(WINDOWS_UP_TO) == PLAN
    assert {limit: PLAN[limit] - each for limit, each in large.items() if PLAN[limit] != each} == {
        ARM_READS: 1,
        AKS_REST: 1,
    }
    assert large[AKS_REST] == 1
