"""The table of requests that the expected time of a plan uses, held against what the sandbox counts."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aks_entra.core.estimate.limits import AKS_LISTS, AKS_OPERATIONS, AKS_REST, ARM_READS, ARM_WRITES, Limit, limits_of
from aks_entra.core.evidence.observations import Evidence
from aks_entra.core.planning.job import Job
from aks_entra.core.steps import Step
from aks_entra.execution.executor import InProcess
from aks_entra.execution.steps.registry import Part
from aks_entra.wiring import Session
from azure_sandbox.front.proxy import Exchange
from tests.contract.small_world import ADMINS, SUBSCRIPTION

COUNTED = (ARM_READS, ARM_WRITES, AKS_REST)
POLLS = (AKS_LISTS, AKS_OPERATIONS)
PACE = 2000.0
WORLD = f"""\
version: 1
tenant: {{id: 7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32, name: contoso.onmicrosoft.com}}
servicePrincipals:
  - {{name: operator, graphPermissions: [Group.ReadWrite.All, Directory.Read.All]}}
groups:
  - {{name: aks-admins, id: {ADMINS}, members: [operator]}}
operator: operator
subscriptions:
  - id: {SUBSCRIPTION}
    name: prod-eu
    roleAssignments: [{{principal: operator, role: Owner}}]
    resourceGroups:
      - name: few
        location: westeurope
        clusters: &few
          - {{name: a, nodes: 1}}
          - {{name: b, nodes: 1}}
      - name: more
        location: westeurope
        clusters:
          - {{name: c, nodes: 1}}
          - {{name: d, nodes: 1}}
          - {{name: e, nodes: 1}}
          - {{name: f, nodes: 1}}
"""


class Counting(InProcess):
    """Runs the steps here, and notes with how many exchanges each began and ended."""

    def __init__(self, session: Session, heard: list[Exchange], settings: Any) -> None:
        super().__init__(session.executor, session.ports, settings)
        self._heard = heard
        self.start: Counter[Limit] = Counter()
        self.steps: dict[str, Counter[Limit]] = {}

    async def remaining(self, job: Job) -> tuple[Step, ...]:
        began = len(self._heard)
        found = await super().remaining(job)
        self.start = counts(self._heard[began:])
        return found

    async def perform(self, job: Job, step: Step, part: Part) -> tuple[Evidence, ...]:
        began = len(self._heard)
        found = await super().perform(job, step, part)
        self.steps.setdefault(step.kind, Counter()).update(counts(self._heard[began:]))
        return found


def counts(exchanges: list[Exchange]) -> Counter[Limit]:
    found: Counter[Limit] = Counter()
    for one in exchanges:
        if one.host == "management.azure.com":
            limits = [limit for _, limit in limits_of(one.method, one.path.partition("?")[0])]
            if not any(limit in POLLS for limit in limits):
                found.update(limit for limit in limits if limit in COUNTED)
    return found
