"""A step is one class, one entry that says what it means, and one that says how it is performed. Nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.evidence.observations import EntraSet, Evidence
from aks_entra.core.planning.job import Job
from aks_entra.core.steps import KINDS, Guarded, Step, StepKind, writes
from aks_entra.core.verdict.current_state import judge_current_state
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import TryLater
from aks_entra.execution.engine import Engine
from aks_entra.execution.steps.registry import PARTS, Part
from aks_entra.report.plan_view import view_of
from tests.support.executor_jobs import job_for, planned
from tests.support.memory_model import Killed
from tests.support.memory_ports import World


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnAzureRbacOn:
    kind: Literal["turn-azure-rbac-on"] = "turn-azure-rbac-on"


async def turn_azure_rbac_on(engine: Engine, job: Job, step: Any) -> tuple[Evidence, ...]:
    cluster = job.plan.cluster
    posture = await engine.observe(cluster)
    if not posture.azure_rbac:
        expected = await engine.expected_before(job, step)
        call = engine.ports.arm.update_entra(cluster, expected, posture.admin_group_ids, azure_rbac=True)
        await engine.finish(job, step, await call)
        raise TryLater("look again", after=1)
    changed, correlation_id = engine.own_write(job, step)
    seen = EntraSet(
        at=engine.stamp(),
        changed=changed,
        admin_group_ids=posture.admin_group_ids,
        tenant_id=posture.tenant_id or "",
        azure_rbac=True,
        correlation_id=correlation_id,
    )
    return (seen,)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Step:
    meaning = StepKind(
        title="turn Azure RBAC on",
        mark="+",
        words=lambda _: "turn Azure RBAC on",
        writes=True,
        after=lambda state, _: replace(state, azure_rbac=True),
    )
    monkeypatch.setitem(KINDS, TurnAzureRbacOn, meaning)
    monkeypatch.setitem(PARTS, TurnAzureRbacOn, (Part(title=meaning.title, perform=turn_azure_rbac_on),))
    return cast("Step", TurnAzureRbacOn())


async def job_with(step: Step, world: World) -> Job:
    job = await job_for(world)
    return replace(job, plan=replace(job.plan, steps=(step, *job.plan.steps)))


def test_every_step_has_a_meaning_and_a_way_to_perform_it() -> None:
    assert set(KINDS) == set(PARTS) == set(get_args(Step))


async def test_a_plan_shows_a_step_that_only_the_registry_knows(pretend: Step) -> None:
    world = World()
    world.add(identity=Identity.MANAGED)
    plan = (await job_with(pretend, world)).plan
    shown = view_of(replace(await planned(world), clusters=(plan,))).stages[0].clusters[0].steps[0]
    assert (shown.mark, shown.title) == ("+", "turn Azure RBAC on")
    assert writes(pretend)
    assert judge_current_state(plan, ()).because[0].startswith("left to do: turn Azure RBAC on, disable local accounts")


async def test_a_step_that_only_the_registry_knows_is_performed_and_checked(pretend: Step) -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    job = await job_with(pretend, world)
    verdict = await world.process().executor.migrate(job)
    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    assert cluster.azure_rbac
    assert pretend not in await world.process().executor.remaining(job)
    cluster.azure_rbac = False
    again = await world.process().executor.migrate(job)
    assert again.outcome is Outcome.FAILED
    assert again.because[0].startswith("the cluster is not as it was when the plan was approved")


async def test_a_step_that_only_the_registry_knows_is_done_once_by_a_run_that_was_killed(pretend: Step) -> None:
    world = World()
    world.add(identity=Identity.MANAGED)
    job = await job_with(pretend, world)
    world.kill_at = world.moments + 30
    with pytest.raises(Killed):
        await world.process().executor.migrate(job)
    verdict = await world.process().executor.migrate(job)
    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    assert len(world.writes) == 3


def test_a_step_that_only_looks_leaves_the_guarded_state(pretend: Step) -> None:
    state = Guarded(
        identity=Identity.MANAGED,
        tenant_id=None,
        admin_groups=(),
        azure_rbac=False,
        local_accounts=True,
        kubernetes_rbac=True,
        ca=None,
    )
    assert StepKind(title="look").after(state, pretend) == state
    assert state.after(pretend) == replace(state, azure_rbac=True)
