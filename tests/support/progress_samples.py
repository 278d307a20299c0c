"""Rollouts of seven and of a thousand clusters in the middle of their work, for the tests of what shows progress."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import stamp
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.rollout.progress import ClusterProgress, StepProgress, StepState
from aks_entra.core.verdict.verdict import Outcome
from tests.support.cases import SHOP
from tests.support.rollouts import NOW, plan_of, rollout, stage

STEPS = (
    ("look", 1),
    ("prove sign-in", 3),
    ("record baseline", 4),
    ("disable local accounts", 115),
    ("rotate certificates", 1260),
    ("verify nodes", 8),
    ("prove old credentials dead", 6),
)
REASON = "the node pool np1 has no quota for one more machine in this region, and Azure stopped the rotation"
ODD = "a name\nof two lines"


def clusters(number: int) -> tuple[ClusterId, ...]:
    return tuple(replace(SHOP, name=f"shop-{place:04}") for place in range(1, number + 1))


def fleet(number: int, canary: int) -> FleetPlan:
    members = clusters(number)
    stages = (stage("canary", *members[:canary]), stage("rest", *members[canary:], max_concurrency=50))
    return rollout(*stages, plans=tuple(map(plan_of, members)))


def at_step(cluster: ClusterId, place: int, *, seconds: float, now: datetime = NOW) -> ClusterProgress:
    """The cluster has done the steps before a place, and has been at this one for so many seconds."""
    title, _ = STEPS[place]
    running = StepProgress(title=title, began=stamp(now - timedelta(seconds=seconds)))
    return ClusterProgress(cluster=str(cluster), key=cluster.key, steps=(*done(place), running))


def done(places: int, began: str = "2026-11-24T09:00:00Z") -> tuple[StepProgress, ...]:
    return tuple(
        StepProgress(title=title, began=began, state=StepState.DONE, seconds=seconds)
        for title, seconds in STEPS[:places]
    )


def ended(cluster: ClusterId, outcome: Outcome = Outcome.VERIFIED, because: str = "") -> ClusterProgress:
    steps = done(len(STEPS))
    if outcome is not Outcome.VERIFIED:
        steps = (*done(4), replace(steps[4], state=StepState.FAILED))
    return ClusterProgress(
        cluster=str(cluster),
        key=cluster.key,
        steps=steps,
        outcome=outcome,
        because=because,
        counts_against=outcome is not Outcome.VERIFIED,
    )


def lost(cluster: ClusterId) -> ClusterProgress:
    found = at_step(cluster, 4, seconds=600)
    return replace(found, lost=True, counts_against=True, because="its batch rest 2 of 5 ended Crashed")


def waiting(cluster: ClusterId) -> ClusterProgress:
    return ClusterProgress(cluster=str(cluster), key=cluster.key)


def seven() -> tuple[FleetPlan, tuple[ClusterProgress, ...]]:
    plan = fleet(7, 2)
    one, two, three, four, five, six, seventh = clusters(7)
    refused = replace(
        ended(six, Outcome.REFUSED, "B012 a lock forbids the write"), steps=(), counts_against=False, planned=True
    )
    return plan, (
        ended(one),
        ended(two, Outcome.FAILED, REASON),
        at_step(three, 4, seconds=112),
        at_step(four, 1, seconds=2),
        lost(five),
        refused,
        waiting(seventh),
    )


def thousand() -> tuple[FleetPlan, tuple[ClusterProgress, ...]]:
    plan, members = fleet(1000, 10), clusters(1000)
    found = [ended(one) for one in members[:390]]
    found += [ended(one, Outcome.NOT_VERIFIED, "the old static token was not tried") for one in members[390:402]]
    found += [ended(one, Outcome.FAILED, f"{REASON} ({ODD})") for one in members[402:409]]
    found += [lost(members[409])]
    found += [at_step(one, place % 7, seconds=10.0 * place) for place, one in enumerate(members[410:460])]
    found[450] = at_step(members[450], 4, seconds=2900)
    return plan, (*found, *map(waiting, members[460:]))
