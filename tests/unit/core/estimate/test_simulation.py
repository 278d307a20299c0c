"""The simulation of `make bench-simulate` and the expected time of a plan agree where both can say something."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.estimate.durations import PUBLISHED, Durations
from aks_entra.core.estimate.expected import expected_time
from aks_entra.core.estimate.model import Binding
from aks_entra.core.planning.plan import plan_cluster
from aks_entra.core.steps import Step, writes
from bench.simulate import STEPS_OF_A_CLUSTER, Costs, Setting, Simulation
from tests.support.cases import SHOP, facts, posture, target
from tests.support.rollouts import NOW, rollout, stage

FREE = Costs(start=0.0, batch=0.0, server=0.0)


def likely(step: Step) -> float:
    return Durations(poll_interval=0).of(step).likely if writes(step) else PUBLISHED.of(step).likely


@pytest.mark.parametrize(
    ("clusters", "at_once", "subscriptions", "binds", "words"),
    [
        (1, 5, 1, Binding.OPERATION, "Azure's rotations"),
        (60, 20, 1, Binding.OPERATION, "Azure's rotations, in 3 rounds (max_concurrency)"),
        (200, 100, 4, Binding.OPERATION, "Azure's rotations, in 2 rounds (max_concurrency)"),
        (1_000, 1_000, 4, Binding.REQUESTS, "Azure's request limit: other requests to AKS"),
        (1_000, 1_000, 1, Binding.REQUESTS, "Azure's request limit: other requests to AKS"),
    ],
)
def test_the_simulation_and_the_model_agree(
    clusters: int, at_once: int, subscriptions: int, binds: Binding, words: str
) -> None:
    one = plan_cluster(posture(), target(), facts())
    members = [
        replace(SHOP, name=f"shop-{number}", subscription_id=str(number * subscriptions // clusters))
        for number in range(clusters)
    ]
    plan = rollout(
        stage("all", *members, max_concurrency=at_once), plans=tuple(replace(one, cluster=its) for its in members)
    )
    expected = expected_time(plan, NOW)
    setting = Setting(
        clusters=clusters, subscriptions=subscriptions, max_concurrency=at_once, costs=FREE, length=likely
    )
    run = Simulation(setting)

    assert [step.kind for step in one.steps] == [step.kind for step in STEPS_OF_A_CLUSTER]
    assert run.ended == pytest.approx(expected.total.likely, rel=0.15)
    assert (expected.stages[0].binds, run.binds) == (binds, words)


def test_what_is_slower_than_azure_binds() -> None:
    slow = replace(FREE, server=600.0)
    assert Simulation(Setting(clusters=100, max_concurrency=100, costs=slow)).binds == "Prefect's server"
    machine = replace(FREE, batch=600.0)
    assert Simulation(Setting(clusters=100, max_concurrency=100, costs=machine, cores=0.5)).binds == "the machine"
    few = Simulation(Setting(clusters=40, max_concurrency=40, batch_size=10, processes=2, costs=FREE))
    assert few.binds == "Azure's rotations, in 2 rounds (processes)"
