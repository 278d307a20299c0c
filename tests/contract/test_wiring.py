"""The engine on the real SDKs: session, settings, and a migration without secrets in the log."""

from __future__ import annotations

import logging

import pytest

from aks_entra.core.planning.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.planning.job import Job
from aks_entra.core.verdict.verdict import Grade, Outcome
from aks_entra.planning.planner import plan_fleet
from aks_entra.settings import Settings
from aks_entra.wiring import current_session, timeouts_of
from tests.contract.small_world import ADMINS, Opener


async def test_a_session_is_current_while_it_is_open(opened: Opener) -> None:
    async with opened() as session:
        assert current_session() is session
    with pytest.raises(LookupError):
        current_session()


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AKS_ENTRA_POLL_INTERVAL", "7.5")
    monkeypatch.setenv("AKS_ENTRA_SIGN_IN_LIMIT", "60")
    settings = Settings()
    assert settings.poll_interval == 7.5
    assert timeouts_of(settings).sign_in == 60


async def test_a_legacy_cluster_is_migrated_and_proven_and_no_secret_is_logged(
    opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = Fleet(
        name="one",
        selectors=(Selector(subscription="prod-eu", resource_group="shop-weu", name="legacy"),),
        target=WantedTarget(admin_groups=(WantedGroup(id=ADMINS),)),
    )
    with caplog.at_level(logging.DEBUG):
        async with opened() as session:
            plan = await plan_fleet(session.ports, fleet, ())
            verdict = await session.executor.migrate(Job(digest="d", plan=plan.clusters[0], prover=plan.prover))
    assert (verdict.outcome, verdict.grade) == (Outcome.VERIFIED, Grade.CREDENTIAL_REFUSED), verdict.because
    assert "eyJ" not in caplog.text  # the beginning of every token
    assert "PRIVATE KEY" not in f"{caplog.text}{verdict!r}"
