"""Rollback and break-glass with Azure's own SDKs. Tags and unknown properties are preserved."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aks_entra.core.evidence.break_glass import Opening, opening_on
from aks_entra.core.planning.prover import Prover
from aks_entra.core.verdict.rollback import is_restored
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import TryLater
from aks_entra.execution.break_glass import BreakGlass
from aks_entra.host.private_file import PrivateFile
from aks_entra.planning.rollback import plan_way_back
from azure_sandbox.front.http import Reply
from tests.contract.one_migration import planned
from tests.contract.small_world import SUBSCRIPTION, cluster
from tests.support.executor_jobs import job_of

if TYPE_CHECKING:
    from aks_entra.wiring import Session
    from azure_sandbox.server import Sandbox
    from tests.contract.small_world import Opener


LOCKED = Reply(409, {"error": {"code": "ScopeLocked", "message": "The scope cannot perform write operation."}})


async def who(session: Session) -> Prover:
    return Prover(object_id=(await session.ports.callers.prover()).object_id)


def glass(session: Session) -> BreakGlass:
    return BreakGlass(session.ports, session.watch, session.executor, session.timeouts)


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
        assert (await session.executor.migrate(job_of(done))).outcome is Outcome.VERIFIED
        back = await plan_way_back(session.ports, done, (cluster("plain"),), ())
        assert [step.kind for step in back.clusters[0].steps] == ["enable-local-accounts", "verify-restored"]

        verdict = await session.executor.migrate(job_of(back))

        assert is_restored(back.clusters[0], verdict.evidence), verdict.because
        posture = await session.ports.arm.cluster(cluster("plain"))
        assert posture.local_accounts
        assert posture.tags == (("env", "prod"),)


async def test_break_glass_opens_and_closes_in_one_write_each(opened: Opener, tmp_path: Path) -> None:
    async with opened() as session:
        one = cluster("guarded")
        wanted = await opening(session)
        assert (await session.ports.arm.subscription_ids()) == (SUBSCRIPTION,)
        place = PrivateFile.reserve(tmp_path / "guarded.kubeconfig")
        with pytest.raises(TryLater, match="does not hand out"):
            await session.ports.arm.hand_out_admin_kubeconfig(one, place)
        assert (await glass(session).open(one, wanted)).outcome is Outcome.NOT_VERIFIED
        await glass(session).hand_out(one, place)
        assert "client-certificate-data" in (tmp_path / "guarded.kubeconfig").read_text()
        found = [it async for it in glass(session).openings(SUBSCRIPTION)]
        assert [(it.key, standing) for it, standing in found] == [(one.key, wanted)]
    async with opened() as session:  # as another process would
        verdict = await glass(session).close(one, await who(session))
        assert verdict.because[0] == "local accounts are closed again", verdict.because
        posture = await session.ports.arm.cluster(one)
        assert not posture.local_accounts
        assert opening_on(posture.tags) is None


async def test_a_lock_prevents_break_glass_without_any_write(opened: Opener, box: Sandbox) -> None:
    box.faults.add("PUT", "/managedClusters/guarded$", answer=LOCKED)
    async with opened() as session:
        verdict = await glass(session).open(cluster("guarded"), await opening(session))
        assert verdict.because[0].startswith("not opened")
        assert "remove the management lock" in verdict.next
        assert not (await session.ports.arm.cluster(cluster("guarded"))).local_accounts
    assert box.faults.waiting == ()


async def test_a_lost_response_does_not_open_twice(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        box.faults.add("PUT", "/managedClusters/guarded$", lost=True)
        wanted = await opening(session)
        verdict = await glass(session).open(cluster("guarded"), wanted)
        assert verdict.outcome is Outcome.NOT_VERIFIED, verdict.because
        posture = await session.ports.arm.cluster(cluster("guarded"))
        assert opening_on(posture.tags) == wanted
    assert box.faults.waiting == ()
