"""Everything together: the engine on the real SDKs, and what a process may say about it."""

from __future__ import annotations

import logging

import pytest

from aks_entra.core.fleet import Fleet, Selector, WantedGroup, WantedTarget
from aks_entra.core.verdict import Grade, Outcome
from aks_entra.proofs import Job
from aks_entra.settings import Settings
from aks_entra.survey import plan_fleet
from aks_entra.wiring import current_session, limits_of

from .conftest import ADMINS, Opener


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
    assert limits_of(settings).sign_in == 60


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
    assert "eyJ" not in caplog.text  # how every token begins
    assert "PRIVATE KEY" not in f"{caplog.text}{verdict!r}"
