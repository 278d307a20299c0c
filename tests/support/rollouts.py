"""Rollouts of one or two stages with the facts about them, for the tests of `core.rollout`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import stamp
from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.gates import Side
from aks_entra.core.planning.plan import ClusterPlan, FleetPlan, plan_cluster
from aks_entra.core.planning.prover import Prover
from aks_entra.core.planning.rollout import MemberGroup, Stage
from aks_entra.core.rollout.next_action import RolloutState
from aks_entra.core.target import RotationPolicy
from aks_entra.core.verdict.verdict import Outcome, Reason, Verdict, judge
from tests.support.cases import SHOP, WHOLE, facts, managed, target

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = 3600
FIRST, SECOND, THIRD = (replace(SHOP, name=f"shop-0{number}") for number in (1, 2, 3))


def fleet_of(*plans: ClusterPlan) -> FleetPlan:
    members = tuple(plan.cluster for plan in plans)
    return FleetPlan(
        name="prod",
        created_at="2026-11-24T08:00:00Z",
        prover=Prover(object_id="p"),
        clusters=plans,
        stages=(Stage(name="all", groups=(MemberGroup(name="all", members=members),)),),
    )


def plan_of(cluster: ClusterId, **how: Any) -> ClusterPlan:
    return replace(plan_cluster(managed(), target(**how), facts()), cluster=cluster)


def stage(name: str, *members: ClusterId, **how: Any) -> Stage:
    return Stage(name=name, groups=(MemberGroup(name="all", members=members),), **how)


def rollout(*stages: Stage, plans: tuple[ClusterPlan, ...] = (), **how: Any) -> FleetPlan:
    members = [member for one in stages for member in one.members]
    return replace(fleet_of(*(plans or tuple(map(plan_of, members)))), stages=stages, **how)


CANARY, REST = stage("canary", FIRST), stage("rest", SECOND, THIRD, batch_size=1)
PLAN = rollout(CANARY, REST)
REACHED: dict[tuple[str, Side], datetime] = {
    (name, side): NOW - timedelta(hours=2) for name in ("canary", "rest") for side in ("before", "after")
}


def proven(cluster: ClusterId) -> Verdict:
    return replace(judge(plan_of(SHOP), WHOLE), cluster=cluster)


def said(cluster: ClusterId, outcome: Outcome, reason: Reason = Reason.NONE) -> Verdict:
    return Verdict(cluster=cluster, outcome=outcome, because=("so it is",), reason_code=reason)


def owed(cluster: ClusterId) -> Verdict:
    end = tuple(one for one in WHOLE if one.kind not in {"certificates-rotated", "credential-tried"})
    return replace(judge(plan_of(SHOP, rotation=RotationPolicy.LATER), end), cluster=cluster)


def known(*verdicts: Verdict) -> dict[str, Verdict]:
    return {one.cluster.key: one for one in verdicts}


def approved(side: Side = "before", *, ago: timedelta = timedelta(minutes=5), decision: Any = "approve") -> Approval:
    return Approval(
        plan=PLAN.digest,
        stage="canary",
        moment=side,
        decision=decision,
        approver="dana",
        reason="not today",
        at=stamp(NOW - ago),
    )


def at(plan: FleetPlan = PLAN, **how: Any) -> RolloutState:
    return RolloutState(plan=plan, **how)
