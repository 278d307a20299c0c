"""The table of requests that the expected time of a plan uses, held against what the sandbox counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from aks_entra.core.estimate import requests
from aks_entra.core.estimate.limits import AKS_LISTS, AKS_OPERATIONS, AKS_REST, ARM_READS, ARM_WRITES, Limit, limits_of
from aks_entra.core.evidence.observations import Evidence
from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.steps import Step
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.execution.executor import InProcess
from aks_entra.execution.steps.registry import Part
from aks_entra.planning.planner import plan_fleet
from aks_entra.settings import Settings
from aks_entra.wiring import Session, open_session
from azure_sandbox.front.proxy import Exchange
from tests.contract.sandbox_environment import in_environment
from tests.contract.small_world import ADMINS, SUBSCRIPTION, fleet_world

COUNTED = (ARM_READS, ARM_WRITES, AKS_REST)
POLLS = (AKS_LISTS, AKS_OPERATIONS)
PACE = 2000.0
GROUPS = {"few": ("a", "b"), "more": ("c", "d", "e", "f")}


class Counting(InProcess):
    """Runs the steps here, and notes with how many exchanges each began and ended."""

    def __init__(self, session: Session, heard: list[Exchange]) -> None:
        super().__init__(session.executor, session.ports, session.timeouts)
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


async def planned(session: Session, heard: list[Exchange], group: str) -> tuple[FleetPlan, Counter[Limit]]:
    fleet = Fleet(
        name="prod",
        selectors=(Selector(subscription=SUBSCRIPTION, resource_group=group),),
        target=WantedTarget(admin_groups=(WantedGroup(id=ADMINS),)),
    )
    began = len(heard)
    plan = await plan_fleet(session.ports, fleet, ())
    return plan, counts(heard[began:])


def table(plan: Mapping[Limit, int], start: Mapping[Limit, int], steps: Mapping[str, Mapping[Limit, int]]) -> str:
    """Return the tables as the module spells them, so that they can be pasted there."""
    names = {ARM_READS: "ARM_READS", ARM_WRITES: "ARM_WRITES", AKS_REST: "AKS_REST"}

    def row(counted: Mapping[Limit, int]) -> str:
        return "{" + ", ".join(f"{names[one]}: {counted[one]}" for one in COUNTED if counted.get(one)) + "}"

    lines = [f"PLAN = {row(plan)}", f"START = {row(start)}", "STEPS = {"]
    return "\n".join([*lines, *(f'    "{kind}": {row(counted)},' for kind, counted in steps.items()), "}"])


async def test_the_table_of_requests_is_what_a_plan_and_a_migration_ask(tmp_path: Path) -> None:
    (tmp_path / "world.yaml").write_text(
        fleet_world({name: [f"name: {one}, nodes: 1" for one in names] for name, names in GROUPS.items()})
    )
    heard: list[Exchange] = []
    quick = Settings(
        poll_interval=30 / PACE, look_interval=10 / PACE, group_reads=2, group_read_gap=0, request_rate=PACE
    )
    with pytest.MonkeyPatch.context() as patch:
        async with (
            in_environment(patch, tmp_path / "world.yaml", pace=PACE, replication=0, observe=heard.append),
            open_session(quick) as session,
        ):
            few, two = await planned(session, heard, "few")
            _, four = await planned(session, heard, "more")
            first, second = (Job(digest=few.digest, plan=plan, prover=few.prover) for plan in few.clusters)
            runner = Counting(session, heard)
            outcomes = [(await session.executor.migrate(first)).outcome]
            outcomes.append((await session.executor.migrate(second, runner)).outcome)
    assert outcomes == [Outcome.VERIFIED, Outcome.VERIFIED]
    more = {limit: (four[limit] - two[limit]) // 2 for limit in COUNTED}

    counted = table(more, runner.start, runner.steps)

    assert counted == table(requests.PLAN, requests.START, requests.STEPS), f"paste into requests.py:\n{counted}"
