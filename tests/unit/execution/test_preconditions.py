"""What could bar a way in or a way back is asked again just before a write, by the process that writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from aks_entra.core.access.conditional_access import SeenSignIn
from aks_entra.core.access.deny_assignments import EVERYONE, DenyAssignment, Principal
from aks_entra.core.cluster import Identity, LinkedRight
from aks_entra.core.evidence.observations import Failure
from aks_entra.core.planning.job import Job
from aks_entra.core.preflight import ConditionalAccessPolicy, Endpoint, Home, Lock, Skip
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import TryLater
from aks_entra.execution.gate_recheck import changes
from aks_entra.planning.rollback import plan_way_back
from tests.support.cases import DENIES, OWN_POLICY
from tests.support.executor_jobs import calls_of_a_migration, job_for, job_of, planned
from tests.support.memory_model import ADMINS, PROVER, SUBSCRIPTION, Happening
from tests.support.memory_ports import World

MANAGED = "Microsoft.ContainerService/managedClusters"
ASSIGN = LinkedRight(action="Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", scope="/s/identity")
FORBIDS = DenyAssignment(
    name="no-admin",
    scope=f"/subscriptions/{SUBSCRIPTION}",
    permissions=(((f"{MANAGED}/listClusterAdminCredential/action",), ()),),
    principals=(Principal(id=EVERYONE),),
)


def without(action: str) -> Callable[[World], None]:
    return lambda world: setattr(world, "missing_permissions", (f"{MANAGED}/{action}",))


def of_world(**change: object) -> Callable[[World], None]:
    def happens(world: World) -> None:
        for name, value in change.items():
            setattr(world, name, value)

    return happens


def of_identity(held: bool | None) -> Callable[[World], None]:
    def happens(world: World) -> None:
        for cluster in world.clusters.values():
            cluster.linked = (ASSIGN,)
        world.linked = {ASSIGN.scope: held}

    return happens


def of_group(**change: object) -> Callable[[World], None]:
    def happens(world: World) -> None:
        for name, value in change.items():
            setattr(world.groups[ADMINS], name, value)

    return happens


def moved_onto_the_cluster(world: World) -> None:
    [cluster] = world.clusters.values()
    world.home = Home(in_cluster=True, ca=cluster.ca.fingerprint)


BARS: list[tuple[str, Callable[[World], None]]] = [
    ("B021", of_world(policies=(DENIES,))),
    ("U121", of_world(policies=None)),
    ("U121", of_world(policies=(replace(DENIES, effect=None),))),
    ("B041", of_world(policy_evaluations=(OWN_POLICY,))),
    ("B012", of_world(locks=(Lock(name="keep", level="ReadOnly", scope="rg"),))),
    ("U112", of_world(locks=None)),
    ("B011", without("write")),
    ("B011", without("rotateClusterCertificates/action")),
    ("B011", without("listClusterAdminCredential/action")),
    ("U111", of_world(missing_permissions=None)),
    ("B011", of_identity(held=False)),
    ("U111", of_identity(held=None)),
    ("B026", of_world(denials=(FORBIDS,))),
    ("U126", of_world(denials=None)),
    ("B005", of_world(groups={})),
    ("B006", of_group(security=False)),
    ("B007", of_group(deleted_on="2026-11-24T08:00:00Z")),
    ("B008", of_group(members=set())),
    ("B016", moved_onto_the_cluster),
    ("B016", of_world(home=Home(endpoints=(Endpoint(variable="PREFECT_API_URL", host="p", addresses=("20.1.2.3",)),)))),
    ("U116", of_world(home=Home(in_cluster=True))),
]


@pytest.mark.parametrize(("rule", "happens"), BARS)
@pytest.mark.parametrize("start", ["none", "managed"])
async def test_what_bars_a_way_since_the_approval_stops_the_cluster_before_its_first_write(
    rule: str, happens: Callable[[World], None], start: str
) -> None:
    world = World()
    cluster = world.add(**({"identity": Identity.MANAGED} if start == "managed" else {}))
    job = await job_for(world)
    happens(world)
    verdict = await world.process().executor.migrate(job)
    assert world.writes == []
    assert cluster.local_accounts
    assert verdict.outcome in {Outcome.REFUSED, Outcome.FAILED}, verdict.because
    if start == "none":
        [failure] = [one for one in verdict.evidence if isinstance(one, Failure)]
        assert (verdict.outcome, failure.code) == (Outcome.REFUSED, rule)
        assert f"{rule} " in verdict.because[0]
        assert "plan again" in verdict.next


@pytest.mark.parametrize(("rule", "happens"), BARS)
async def test_what_bars_a_way_at_the_gate_has_moved_the_plan(rule: str, happens: Callable[[World], None]) -> None:
    world = World()
    world.add()
    plan = await planned(world)
    ports = world.process().ports
    assert await changes(ports, plan.clusters, ()) == {}
    happens(world)
    [differences] = (await changes(world.process().ports, plan.clusters, ())).values()
    assert any(one.startswith(f"{rule} ") for one in differences), differences
    assert world.writes == []


async def test_the_other_clusters_go_on() -> None:
    world = World()
    barred, other = world.add(), world.add("shop-02")
    plan = await planned(world)
    process = world.process()
    reads = process.ports.arm.policies

    class Barred:
        async def policies(self, cluster: object) -> object:
            return (DENIES,) if cluster == barred.id else await reads(other.id)

        def __getattr__(self, name: str) -> object:
            return getattr(process.ports.arm, name)

    executor = type(process.executor)(replace(process.ports, arm=Barred()), process.watch, process.timeouts)  # type: ignore[arg-type]  # one answer differs
    first = await executor.migrate(job_of(plan, 0))
    second = await executor.migrate(job_of(plan, 1))
    assert (first.outcome, second.outcome) == (Outcome.REFUSED, Outcome.VERIFIED)
    assert barred.rotations == 0
    assert other.rotations == 1


@pytest.mark.parametrize("rule", ["U121", "U112", "U111", "U126"])
async def test_an_unknown_way_back_is_passed_once_a_person_accepted_it_with_a_reason(rule: str) -> None:
    world = World()
    world.add()
    job = await job_for(world)
    changes = {"U121": "policies", "U112": "locks", "U111": "missing_permissions", "U126": "denials"}
    setattr(world, changes[rule], None)
    assert (await world.process().executor.migrate(job)).outcome is Outcome.REFUSED
    accepted = replace(job, skips=(Skip(rule=rule, reason="CHG-1042"),))
    assert (await world.process().executor.migrate(accepted)).outcome is Outcome.VERIFIED


@pytest.mark.parametrize("before", ["arm.set_local_accounts", "arm.rotate_certificates"])
async def test_it_is_asked_again_before_each_write_that_closes_something(before: str) -> None:
    """A Deny policy that is assigned after one write stops the next one."""
    calls = await calls_of_a_migration()
    number = calls.index(before)
    world = World()
    cluster = world.add()
    job = await job_for(world)
    earlier = max(at for at, name in enumerate(calls[:number]) if name == "arm.policies")
    world.happenings[earlier + 1] = Happening(event=lambda: setattr(world, "policies", (DENIES,)))
    verdict = await world.process().executor.migrate(job)
    assert all(one.met for one in world.happenings.values())
    assert verdict.outcome is Outcome.FAILED
    assert "B021" in verdict.because[0]
    assert cluster.rotations == 0
    assert cluster.local_accounts is (before == "arm.set_local_accounts")


async def test_a_service_that_asks_to_come_again_is_waited_for() -> None:
    calls = await calls_of_a_migration()
    world = World()
    world.add()
    job = await job_for(world)
    asked = [at for at, name in enumerate(calls, 1) if name == "arm.locks"]
    for at in asked[1:]:
        world.happenings[at] = Happening(error=TryLater("throttled", after=7))
    assert (await world.process().executor.migrate(job)).outcome is Outcome.VERIFIED
    assert world.happenings[asked[1]].met


async def test_a_way_back_is_never_held_up() -> None:
    world = World()
    cluster = world.add()
    plan = await planned(world)
    assert (await world.process().executor.migrate(job_of(plan))).outcome is Outcome.VERIFIED
    back = await plan_way_back(world.process().ports, plan, (cluster.id,), ())
    world.locks = world.policies = world.missing_permissions = world.denials = None
    await world.process().executor.migrate(Job(digest=back.digest, plan=back.clusters[0], prover=back.prover))
    assert cluster.local_accounts


async def test_conditional_access_that_came_since_stops_the_cluster() -> None:
    class Blocked:
        async def in_the_way(self, principal_id: str, *, person: bool) -> tuple[ConditionalAccessPolicy, ...]:
            assert principal_id == PROVER
            assert not person
            return (ConditionalAccessPolicy(name="No robots", controls=("block",)),)

        async def sign_ins(self, policy_id: str, since: datetime, user_id: str = "") -> tuple[SeenSignIn, ...]:
            raise AssertionError(f"who has signed in does not matter before a write: {policy_id} {since} {user_id}")

    world = World()
    cluster = world.add()
    job = await job_for(world)
    process = world.process()
    executor = type(process.executor)(
        replace(process.ports, conditional_access=Blocked()), process.watch, process.timeouts
    )
    verdict = await executor.migrate(job)
    assert "B025" in verdict.because[0]
    assert cluster.identity is Identity.NONE


async def test_an_api_server_that_this_process_cannot_reach_stops_the_one_way_write() -> None:
    world = World()
    cluster = world.add()
    job = await job_for(world)
    cluster.reachable = False
    verdict = await world.process().executor.migrate(job)
    assert "B013" in verdict.because[0]
    assert world.writes == []
