"""What is closed stays closed: the policy is assigned after the proofs, and only this program goes past it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.deny_policy import assignment_id, how_to_assign
from aks_entra.core.evidence.break_glass import Opening
from aks_entra.core.evidence.observations import DenyPolicySeen, SignInProven
from aks_entra.core.planning.fleet import WantedGroup, WantedTarget
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.prover import Prover
from aks_entra.core.preflight import Policy, PolicyEvaluation
from aks_entra.core.steps import AssignDenyPolicy, Step
from aks_entra.core.target import Keep
from aks_entra.core.verdict.verdict import Outcome, Verdict, judge, may_be_kept, written
from aks_entra.errors import Diverged, Refused, Rejected, TryLater
from aks_entra.execution.break_glass import BreakGlass
from aks_entra.execution.executor import Executor
from aks_entra.execution.operations import Watch
from aks_entra.planning.rollback import plan_way_back
from aks_entra.ports.read_only import only_looking
from aks_entra.probes.checks import Timeouts
from aks_entra.verification import verifier
from tests.support.cases import DENIES
from tests.support.executor_jobs import job_for, job_of, planned
from tests.support.memory_deny_policies import FOLLOWS, Kept
from tests.support.memory_model import ADMINS, PROVER, Cluster
from tests.support.memory_ports import World

KEEP = WantedTarget(admin_groups=(WantedGroup(id=ADMINS),), keep=Keep.DENY)
WHO = Prover(object_id=PROVER)
ASSIGN = "az policy assignment create"
OF_OTHERS = replace(DENIES, assignment="/subscriptions/s/providers/Microsoft.Authorization/policyAssignments/theirs")
DENIED_BY_OTHERS = PolicyEvaluation(
    write="", assignment=OF_OTHERS.assignment, name="no-local", scope="/subscriptions/s", definition="x", effect="deny"
)


def a_world() -> tuple[World, Cluster]:
    world = World()
    return world, world.add(identity=Identity.MANAGED)


async def migrated(world: World) -> tuple[Job, Verdict]:
    job = await job_for(world, KEEP)
    return job, await world.process().executor.migrate(job)


def is_open(cluster: Cluster) -> bool:
    return cluster.local_accounts


def policy_of(verdict: Verdict) -> DenyPolicySeen:
    (found,) = [one for one in verdict.evidence if isinstance(one, DenyPolicySeen)]
    return found


def glass(world: World, **timeouts: Any) -> BreakGlass:
    process = world.process(Timeouts(**timeouts))
    return BreakGlass(process.ports, process.watch, process.executor, process.timeouts)


def opening(world: World, minutes: int = 45) -> Opening:
    now = world.now()
    return Opening(
        until=(now + timedelta(minutes=minutes)).isoformat(), since=now.isoformat(), reason="INC-77", opener="dana"
    )


async def test_the_policy_is_assigned_once_the_cluster_is_verified_and_verify_sees_it_enforced() -> None:
    world, cluster = a_world()
    job, verdict = await migrated(world)
    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    seen = policy_of(verdict)
    assert (seen.assignment, seen.changed, seen.ours, seen.enforced) == (assignment_id(cluster.id), True, True, False)
    assert seen.correlation_id == "c-policy"
    kept = f"local accounts are kept off by policy assignment {assignment_id(cluster.id)}"
    assert f"{kept} (Azure enforces it within 30 minutes)" in verdict.because
    assert any(one.startswith("deny policy assigned at") for one in written(verdict.evidence))
    assert world.calls.index("deny_policies.assign") > world.calls.index("kubernetes.workloads")

    await world.clock.sleep(FOLLOWS.total_seconds())
    again = await verifier.verify(world.process().ports, Timeouts(), job)
    judged = judge(job.plan, (*verdict.evidence, *again))
    assert judged.outcome is Outcome.VERIFIED, judged.because
    assert kept in judged.because

    resumed = await world.process().executor.migrate(job)
    assert (policy_of(resumed).changed, policy_of(resumed).enforced) == (False, True)
    assert world.calls.count("deny_policies.assign") == 1
    anew = await planned(world, KEEP)
    assert not any(isinstance(step, AssignDenyPolicy) for step in anew.clusters[0].steps)
    assert not any(one.rule in {"B021", "B041"} for one in anew.clusters[0].findings)


async def test_nothing_is_assigned_to_a_cluster_that_is_not_verified() -> None:
    world, cluster = a_world()
    job = await job_for(world, KEEP)
    world.faults["kubernetes.nodes"] = [Refused("no", code="Forbidden", status=403)] * 3
    verdict = await world.process().executor.migrate(job)
    assert verdict.outcome is not Outcome.VERIFIED
    assert world.kept == {}
    assert not may_be_kept(job.plan, verdict.evidence)
    world.faults.clear()
    healed = await world.process().executor.migrate(job)
    assert healed.outcome is Outcome.VERIFIED, healed.because
    assert cluster.id.key in world.kept
    without = tuple(one for one in healed.evidence if not isinstance(one, DenyPolicySeen))
    lacking = judge(job.plan, without)
    assert lacking.outcome is Outcome.NOT_VERIFIED
    assert lacking.because[0] == "no policy keeps local accounts off: it is assigned once the cluster is verified"
    assert may_be_kept(job.plan, without)


async def test_whoever_may_not_assign_policies_gets_the_command_and_the_proof_still_counts() -> None:
    world, cluster = a_world()
    world.may_write_policies = False
    job, verdict = await migrated(world)
    assert verdict.outcome is Outcome.VERIFIED
    assert f"to assign it: {how_to_assign(cluster.id)}" in verdict.because[0]
    assert verdict.because[0].startswith("NO policy keeps local accounts off: the signed-in identity lacks the right")
    again = await verifier.verify(world.process().ports, Timeouts(), job)
    assert judge(job.plan, (*verdict.evidence, *again)).outcome is Outcome.VERIFIED


async def test_an_equal_policy_of_others_is_enough_and_stays_alone() -> None:
    world, _ = a_world()
    job = await job_for(world, KEEP)

    def assigned() -> None:
        if any("Rotating" in one for one in world.writes):  # before it, the policy would bar the way back
            world.policies = (OF_OTHERS,)

    world.observers.append(assigned)
    verdict = await world.process().executor.migrate(job)
    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    seen = policy_of(verdict)
    assert (seen.assignment, seen.changed, seen.ours) == (OF_OTHERS.assignment, False, False)
    assert "deny_policies.assign" not in world.calls


@pytest.mark.parametrize(
    ("policies", "why", "remedy"),
    [
        pytest.param((), "no assignment denies local accounts", ASSIGN, id="gone"),
        pytest.param(
            (replace(OF_OTHERS, ours=True, effect="Audit"),),
            f"{OF_OTHERS.assignment} was changed: effect Audit",
            ASSIGN,
            id="audit",
        ),
        pytest.param(
            (replace(OF_OTHERS, ours=True, enforced=False),),
            f"{OF_OTHERS.assignment} was changed: effect Deny, not enforced",
            ASSIGN,
            id="not enforced",
        ),
        pytest.param(
            (replace(OF_OTHERS, ours=True, effect=None),),
            f"{OF_OTHERS.assignment} was changed: effect unknown",
            ASSIGN,
            id="unknown effect",
        ),
        pytest.param(
            (replace(OF_OTHERS, ours=True, exempt=True),),
            f"the cluster is exempt from {OF_OTHERS.assignment}",
            "find the exemption (`az policy exemption list",
            id="exempt",
        ),
        pytest.param(None, "the policy assignments could not be read", "grant Microsoft.Auth", id="unreadable"),
    ],
)
async def test_verify_says_that_the_policy_does_not_hold_any_more(
    policies: tuple[Policy, ...] | None, why: str, remedy: str
) -> None:
    world, _ = a_world()
    job, verdict = await migrated(world)
    world.kept.clear()
    world.policies = policies
    again = await verifier.verify(world.process().ports, Timeouts(), job)
    judged = judge(job.plan, (*verdict.evidence, *again))
    assert judged.outcome is Outcome.NOT_VERIFIED
    assert judged.because[0] == f"the policy that kept local accounts off does not any more: {why}"
    assert judged.next.startswith(remedy)


async def test_a_run_that_only_looks_assigns_nothing() -> None:
    world, _ = a_world()
    job, _ = await migrated(world)
    world.kept.clear()
    ports = only_looking(world.process().ports)
    executor = Executor(ports, Watch(ports.arm, ports.clock, 1.0), Timeouts())
    verdict = await executor.migrate(job)
    assert verdict.because[0].startswith("at assign-deny-policy: this run only looks")
    assert world.kept == {}


@pytest.mark.parametrize("what", ["open", "lost"])
async def test_an_assignment_without_effect_and_a_cluster_that_was_opened_are_said(what: str) -> None:
    world, cluster = a_world()
    job, _ = await migrated(world)
    world.kept.clear()
    step: Step = AssignDenyPolicy()
    if what == "open":
        cluster.local_accounts = True
        with pytest.raises(Diverged, match="local accounts are on: the policy would refuse every change"):
            await world.process().executor.apply(job, step)
        assert world.kept == {}
        return

    def lost() -> None:
        if "deny_policies.assign" in world.calls:
            world.kept.clear()

    world.calls.clear()
    world.observers.append(lost)
    said = "the policy was assigned, but no assignment denies local accounts"
    with pytest.raises(TryLater, match=said):  # a list of Azure may show it late
        await world.process().executor.apply(job, step)
    with pytest.raises(Diverged, match=said):
        await world.process(Timeouts(refusal=0.0)).executor.apply(job, step)


async def test_only_break_glass_opens_the_cluster_and_its_end_restores_the_policy() -> None:
    world, cluster = a_world()
    await migrated(world)
    await world.clock.sleep(FOLLOWS.total_seconds())
    assert world.denied(cluster.id)

    began = world.now()
    verdict = await glass(world).open(cluster.id, opening(world))
    assert verdict.outcome is Outcome.NOT_VERIFIED, verdict.because
    assert is_open(cluster)
    assert world.now() - began >= FOLLOWS  # Azure follows the exemption late, and the write was repeated until then

    closed = await glass(world).close(cluster.id, WHO)
    assert closed.because[0] == "local accounts are closed again", closed.because
    assert not is_open(cluster)
    await world.clock.sleep(FOLLOWS.total_seconds())
    assert world.denied(cluster.id)
    assert any(isinstance(one, SignInProven) for one in closed.evidence)


async def test_an_opening_whose_process_died_leaves_an_exemption_that_ends_by_itself() -> None:
    world, cluster = a_world()
    await migrated(world)
    await world.clock.sleep(FOLLOWS.total_seconds())
    wanted = opening(world)
    await world.process().ports.deny_policies.exempt(cluster.id, wanted.until, wanted.reason)
    await world.clock.sleep(FOLLOWS.total_seconds())
    assert not world.denied(cluster.id)
    await world.clock.sleep(45 * 60)
    assert world.denied(cluster.id)


async def test_break_glass_without_the_right_to_exempt_names_the_command() -> None:
    world, cluster = a_world()
    await migrated(world)
    world.may_write_policies = False
    wanted = opening(world)
    verdict = await glass(world).open(cluster.id, wanted)
    assert verdict.outcome is Outcome.REFUSED
    assert verdict.because[0].startswith("not opened: a policy assignment keeps local accounts off")
    assert verdict.next.startswith("ask someone who may exempt it: `az policy exemption create")
    assert f"--expires-on {wanted.until}" in verdict.next
    assert not is_open(cluster)


async def test_an_outage_of_azure_policy_holds_no_opening_up() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED, local_accounts=False)
    world.faults["arm.policies"] = [TryLater("Azure has a fault"), Refused("half an answer")]
    assert (await glass(world).open(cluster.id, opening(world))).outcome is Outcome.NOT_VERIFIED
    assert is_open(cluster)
    assert (await glass(world).close(cluster.id, WHO)).because[0] == "local accounts are closed again"


async def test_a_closing_that_cannot_end_the_exemption_closes_all_the_same() -> None:
    world, cluster = a_world()
    await migrated(world)
    assert (await glass(world).open(cluster.id, opening(world))).outcome is Outcome.NOT_VERIFIED
    world.may_write_policies = False
    closed = await glass(world).close(cluster.id, WHO)
    assert closed.because[0] == "local accounts are closed again"
    assert closed.because[-1].startswith("the exemption from the deny policy ends by itself, but not yet")
    assert not is_open(cluster)


@pytest.mark.parametrize("kept", [True, False])
async def test_a_closing_that_cannot_read_the_policies_says_that_the_deny_policy_is_unknown(kept: bool) -> None:
    world, cluster = a_world()
    if kept:
        await migrated(world)
    else:
        cluster.local_accounts = False
    await glass(world).open(cluster.id, opening(world))
    assert is_open(cluster)
    world.policies = None
    closed = await glass(world).close(cluster.id, WHO)
    assert not is_open(cluster)
    assert closed.because[0] == "local accounts are closed again"
    assert closed.because[-1] == (
        "it is unknown whether a deny policy is in force again: the policy assignments could not be read"
    )
    assert policy_of(closed).remedy.startswith("grant Microsoft.Authorization/policyAssignments/read")


async def test_a_policy_of_others_is_not_exempted_but_named_with_the_command() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED, local_accounts=False)
    world.denied_by_others, world.policy_evaluations = True, (DENIED_BY_OTHERS,)
    verdict = await glass(world).open(cluster.id, opening(world))
    assert verdict.outcome is Outcome.REFUSED
    assert "policy assignment no-local on /subscriptions/s denies it, and is not ours" in verdict.because[0]
    assert f"--policy-assignment {OF_OTHERS.assignment}" in verdict.next
    world.policy_evaluations = ()
    unnamed = await glass(world).open(cluster.id, opening(world))
    assert unnamed.because[0] == "not opened: Azure Policy forbids it"


async def test_an_opening_that_is_over_before_azure_follows_the_exemption_says_so() -> None:
    world, cluster = a_world()
    await migrated(world)
    await world.clock.sleep(FOLLOWS.total_seconds())
    verdict = await glass(world).open(cluster.id, opening(world, minutes=5))
    assert verdict.outcome is Outcome.REFUSED
    assert verdict.because[0].startswith("not opened: the opening's time is over before Azure followed the exemption")
    assert "--duration 2h" in verdict.next
    assert not is_open(cluster)


async def test_an_exemption_that_azure_never_follows_ends_the_opening() -> None:
    world, cluster = a_world()
    await migrated(world)
    world.denied_by_others = True
    verdict = await glass(world, policy=60.0).open(cluster.id, opening(world))
    assert verdict.outcome is Outcome.REFUSED
    assert "Azure does not follow the change of the policy yet (after 1 minutes)" in verdict.because[0]
    assert not is_open(cluster)


async def test_another_refusal_of_the_write_is_not_waited_out() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED, local_accounts=False)
    world.faults["arm.set_local_accounts"] = [Rejected("no", code="ScopeLocked", status=409)]
    verdict = await glass(world).open(cluster.id, opening(world))
    assert verdict.because[0] == "not opened: no"


async def test_a_rollback_removes_the_policy_waits_for_azure_and_opens_the_cluster() -> None:
    world, cluster = a_world()
    done = await planned(world, KEEP)
    assert (await world.process().executor.migrate(job_of(done))).outcome is Outcome.VERIFIED
    await world.clock.sleep(FOLLOWS.total_seconds())
    process = world.process()
    back = await plan_way_back(process.ports, done, (cluster.id,), ())
    kinds = [step.kind for step in back.clusters[0].steps]
    assert kinds == ["remove-deny-policy", "enable-local-accounts", "verify-restored"]
    verdict = await process.executor.migrate(job_of(back))
    assert is_open(cluster), verdict.because
    assert policy_of(verdict).problem == f"{assignment_id(cluster.id)} was removed"
    assert any(one.startswith("deny policy removed at") for one in written(verdict.evidence))
    again = await process.executor.apply(job_of(back), back.clusters[0].steps[0])
    assert [one.problem for one in again if isinstance(one, DenyPolicySeen)] == ["no assignment of ours was there"]


async def test_a_rollback_says_which_right_it_lacks_to_remove_the_policy() -> None:
    world, cluster = a_world()
    done = await planned(world, KEEP)
    await world.process().executor.migrate(job_of(done))
    world.missing_permissions = ("Microsoft.Authorization/policyAssignments/delete",)
    back = await plan_way_back(world.process().ports, done, (cluster.id,), ())
    assert [one.message for one in back.clusters[0].blockers] == [
        "this identity lacks Microsoft.Authorization/policyAssignments/delete"
    ]


async def test_an_opening_that_is_refused_ends_its_exemption_or_says_until_when_it_stays() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED, local_accounts=False)
    stays = "the exemption from the deny policy stays until {}: Azure throttles"
    for faults, said in (([], []), ([TryLater("Azure throttles")] * 5_000, [stays])):
        world.kept[cluster.id.key] = Kept([])
        world.faults |= {
            "arm.set_local_accounts": [Refused("locked", code="ScopeLocked")],
            "deny_policies.end_exemption": list(faults),
        }
        wanted = opening(world)
        verdict = await glass(world).open(cluster.id, wanted)
        assert verdict.outcome is Outcome.REFUSED
        assert list(verdict.because) == ["not opened: locked", *(one.format(wanted.until) for one in said)]
        assert (world.kept[cluster.id.key].exempt_until is None) is not bool(faults)
