"""The way back of clusters that were migrated: it restores what can be restored, and locks nobody out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aks_entra.core.cluster import Identity, LinkedRight
from aks_entra.core.evidence.observations import CredentialTried, LocalAccountsEnabled, StateSeen
from aks_entra.core.evidence.rotation_debt import Debt, old_credentials
from aks_entra.core.planning.fleet import WantedGroup, WantedTarget
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.rollback import rollback_fleet
from aks_entra.core.preflight import Lock, Severity
from aks_entra.core.steps import Guarded
from aks_entra.core.target import AzureRbac, LocalAccounts, RotationPolicy
from aks_entra.core.verdict.report import FleetReport, records_of
from aks_entra.core.verdict.rollback import is_restored
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.documents import dump_plan, load_plan
from aks_entra.errors import Refused
from aks_entra.planning.rollback import chosen, plan_way_back
from tests.support.cases import ADMINS, OTHERS
from tests.support.executor_jobs import CREATED, STARTS, job_for, job_of, planned
from tests.support.memory_model import PROVER, Group, posture_of
from tests.support.memory_ports import World

CLOSED: dict[str, Any] = {"identity": Identity.MANAGED, "local_accounts": False}


async def back_of(world: World, done: FleetPlan, *names: str) -> FleetPlan:
    return await plan_way_back(world.process().ports, done, chosen(done, names), ())


def rules(plan: FleetPlan) -> dict[str, Severity]:
    return {finding.rule: finding.severity for finding in plan.clusters[0].findings}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("group", [WantedGroup(id=ADMINS), CREATED], ids=["existing group", "created group"])
async def test_a_rollback_restores_what_can_be_restored(start: str, group: WantedGroup) -> None:
    world = World()
    world.groups[OTHERS] = Group(id=OTHERS, name="others", members={"eve", PROVER})
    cluster = world.add(**STARTS[start], tags=(("env", "prod"),))
    was = Guarded.of(posture_of(cluster))
    done = await planned(world, WantedTarget(admin_groups=(group,)))
    assert (await world.process().executor.migrate(job_of(done))).outcome is Outcome.VERIFIED
    back = await back_of(world, done)
    assert load_plan(dump_plan(back)) == back
    assert back.name == "rollback of prod"
    if not back.stages:
        assert start == "closed, never rotated"
        assert group.id == ADMINS
        return

    verdict = await world.process().executor.migrate(job_of(back))

    now = Guarded.of(posture_of(cluster))
    assert now.local_accounts is was.local_accounts
    assert now.identity is Identity.MANAGED
    if was.identity is Identity.MANAGED:
        assert now.admin_groups == was.admin_groups
        assert now.azure_rbac is was.azure_rbac
    assert cluster.rotations == 1
    assert cluster.tags == (("env", "prod"),)
    assert is_restored(back.clusters[0], verdict.evidence), verdict.because
    assert verdict.outcome is Outcome.NOT_VERIFIED
    if was.local_accounts:
        assert verdict.because[0].startswith("local accounts are open")
        assert "an admin credential from Azure works" in verdict.because
        assert [one.status for one in verdict.evidence if isinstance(one, CredentialTried)] == [200, 200]
    assert (await back_of(world, done)).stages == ()  # there is nothing left to roll back


async def test_an_open_cluster_owes_a_rotation_as_soon_as_it_is_closed_again() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    done = await planned(world)
    await world.process().executor.migrate(job_of(done))
    back = await back_of(world, done)
    verdict = await world.process().executor.migrate(job_of(back))
    report = FleetReport(name=back.name, plan_digest=back.digest, started_at="", ended_at="", verdicts=(verdict,))
    records = records_of(report, "r")
    cluster.local_accounts = False

    debt = old_credentials(posture_of(cluster).with_ca(cluster.ca), records)

    assert debt.debt is Debt.OWED
    assert "accounts were open on 2026-11-24" in debt.because
    assert sum(isinstance(one, LocalAccountsEnabled) and one.changed for one in verdict.evidence) == 1


async def test_the_findings_say_what_stays() -> None:
    world = World()
    world.add()
    done = await planned(world, WantedTarget(admin_groups=(CREATED,)))
    await world.process().executor.migrate(job_of(done))
    back = await back_of(world, done)
    assert [step.kind for step in back.clusters[0].steps] == ["enable-local-accounts", "verify-restored"]
    assert rules(back) == {
        "R001": Severity.WARNING,
        "R002": Severity.INFO,
        "R003": Severity.INFO,
        "R006": Severity.INFO,
    }


async def test_without_a_rotation_old_credentials_never_died() -> None:
    world = World()
    world.add(identity=Identity.MANAGED)
    done = await planned(world, WantedTarget(admin_groups=(WantedGroup(id=ADMINS),), rotation=RotationPolicy.LATER))
    await world.process().executor.migrate(job_of(done))
    assert rules(await back_of(world, done))["R004"] is Severity.WARNING


async def test_what_others_did_since_is_preserved() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED, groups=(OTHERS,))
    world.groups[OTHERS] = Group(id=OTHERS, name="others", members={PROVER})
    done = await planned(world)
    await world.process().executor.migrate(job_of(done))
    third = "99999999-9999-9999-9999-999999999999"
    cluster.groups = (*cluster.groups, third)
    cluster.azure_rbac = True
    back = await back_of(world, done)
    assert rules(back)["R007"] is Severity.INFO
    await world.process().executor.migrate(job_of(back))
    assert set(cluster.groups) == {OTHERS, third}
    assert cluster.azure_rbac


async def test_a_moved_cluster_is_refused_and_nothing_is_written() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    done = await planned(world)
    await world.process().executor.migrate(job_of(done))
    back = await back_of(world, done)
    cluster.azure_rbac = True
    before = list(world.writes)
    verdict = await world.process().executor.migrate(job_of(back))
    assert verdict.outcome is Outcome.REFUSED
    assert world.writes == before


async def test_groups_are_taken_away_only_when_somebody_still_gets_in() -> None:
    """The cluster was closed before the migration: without a proof by a group that stays, nothing is written."""
    world = World()
    cluster = world.add(**CLOSED, groups=(OTHERS,))
    world.groups[OTHERS] = Group(id=OTHERS, name="others", members={"eve"})
    done = await planned(world)
    await world.process().executor.migrate(job_of(done))
    back = await back_of(world, done)
    assert [step.kind for step in back.clusters[0].steps] == ["prove-sign-in", "update-entra", "verify-restored"]
    assert rules(back)["R005"] is Severity.INFO
    before = list(world.writes)
    verdict = await world.process().executor.migrate(job_of(back))
    assert verdict.outcome is Outcome.REFUSED
    assert world.writes == before
    assert ADMINS in cluster.groups


async def test_a_role_that_loses_its_meaning_is_no_way_in() -> None:
    world = World()
    cluster = world.add(**CLOSED, groups=(OTHERS,), roles={PROVER})
    world.groups[OTHERS] = Group(id=OTHERS, name="others", members={"eve"})
    done = await planned(world, WantedTarget(admin_groups=(WantedGroup(id=OTHERS),), azure_rbac=AzureRbac.ON))
    await world.process().executor.migrate(job_of(done))
    assert cluster.azure_rbac
    verdict = await world.process().executor.migrate(job_of(await back_of(world, done)))
    assert verdict.outcome is Outcome.REFUSED
    assert cluster.azure_rbac


async def test_what_holds_a_rollback_back() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    done = await planned(world)
    await world.process().executor.migrate(job_of(done))
    world.missing_permissions = None
    world.locks = None
    assert {"R010": Severity.UNKNOWN, "R011": Severity.UNKNOWN}.items() <= rules(await back_of(world, done)).items()
    world.missing_permissions = ("Microsoft.ContainerService/managedClusters/write",)
    world.locks = (Lock(name="keep", level="ReadOnly", scope="/s"), Lock(name="stay", level="CanNotDelete", scope="/s"))
    held = await back_of(world, done)
    assert [(finding.message, finding.remedy) for finding in held.clusters[0].blockers] == [
        (
            "this identity lacks Microsoft.ContainerService/managedClusters/write",
            "assign a role with these rights, or ask somebody who has them to roll back",
        ),
        ("lock keep on /s forbids every change", "remove the lock during the rollback"),
    ]
    assert {"R010": Severity.BLOCKER, "R011": Severity.BLOCKER}.items() <= rules(held).items()
    assert held.clusters[0].disposition == "refused"
    world.missing_permissions, world.locks = (), ()
    assert "R010" not in rules(await back_of(world, done))
    cluster.linked = (LinkedRight(action="join/action", scope="/subnet"),)
    world.linked = {"/subnet": None}
    assert rules(await back_of(world, done))["R010"] is Severity.UNKNOWN
    world.linked = {"/subnet": False}
    held = await back_of(world, done)
    assert [one.message for one in held.clusters[0].blockers] == ["this identity lacks join/action on /subnet"]
    world.clusters.pop(cluster.id.key)
    gone = await back_of(world, done)
    assert rules(gone) == {"R013": Severity.BLOCKER}
    assert gone.clusters[0].disposition == "refused"
    assert gone.clusters[0].blockers[0].remedy == "look at it in Azure"
    assert gone.clusters[0].target.local_accounts is LocalAccounts.KEEP
    assert gone.clusters[0].restores
    world.faults["arm.cluster"] = [Refused("no token")]
    assert "no token" in (await back_of(world, done)).clusters[0].blockers[0].message


async def test_clusters_are_chosen_by_name() -> None:
    world = World()
    world.add("shop-01")
    world.add("shop-01", "pay-weu", fqdn="pay")
    world.add("shop-02", fqdn="two")
    done = await planned(world)
    assert len(chosen(done, ())) == 3
    assert [str(one) for one in chosen(done, ("SHOP-02", "pay-weu/shop-01", "shop-02"))] == [
        "shop-weu/shop-02",
        "pay-weu/shop-01",
    ]
    with pytest.raises(Refused, match="more than once"):
        chosen(done, ("shop-01",))
    with pytest.raises(Refused, match="is not in the plan"):
        chosen(done, ("nobody",))
    back = await back_of(world, done)
    assert {one.disposition for one in back.clusters} == {"nothing to do"}  # nothing was migrated
    await world.process().executor.migrate(job_of(done, 2))
    back = await back_of(world, done)
    with pytest.raises(Refused, match="plan of a rollback"):
        await back_of(world, back)


async def test_a_stopped_cluster_is_skipped() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    done = await planned(world)
    await world.process().executor.migrate(job_of(done))
    cluster.power_state = "Stopped"
    back = await back_of(world, done)
    assert (await world.process().executor.migrate(job_of(back))).outcome is Outcome.SKIPPED


async def test_azure_that_goes_on_refusing_admin_credentials_diverges() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    done = await planned(world)
    await world.process().executor.migrate(job_of(done))
    back = await back_of(world, done)
    cluster.hands_out_at = world.now().replace(year=2030)
    verdict = await world.process().executor.migrate(job_of(back))
    assert verdict.outcome is Outcome.FAILED
    assert "refuses admin credentials" in verdict.because[0]


async def test_an_admin_credential_that_does_not_work_is_no_way_in() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    done = await planned(world)
    await world.process().executor.migrate(job_of(done))
    back = await back_of(world, done)
    cluster.silent_until = world.now().replace(year=2030)
    process = world.process()
    verdict = await process.executor.migrate(job_of(back))
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert "no admin credential was seen to work" in verdict.because
    assert not is_restored(back.clusters[0], verdict.evidence)
    assert not process.vault.held


async def test_a_write_without_effect_diverges() -> None:
    world = World()
    world.add(identity=Identity.MANAGED)
    done = await planned(world)
    await world.process().executor.migrate(job_of(done))
    back = await back_of(world, done)
    world.without_effect.add("set_local_accounts")
    verdict = await world.process().executor.migrate(job_of(back))
    assert verdict.outcome is Outcome.FAILED
    assert "local accounts are off" in verdict.because[0]


async def test_accounts_that_were_kept_on_stay_on() -> None:
    world = World()
    world.groups[OTHERS] = Group(id=OTHERS, name="others", members={"eve"})
    cluster = world.add(identity=Identity.MANAGED, groups=(OTHERS,))
    job: Job = await job_for(
        world, WantedTarget(admin_groups=(WantedGroup(id=ADMINS),), local_accounts=LocalAccounts.KEEP)
    )
    done = await planned(world, WantedTarget(admin_groups=(WantedGroup(id=ADMINS),), local_accounts=LocalAccounts.KEEP))
    await world.process().executor.migrate(job)
    back = await back_of(world, done)
    assert [step.kind for step in back.clusters[0].steps] == ["update-entra", "verify-restored"]
    verdict = await world.process().executor.migrate(job_of(back))
    assert cluster.groups == (OTHERS,)
    assert any(isinstance(one, StateSeen) and one.local_accounts for one in verdict.evidence)


async def test_a_rollback_is_one_gated_stage_in_which_nobody_waits_for_another_ones_success() -> None:
    world = World()
    for number in range(3):
        world.add(f"shop-{number}", identity=Identity.MANAGED, fqdn=f"{number}.azmk8s.io")
    done = await planned(world)
    for index in range(2):
        await world.process().executor.migrate(job_of(done, index))
    (stage,) = (await back_of(world, done)).stages
    assert (stage.name, stage.gate_before, stage.max_concurrency, stage.max_allowed_failures) == (
        "rollback",
        True,
        5,
        2,
    )
    assert [(group.name, len(group.members)) for group in stage.groups] == [("all", 2)]
    alone = rollback_fleet(replace(done, stages=()), (await back_of(world, done)).clusters, created_at="now")
    assert alone.stages[0].max_concurrency == 1
    assert alone.created_at == "now"
