"""What is said before access is given or a cluster is opened, if its end cannot be scheduled at Prefect's server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from aks_entra.cli.access import grants
from aks_entra.cli.break_glass import records
from aks_entra.core.access.grants import Ask, Level, Via
from aks_entra.core.evidence.break_glass import Opening, OpeningRecord
from tests.support.access_cases import CLUSTER, DANA, NOW

ASK = Ask(
    cluster=CLUSTER, principal=DANA, level=Level.READER, via=Via.AZURE, end=NOW + timedelta(hours=1), reason="CHG-1"
)
RECORD = OpeningRecord(
    cluster=CLUSTER.resource_id,
    opening=Opening(until="2026-11-24T11:00:00Z", since="2026-11-24T10:00:00Z", reason="INC-77"),
    uid="u",
    at="2026-11-24T10:00:00Z",
)


@pytest_asyncio.fixture
async def artifacts(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[dict[str, Any]]]:
    """Serve a Prefect without deployments. Yields the artifacts that it gets."""
    stored: list[dict[str, Any]] = []

    async def store(request: web.Request) -> web.Response:
        stored.append(await request.json())
        return web.json_response({**stored[-1], "id": "0b7d5c1e-3f2a-4e89-9c64-d8a1b5e7f302"}, status=201)

    async def none(_: web.Request) -> web.Response:
        return web.json_response([])

    app = web.Application()
    app.router.add_post("/api/artifacts/", store)
    app.router.add_post("/api/artifacts/latest/filter", none)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    api = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
    monkeypatch.setenv("PREFECT_API_URL", api)
    with temporary_settings({PREFECT_API_URL: api, PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield stored
    await runner.cleanup()


async def test_an_opening_whose_end_is_not_scheduled_is_recorded_and_closed_within_an_hour(
    artifacts: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert await records.announce(RECORD, attended=False, close_command="close it")
    assert [one["type"] for one in artifacts] == ["aks-entra/opening"]
    said = " ".join(capsys.readouterr().err.split())
    assert "no run of sweep-break-glass is scheduled for 2026-11-24T11:00:00Z (the Prefect server at" in said
    assert "its schedule closes the cluster, up to an hour after the end" in said
    assert "to close it yourself: close it" in said


async def test_a_grant_whose_end_is_not_scheduled_is_recorded_and_ended_within_an_hour(
    artifacts: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    await grants.announce(ASK)
    assert [one["type"] for one in artifacts] == ["aks-entra/grant"]
    said = " ".join(capsys.readouterr().err.split())
    assert "no run of end-access is scheduled for 2026-11-24T11:00:00Z" in said
    assert "its schedule ends the access, up to an hour after its end" in said


@pytest.mark.parametrize("api", ["", "http://127.0.0.1:1/api"])
async def test_a_grant_without_a_server_is_given_all_the_same(
    api: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", api)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        await grants.announce(ASK)
    said = " ".join(capsys.readouterr().err.split())
    assert ("→ end it yourself when its time is over: aks-entra access sweep" in said) is bool(api)
