"""The way back over the wire: rollback and break-glass with Azure's own SDKs, tags and unknown properties preserved."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aks_entra.break_glass import BreakGlass
from aks_entra.core.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.opening import Opening, opening_on
from aks_entra.core.plan import FleetPlan, Prover
from aks_entra.core.restored import is_restored
from aks_entra.core.verdict import Outcome
from aks_entra.errors import TryLater
from aks_entra.executor import Job
from aks_entra.one_place import OnePlace
from aks_entra.survey import plan_fleet
from aks_entra.wayback import plan_way_back
from azure_sandbox.http import Reply
from tests.contract.conftest import ADMINS, SUBSCRIPTION, cluster

if TYPE_CHECKING:
    from aks_entra.wiring import Session
    from azure_sandbox.server import Sandbox
    from tests.contract.conftest import Opener

LOCKED = Reply(409, {"error": {"code": "ScopeLocked", "message": "The scope cannot perform write operation."}})


async def planned(session: Session, name: str) -> FleetPlan:
    target = WantedTarget(admin_groups=(WantedGroup(id=ADMINS),))
    selector = Selector(subscription=SUBSCRIPTION, name=name)
    return await plan_fleet(session.ports, Fleet(name="prod", selectors=(selector,), target=target), ())


def job(plan: FleetPlan) -> Job:
    return Job(digest=plan.digest, plan=plan.clusters[0], prover=plan.prover)


async def who(session: Session) -> Prover:
    return Prover(object_id=(await session.ports.callers.prover()).object_id)


def glass(session: Session) -> BreakGlass:
    return BreakGlass(session.ports, session.watch, session.executor, session.limits)


async def opening(session: Session) -> Opening:
    now = session.ports.clock.now()
    return Opening(
        until=(now + timedelta(minutes=45)).isoformat(timespec="seconds"),
        since=now.isoformat(timespec="seconds"),
        reason="INC-77",
        opener="dana",
    )


async def test_a_migration_is_rolled_back(opened: Opener) -> None:
    async with opened() as session:
        done = await planned(session, "plain")
        assert (await session.executor.migrate(job(done))).outcome is Outcome.VERIFIED
        back = await plan_way_back(session.ports, done, (cluster("plain"),), ())
        assert [step.kind for step in back.clusters[0].steps] == ["enable-local-accounts", "verify-restored"]

        verdict = await session.executor.migrate(job(back))

        assert is_restored(back.clusters[0], verdict.evidence), verdict.because
        posture = await session.ports.arm.cluster(cluster("plain"))
        assert posture.local_accounts
        assert posture.tags == (("env", "prod"),)


async def test_break_glass_opens_and_closes_in_one_write_each(opened: Opener, tmp_path: Path) -> None:
    async with opened() as session:
        one = cluster("guarded")
        wanted = await opening(session)
        assert (await session.ports.arm.subscription_ids()) == (SUBSCRIPTION,)
        place = OnePlace.reserve(tmp_path / "guarded.kubeconfig")
        with pytest.raises(TryLater, match="does not hand out"):
            await session.ports.arm.hand_out_admin_kubeconfig(one, place)
        assert (await glass(session).open(one, wanted)).outcome is Outcome.NOT_VERIFIED
        await glass(session).hand_out(one, place)
        assert "client-certificate-data" in (tmp_path / "guarded.kubeconfig").read_text()
        found = [it async for it in glass(session).openings(SUBSCRIPTION)]
        assert [(it.key, standing) for it, standing in found] == [(one.key, wanted)]
    async with opened() as session:  # another process
        verdict = await glass(session).close(one, await who(session))
        assert verdict.because[0] == "local accounts are closed again", verdict.because
        posture = await session.ports.arm.cluster(one)
        assert not posture.local_accounts
        assert opening_on(posture.tags) is None


async def test_where_a_lock_forbids_it_nothing_is_opened(opened: Opener, box: Sandbox) -> None:
    box.faults.add("PUT", "/managedClusters/guarded$", answer=LOCKED)
    async with opened() as session:
        verdict = await glass(session).open(cluster("guarded"), await opening(session))
        assert verdict.because[0].startswith("not opened")
        assert "remove the management lock" in verdict.next
        assert not (await session.ports.arm.cluster(cluster("guarded"))).local_accounts
    assert box.faults.waiting == ()


async def test_an_answer_that_was_lost_opens_once(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        box.faults.add("PUT", "/managedClusters/guarded$", lost=True)
        wanted = await opening(session)
        verdict = await glass(session).open(cluster("guarded"), wanted)
        assert verdict.outcome is Outcome.NOT_VERIFIED, verdict.because
        posture = await session.ports.arm.cluster(cluster("guarded"))
        assert opening_on(posture.tags) == wanted
    assert box.faults.waiting == ()
