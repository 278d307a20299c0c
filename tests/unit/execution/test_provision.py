"""A cluster that is closed from its first day."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from aks_entra.core.cluster import ClusterId, Identity, Pool
from aks_entra.core.creation.new_cluster import MAINTENANCE, ChildResource, NewCluster
from aks_entra.core.evidence.observations import (
    ClusterCreated,
    Evidence,
    GroupEnsured,
    NodesSeen,
    SignInProven,
    StateSeen,
)
from aks_entra.core.target import AzureRbac, GroupTarget, Target
from aks_entra.core.verdict.verdict import Grade, Outcome, judge_created
from aks_entra.errors import AksEntraError, Diverged, Refused, Rejected, TryLater
from tests.support.memory_model import ADMINS, OTHERS, PROVER, SUBSCRIPTION, TENANT, Group, Killed
from tests.support.memory_ports import World

NEW = ClusterId(subscription_id=SUBSCRIPTION, resource_group="new-weu", name="new-01")
BODY = {"location": "West Europe", "properties": {}}
SPEC = NewCluster(cluster=NEW, admin_group_ids=(), tenant_id=TENANT, body=BODY)
WINDOW = ChildResource(kind=MAINTENANCE, name="aksManagedAutoUpgradeSchedule", properties={"maintenanceWindow": {}})
WHOLE = replace(SPEC, children=(WINDOW,))
ASKED = GroupTarget(display_name="new-admins", unique_name="new-admins", members=("dana",))
EXISTING = GroupTarget(display_name="aks-admins", id=ADMINS)


async def provision(world: World, spec: NewCluster = SPEC, *groups: GroupTarget) -> tuple[Evidence, ...]:
    return await world.process().executor.provision(spec, groups or (ASKED,))


async def test_created_and_proven() -> None:
    world = World()
    evidence = await provision(world, SPEC, EXISTING, ASKED)

    kinds = [type(one) for one in evidence]
    assert kinds[:3] == [GroupEnsured, GroupEnsured, ClusterCreated]
    assert {SignInProven, NodesSeen, StateSeen} <= set(kinds)
    created = next(one for one in evidence if isinstance(one, ClusterCreated))
    assert created.changed
    assert created.correlation_id
    cluster = world.clusters[NEW.key]
    assert not cluster.local_accounts
    assert world.resource_groups == {"new-weu"}
    assert world.writes == ["group new-admins", "new-01 Creating"]
    target = Target(tenant_id=TENANT, admin_groups=(EXISTING, ASKED), azure_rbac=AzureRbac.ON)
    verdict = judge_created(NEW, target, evidence)
    assert verdict.outcome is Outcome.VERIFIED, verdict.because
    assert verdict.grade is Grade.BY_RECORD


async def test_killed_at_any_moment_and_run_again() -> None:
    reference = World()
    await provision(reference, WHOLE)
    for moment in range(1, reference.moments + 1):
        world = World()
        world.kill_at = moment
        with pytest.raises(Killed):
            await provision(world, WHOLE)
        evidence = await provision(world, WHOLE)
        assert isinstance(evidence[-1], StateSeen), moment
        window = "new-01 maintenance window aksManagedAutoUpgradeSchedule"
        assert sorted(set(world.writes)) == ["group new-admins", "new-01 Creating", window], moment
        assert world.writes.count("new-01 Creating") == 1, moment


async def test_one_that_is_being_made_is_attached_to_and_one_that_is_there_is_left() -> None:
    world = World()
    found = world.add("new-01", "new-weu", identity=Identity.MANAGED, local_accounts=False, azure_rbac=True)
    world.start(found, "Creating", 100)
    creating = await provision(world, SPEC, EXISTING)
    there = await provision(world, SPEC, EXISTING)
    changed = [[one.changed for one in seen if isinstance(one, ClusterCreated)] for seen in (creating, there)]
    assert changed == [[True], [False]]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"local_accounts": True}, "properties.disableLocalAccounts: asked for true, found false"),
        ({"azure_rbac": False}, "properties.aadProfile.enableAzureRBAC: asked for true, found false"),
        ({"identity": Identity.NONE}, "properties.aadProfile.managed: asked for true, found nothing"),
        ({"location": "northeurope"}, "location: asked for westeurope, found northeurope"),
        ({"tenant_id": "another"}, "properties.aadProfile.tenantID: asked for"),
        ({"groups": (OTHERS,)}, f"adminGroupObjectIDs: asked for {ADMINS}, found {OTHERS}"),
    ],
)
async def test_one_that_exists_otherwise_is_refused(how: dict[str, object], said: str) -> None:
    world = World()
    world.add("new-01", "new-weu", **{"identity": Identity.MANAGED, "local_accounts": False, "azure_rbac": True, **how})
    with pytest.raises(Refused) as refused:
        await provision(world, SPEC, EXISTING)
    assert said in refused.value.message
    assert refused.value.cluster == "new-weu/new-01"
    assert world.writes == []


@pytest.mark.parametrize(
    "group",
    [
        GroupTarget(display_name="nobody", id=OTHERS),
        GroupTarget(display_name="deleted", id=TENANT),
        GroupTarget(display_name="mail", id=PROVER),
    ],
)
async def test_a_group_that_admits_nobody_is_refused(group: GroupTarget) -> None:
    world = World()
    world.groups[TENANT] = Group(id=TENANT, name="deleted", deleted_on="2026-11-02")
    world.groups[PROVER] = Group(id=PROVER, name="mail", security=False)
    with pytest.raises(Refused, match="does not exist, is deleted or is not security-enabled"):
        await provision(world, SPEC, group)
    assert world.writes == []


async def test_a_creation_that_fails_is_repeated_by_the_same_request() -> None:
    world = World()
    world.ends["Creating"] = ["Failed", "Canceled", "Succeeded"]
    for ending in ("Failed", "Canceled"):
        with pytest.raises(Diverged, match=f"the cluster's creation ended {ending}") as diverged:
            await provision(world)
        assert "run the same request again" in diverged.value.remedy
    evidence = await provision(world)
    (created,) = [one for one in evidence if isinstance(one, ClusterCreated)]
    assert not created.changed  # what happened to it before this run is not known
    assert world.writes.count("new-01 Creating") == 3
    assert world.consumed()


async def test_a_failed_creation_that_somebody_repeats_in_this_moment_is_waited_for() -> None:
    world = World()
    found = world.add("new-01", "new-weu", identity=Identity.MANAGED, local_accounts=False, azure_rbac=True)
    found.state = "Failed"
    calls = iter(range(9))

    def repeats() -> None:
        if world.calls[-1] == "arm.document" and next(calls) == 1:
            world.start(found, "Creating", 100)

    world.observers.append(repeats)
    evidence = await provision(world, SPEC, EXISTING)
    assert world.writes == ["new-01 Creating"]
    assert isinstance(evidence[-1], StateSeen)


async def test_an_operation_that_ends_otherwise_while_it_is_waited_for_diverges() -> None:
    world = World()
    found = world.add("new-01", "new-weu", identity=Identity.MANAGED, local_accounts=False, azure_rbac=True)
    world.ends["Creating"] = ["Failed"]
    world.start(found, "Creating", 100)
    with pytest.raises(Diverged, match="the cluster's creation ended Failed"):
        await provision(world, SPEC, EXISTING)


async def test_what_is_missing_below_a_cluster_is_created_and_what_differs_is_refused() -> None:
    world = World()
    world.add("new-01", "new-weu", identity=Identity.MANAGED, local_accounts=False, azure_rbac=True)
    new = replace(WHOLE, children=(replace(WINDOW, properties={"maintenanceWindow": {"durationHours": 4}}),))
    await provision(world, new, EXISTING)
    await provision(world, new, EXISTING)
    assert world.writes == ["new-01 maintenance window aksManagedAutoUpgradeSchedule"]
    longer = replace(WHOLE, children=(replace(WINDOW, properties={"maintenanceWindow": {"durationHours": 8}}),))
    with pytest.raises(Refused) as refused:
        await provision(world, longer, EXISTING)
    assert "aksManagedAutoUpgradeSchedule: maintenanceWindow.durationHours: asked for 8, found 4" in str(refused.value)
    assert len(world.writes) == 1


async def test_a_request_that_azure_would_refuse_is_refused_before_the_first_write() -> None:
    world = World()
    world.regions = {"northeurope": ()}
    with pytest.raises(Refused, match="the subscription has no region westeurope") as refused:
        await provision(world)
    assert refused.value.code == "NotPossible"
    world.regions = {"westeurope": ("1",)}
    world.linked[f"/subscriptions/{SUBSCRIPTION}"] = False
    with pytest.raises(Refused, match=r"lacks .*resourceGroups/write.*; the runner lacks"):
        await provision(world)
    assert world.writes == []


async def test_a_private_cluster_is_not_verified_from_outside_of_its_network() -> None:
    world = World()
    private = {"location": "westeurope", "properties": {"apiServerAccessProfile": {"enablePrivateCluster": True}}}
    new = replace(SPEC, body=private)
    for reachable, outcome in ((False, Outcome.NOT_VERIFIED), (True, Outcome.VERIFIED)):
        evidence = await provision(world, new, EXISTING)
        target = Target(tenant_id=TENANT, admin_groups=(EXISTING,), azure_rbac=AzureRbac.ON)
        ours = [replace(one, changed=True) if isinstance(one, ClusterCreated) else one for one in evidence]
        verdict = judge_created(NEW, target, tuple(ours))
        assert verdict.outcome is outcome, (reachable, verdict.because)
        if not reachable:
            assert verdict.because[0].startswith("proof needs a worker in the network: the private API server")
            assert "--work-queue" in verdict.next
            assert "admin credentials refused by Azure" in verdict.because
        world.clusters[NEW.key].reachable = True


async def test_an_answer_that_was_lost_is_found_again() -> None:
    world = World()
    world.faults["arm.operation"] = [TryLater("throttled")]
    process = world.process()
    settled = TryLater("an operation is still running")
    world.faults["arm.list_clusters"] = [settled]
    evidence = await process.executor.provision(SPEC, (ASKED,))
    assert isinstance(evidence[-1], StateSeen)
    assert world.writes.count("new-01 Creating") == 1


async def test_created_by_somebody_else_in_the_same_moment() -> None:
    world = World()
    process = world.process()
    world.faults["arm.create_cluster"] = [TryLater("the connection broke")]
    elsewhere = replace(SPEC, admin_group_ids=(ADMINS,))
    task_done = await world.process().executor.provision(elsewhere, ())
    assert task_done
    evidence = await process.executor.provision(elsewhere, (EXISTING,))
    created = next(one for one in evidence if isinstance(one, ClusterCreated))
    assert not created.changed


async def test_it_exists_when_the_put_is_tried_again() -> None:
    world = World()
    lost = TryLater("the answer was lost", after=5)

    def appears() -> None:
        world.add(
            "new-01",
            "new-weu",
            identity=Identity.MANAGED,
            groups=(ADMINS,),
            local_accounts=False,
            azure_rbac=True,
            pools=(Pool(name="nodepool1", count=1),),
        )

    world.faults["arm.create_cluster"] = [lost]
    world.after["arm.create_cluster"] = appears
    evidence = await provision(world, SPEC, EXISTING)
    assert next(one for one in evidence if isinstance(one, ClusterCreated)).changed


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Rejected("forbidden", status=403), None),
        (Refused("forbidden", status=403), None),
        (Rejected("broken", status=400), Rejected),
    ],
)
async def test_sign_in_that_is_refused_at_first(fault: AksEntraError, error: type[Exception] | None) -> None:
    world = World()
    world.faults["kubernetes.sign_in"] = [fault]
    if error is None:
        assert await provision(world)
    else:
        with pytest.raises(error, match="broken"):
            await provision(world)
    assert world.consumed()


async def test_a_prover_outside_the_group_diverges() -> None:
    world = World()
    world.groups[ADMINS].members = {"dana"}
    with pytest.raises(Diverged, match="is no administrator of the cluster \\(after 15 minutes\\)"):
        await provision(world, SPEC, EXISTING)


async def test_azure_that_hands_out_credentials_diverges() -> None:
    world = World()
    found = world.add("new-01", "new-weu", identity=Identity.MANAGED, local_accounts=False, azure_rbac=True)
    found.refuses_at = world.now() + timedelta(days=1)
    process = world.process()
    with pytest.raises(Diverged, match="still hands out admin credentials"):
        await process.executor.provision(SPEC, (EXISTING,))
    assert not process.vault.held


async def test_nodes_that_do_not_come_diverge() -> None:
    world = World()
    found = world.add("new-01", "new-weu", identity=Identity.MANAGED, local_accounts=False, azure_rbac=True)
    found.settled_at = world.now() + timedelta(days=1)
    with pytest.raises(Diverged, match="nodes are not ready: pool system: 1 Ready"):
        await provision(world, SPEC, EXISTING)


async def test_what_cannot_be_read_is_not_taken_for_missing() -> None:
    world = World()
    world.faults["arm.document"] = [Refused("no right", code="AuthorizationFailed", status=403)]
    with pytest.raises(Refused, match="no right"):
        await provision(world)
    assert world.writes == []
