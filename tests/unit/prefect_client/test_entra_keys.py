"""Entra's keys are kept beside signed approvals, and no approval waits for that."""

from __future__ import annotations

import logging

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from aks_entra.core.entra_keys import PublishedKey
from aks_entra.core.planning.signed_approval import Signature
from aks_entra.prefect_client.entra_keys import keep
from azure_sandbox.cluster.real.process import free_port
from tests.support.report_samples import TENANT
from tests.support.signed_approvals import signature


async def test_a_key_that_cannot_be_stored_stops_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    key = PublishedKey(tenant_id=TENANT, kid="k", url="https://h", key="{}", seen_at="2026-11-24T09:00:00Z")
    nobody = f"http://127.0.0.1:{free_port()}/api"
    with (
        temporary_settings({PREFECT_API_URL: nobody, PREFECT_CLIENT_MAX_RETRIES: 0}),
        caplog.at_level(logging.INFO),
    ):
        await keep([Signature(signed=signature().signed)])  # it was checked with a file: there is nothing to keep
        assert caplog.text == ""
        await keep([Signature(signed=signature().signed, published=key)])
    assert "Entra's key of a signed approval could not be stored: ConnectError" in caplog.text
