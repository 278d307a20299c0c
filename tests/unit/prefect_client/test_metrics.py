"""A scrape while nobody answers: every collector is down, and the log says which and why."""

from __future__ import annotations

import logging

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from aks_entra.prefect_client import measure
from aks_entra.report.metrics import Measurements
from azure_sandbox.cluster.real.process import free_port


async def test_without_a_server_nothing_is_known(caplog: pytest.LogCaptureFixture) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/api"
    with (
        temporary_settings({PREFECT_API_URL: nobody, PREFECT_CLIENT_MAX_RETRIES: 0}),
        caplog.at_level(logging.WARNING, logger="aks_entra"),
    ):
        found = await measure(60.0)
    assert found == Measurements(gates=None, reports=None, break_glass=None, schedules=None)
    for collector in ("gates", "reports", "break_glass", "schedules"):
        assert f"the collector {collector} could not read Prefect's server: ConnectError" in caplog.text
