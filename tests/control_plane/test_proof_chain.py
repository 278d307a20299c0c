"""A migration against Kubernetes' own authentication: migrated, proven, rotated, and every old key refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aks_entra.core.evidence.observations import Credential, CredentialTried, Moment, SignInProven
from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.job import Job
from aks_entra.core.verdict.verdict import Grade, Outcome
from aks_entra.planning.planner import plan_fleet
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tests.control_plane.real_sandbox import ADMINS, GUARDED, LEGACY, OUTSIDER, PLAIN, SECRET, real_sandbox

pytestmark = pytest.mark.control_plane

NODES = "/api/v1/nodes"
CLUSTERS = {"plain": 2, "legacy": 1, "guarded": 1}


async def test_a_fleet_of_real_control_planes_is_migrated_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with real_sandbox(tmp_path, PLAIN, LEGACY, GUARDED) as caller:
        for name, value in caller.sandbox.environment.items():
            monkeypatch.setenv(name, value)
        old = {name: caller.generation(name) for name in CLUSTERS}
        for name, keys in old.items():
            for who in ({"certificate": keys}, {"token": keys.token}):
                assert (await caller.ask(name, NODES, **who)).status == 200
        fleet = Fleet(
            name="real",
            selectors=(Selector(subscription="prod-eu"),),
            target=WantedTarget(admin_groups=(WantedGroup(id=ADMINS),)),
        )
        settings = Settings(poll_interval=0.2, look_interval=0.2, group_reads=2, group_read_gap=0)
        async with open_session(settings) as session:
            plan = await plan_fleet(session.ports, fleet, ())
            jobs = [Job(digest="d", plan=it, prover=plan.prover) for it in plan.clusters]
            verdicts = await asyncio.gather(*(session.executor.migrate(it) for it in jobs))

        assert {it.cluster.name for it in verdicts} == set(CLUSTERS)
        for verdict in verdicts:
            assert (verdict.outcome, verdict.grade) == (Outcome.VERIFIED, Grade.CREDENTIAL_REFUSED), verdict.because
            tried = [it for it in verdict.evidence if isinstance(it, CredentialTried)]
            for credential in Credential:
                statuses = [(it.moment, it.status) for it in tried if it.credential is credential]
                assert set(statuses) == {(Moment.BEFORE, 200), (Moment.AFTER, 401)}
            assert any(isinstance(it, SignInProven) for it in verdict.evidence)

        operator = caller.sandbox.operator
        member = await caller.token(operator.principal.app_id, operator.secret)
        outsider = await caller.token(OUTSIDER["appId"], SECRET)
        for name, number in CLUSTERS.items():
            assert caller.generation(name) is not old[name]
            for who in ({"certificate": old[name]}, {"token": old[name].token}):
                heard = await caller.ask(name, NODES, **who)
                assert (heard.status, heard.message) == (401, "Unauthorized")
            assert len((await caller.ask(name, NODES, token=member)).body["items"]) == number
            heard = await caller.ask(name, NODES, token=outsider)
            assert heard.status == 403
            assert f'nodes is forbidden: User "{OUTSIDER["id"]}" cannot list resource "nodes"' in heard.message
