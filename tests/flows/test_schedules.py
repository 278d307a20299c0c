"""The state of the schedules at Prefect's server: a user who depends on a sweep is told if it does not run."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.settings import PREFECT_API_URL, temporary_settings

from aks_entra import prefect_client
from aks_entra.cli import overdue_schedules
from aks_entra.prefect_client import names
from tests.support.patience import SOON

if TYPE_CHECKING:
    from aks_entra.core.schedules import Overdue
    from tests.flows.conftest import PrefectStack

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_only_a_schedule_that_does_not_run_is_reported(stack: PrefectStack) -> None:
    with stack.inside():
        assert await prefect_client.overdue_schedules(names.SCHEDULED) == ()
        later = datetime.now(UTC) + timedelta(days=30)
        found: tuple[Overdue, ...] = ()
        async with asyncio.timeout(SOON):  # the scheduler creates their next runs soon after the server's start
            while not (found and all("for a worker" in one.because for one in found)):
                await asyncio.sleep(0.2)
                found = await prefect_client.overdue_schedules(names.SCHEDULED, now=later)
        assert [one.deployment for one in found] == [name.rpartition("/")[2] for name in names.SCHEDULED]


async def test_a_paused_schedule_and_a_missing_deployment_are_reported(stack: PrefectStack) -> None:
    with stack.inside():
        async with get_client() as client:
            flow = await client.create_flow_from_name("asleep")
            await client.create_work_pool(WorkPoolCreate(name="cloud", type="cloud-run:push"))
            made = await client.create_deployment(flow, name="asleep", paused=True, work_pool_name="cloud")
        try:
            await prefect_client.require_online("asleep/asleep")  # a push work pool needs no worker
            assert await prefect_client.pools_without_worker(["cloud"]) == ()
            found = await prefect_client.overdue_schedules(("asleep/asleep", "nobody/made-it"))
        finally:
            async with get_client() as client:
                await client.delete_deployment(made)
                await client.delete_work_pool("cloud")
        asleep, missing = found
        assert (asleep.deployment, missing.deployment) == ("asleep", "nobody/made-it")
        assert asleep.because.endswith("it is paused, or has no active schedule")
        assert missing.because.endswith("it never runs")


async def test_a_user_who_depends_on_a_sweep_is_told_if_it_does_not_run(
    stack: PrefectStack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with stack.inside():
        await overdue_schedules.warn(prefect_client.END_ACCESS, "Watch out.")
        assert capsys.readouterr().err == ""  # without a Prefect server there is nothing to check
        monkeypatch.setenv("PREFECT_API_URL", stack.api)
        await overdue_schedules.warn(prefect_client.END_ACCESS, "Watch out.")
        assert capsys.readouterr().err == ""  # it runs
        await overdue_schedules.warn("nobody/made-it", "Watch out.")
        said = " ".join(capsys.readouterr().err.split())
        assert "nobody/made-it does not exist on this Prefect server, so it never runs. Watch out." in said
        assert "→ prefect deploy --all" in said


async def test_a_server_that_does_not_answer_is_reported_as_unknown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        await overdue_schedules.warn(prefect_client.SWEEP_BREAK_GLASS, "Close it yourself.")
    said = " ".join(capsys.readouterr().err.split())
    assert "it is unknown whether sweep-break-glass runs. Close it yourself." in said
