"""The approved work on one cluster. The executor and every proof start from it."""

from __future__ import annotations

from dataclasses import dataclass

from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.planning.prover import Prover
from aks_entra.core.preflight import Skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One cluster of an approved plan, the prover, and the rules that a person accepted with a reason."""

    digest: str
    plan: ClusterPlan
    prover: Prover
    skips: tuple[Skip, ...] = ()
