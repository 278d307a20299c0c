"""A scrape while nobody answers, and which reports are parsed again at the next scrape."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from aks_entra.documents import dump_report
from aks_entra.errors import Refused
from aks_entra.prefect_client import measure
from aks_entra.prefect_client.metrics import ReportCache
from aks_entra.report.metrics import Measurements
from azure_sandbox.cluster.real.process import free_port
from tests.support.report_samples import every_verdict


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


def test_a_report_is_parsed_once_for_as_long_as_it_is_stored() -> None:
    cache, text = ReportCache(), dump_report(every_verdict())
    first = cache.load(text)
    assert [(one.cluster, one.outcome, one.old_credentials) for one in first.verdicts] == [
        (one.cluster, one.outcome, one.old_credentials) for one in every_verdict().verdicts
    ]
    assert not any(one.evidence for one in first.verdicts)
    cache.forget_unused()
    assert cache.load(text) is first
    assert cache.load(dump_report(replace(every_verdict(), name="other"))).name == "other"
    cache.forget_unused()
    cache.forget_unused()
    assert cache.load(text) is not first


def test_a_damaged_report_is_refused_at_each_scrape() -> None:
    cache = ReportCache()
    for _ in range(2):
        with pytest.raises(Refused, match="this is no report"):
            cache.load("{}")
