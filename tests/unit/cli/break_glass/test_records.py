"""A command's record of a break-glass opening: without a server it warns, and opens the cluster anyway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from aks_entra.adapters.records.folder import FolderBlobs
from aks_entra.cli.break_glass import records
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.break_glass import Opening, OpeningRecord

CLUSTER = ClusterId(subscription_id="11111111-1111-1111-1111-111111111111", resource_group="g", name="c")
RECORD = OpeningRecord(
    cluster=CLUSTER.resource_id,
    opening=Opening(until="2026-11-24T09:00:00Z", since="2026-11-24T08:00:00Z", reason="INC-77"),
    uid="u",
    at="2026-11-24T08:00:00Z",
)


@pytest.fixture(params=["", "http://127.0.0.1:1/api"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """None is named, or one that does not answer."""
    address: str = request.param
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    if address:
        monkeypatch.setenv("PREFECT_API_URL", address)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api", PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield address


async def test_a_record_that_cannot_be_stored_is_a_warning_and_not_an_error(
    server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    why = await records.store(RECORD)
    assert why.startswith("Prefect's server: ") if server else why == "PREFECT_API_URL names no server"
    assert await records.announce(RECORD, attended=True, close_command="close it") is False
    said = " ".join(capsys.readouterr().err.split())
    assert f"this opening is not recorded ({why}" in said
    assert "to close it yourself: close it" in said
    assert await records.known(CLUSTER) is None
    await records.end(CLUSTER, "2026-11-24T09:00:00Z", "closed")
    await records.take_back(CLUSTER, RECORD, "2026-11-24T09:00:00Z", "not opened")
    await records.take_back(CLUSTER, None, "2026-11-24T09:00:00Z", "not opened")
    assert ("cannot be read" in capsys.readouterr().err) is bool(server)


async def test_without_a_server_the_store_of_records_has_the_opening_for_the_sweep(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AKS_ENTRA_RECORDS", str(tmp_path))
    assert await records.announce(RECORD, attended=True, close_command="close it") is True
    said = " ".join(capsys.readouterr().err.split())
    assert ("Prefect's server: " if server else "PREFECT_API_URL names no server") in said
    assert "the sweep closes the cluster once it runs again" in said
    assert await records.known(CLUSTER) == RECORD
    await records.end(CLUSTER, "2026-11-24T09:00:00Z", "closed")
    assert await records.known(CLUSTER) is None
    assert len(await FolderBlobs(tmp_path).names("records/opening-")) == 2


@pytest.mark.usefixtures("server")
async def test_a_store_that_cannot_be_written_is_named_and_does_not_stop_the_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AKS_ENTRA_RECORDS", str(tmp_path / "file"))
    assert await records.announce(RECORD, attended=True, close_command="close it") is False
    assert "store of records" in " ".join(capsys.readouterr().err.split())
    assert await records.known(CLUSTER) is None
