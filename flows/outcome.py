"""How a stage and a fleet came out: from verdicts that are stored, never from what a run remembers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from aks_entra.core.cluster import ClusterId
from aks_entra.core.plan import ClusterPlan, FleetPlan
from aks_entra.core.report import FleetReport
from aks_entra.core.rollout import Stage, StageResult, stage_result
from aks_entra.core.verdict import Outcome, Verdict, left_for_its_window, settled, unstarted
from aks_entra.prefect_client import archive, members, runs
from aks_entra.prefect_client.names import slug


class Halted(Exception):
    """The rollout does not go on: a failure budget was exceeded, a person rejected, or a gate can never open.

    `begun`: whether the result is that of a stage which was worked on.
    """

    def __init__(self, result: StageResult, *, rejected: bool = False, begun: bool | None = None) -> None:
        super().__init__(result.because)
        self.result = result
        self.rejected = rejected
        self.begun = not rejected if begun is None else begun


async def due(plan: FleetPlan, stage: Stage, *, to_write: bool = False) -> list[ClusterId]:
    """Members that preflight let pass, nobody skipped, and that have no final verdict yet.

    `to_write`: those with steps left to do.
    """
    left_out = await members.all_left_out(plan.digest)
    known = await archive.verdicts(plan.digest)
    wanted = {"migrate"} if to_write else {"migrate", "nothing to do"}
    waiting = [
        member
        for member in stage.members
        if plan.plan_for(member).disposition in wanted
        and slug(member) not in left_out
        and (member.key not in known or known[member.key].outcome not in archive.FINAL)
    ]
    if not to_write:
        return waiting
    return [one for one in waiting if one.key not in known or not settled(plan.plan_for(one), known[one.key])]


async def owing(plan: FleetPlan) -> tuple[ClusterId, ...]:
    """The clusters of a plan that was carried out whose rotation is owed."""
    known, left_out = await archive.verdicts(plan.digest), await members.all_left_out(plan.digest)
    return tuple(
        one.cluster
        for one in plan.clusters
        if one.cluster.key in known and slug(one.cluster) not in left_out and settled(one, known[one.cluster.key])
    )


async def weigh(plan: FleetPlan, stage: Stage) -> StageResult:
    """The stage's verdicts against its failure budget. A member without a verdict counts as failed."""
    known = await archive.verdicts(plan.digest)
    verdicts = [_verdict(plan.plan_for(member), known, _LOST) for member in stage.members]
    return stage_result(stage, sum(not verdict.sound for verdict in verdicts))


async def leave_out(plan: FleetPlan, clusters: tuple[ClusterId, ...], because: str) -> None:
    """Store the verdicts of members that are not begun, and why."""
    for member in clusters:
        await archive.store_verdict(plan.digest, Verdict(cluster=member, outcome=Outcome.SKIPPED, because=(because,)))


async def lost(plan: FleetPlan, clusters: tuple[ClusterId, ...]) -> tuple[ClusterId, ...]:
    """Members of an ended batch that have no verdict: its process died with them."""
    known = await archive.verdicts(plan.digest)
    return tuple(member for member in clusters if member.key not in known)


def cancelled(stage: Stage) -> StageResult:
    """Somebody cancelled a batch: that is meant for the rollout."""
    because = f"stage {stage.name}: its batch was cancelled: the stages after it are not started"
    return StageResult(go_on=False, failures=0, because=because)


async def left_for_later(plan: FleetPlan, stage: Stage) -> bool:
    """Whether some of the stage's members wait for the next opening of a window."""
    known = await archive.verdicts(plan.digest)
    return any(left_for_its_window(known[member.key]) for member in stage.members if member.key in known)


async def close(run: UUID, plan: FleetPlan, results: list[StageResult], halted: Halted | None = None) -> State[Any]:
    """Store the fleet's report under the plan's digest, and say how it ended."""
    known = await archive.verdicts(plan.digest)
    skipped = halted.result.because if halted else ""
    reached = len(results) - (1 if halted and not halted.begun else 0)
    verdicts = tuple(
        _verdict(plan.plan_for(member), known, _LOST if place < reached else (Outcome.SKIPPED, skipped))
        for place, stage in enumerate(plan.stages)
        for member in stage.members
    )
    report = FleetReport(
        name=plan.name,
        plan_digest=plan.digest,
        started_at=await runs.began(run),
        ended_at=datetime.now(UTC).isoformat(),
        verdicts=verdicts,
        stages=tuple(results),
        skip_rules=plan.skip_rules,
    )
    await archive.store_report(report)
    counted = ", ".join(f"{number} {outcome}" for outcome, number in report.counts().items())
    if halted is None:
        return Completed(message=counted)
    if halted.rejected:
        return Cancelled(name="Rejected", message=f"{skipped} · {counted}")
    return Failed(message=f"{skipped} · {counted}")


_LOST = (Outcome.FAILED, "its batch ended without a verdict")


def _verdict(plan: ClusterPlan, known: dict[str, Verdict], otherwise: tuple[Outcome, str]) -> Verdict:
    """What is known of a cluster: preflight's refusal, its stored verdict, or that there is none and why."""
    outcome, because = otherwise
    return (
        unstarted(plan)
        or known.get(plan.cluster.key)
        or Verdict(
            cluster=plan.cluster,
            outcome=outcome,
            because=(because,),
            next="aks-entra migrate --resume" if outcome is Outcome.FAILED else "",
        )
    )
