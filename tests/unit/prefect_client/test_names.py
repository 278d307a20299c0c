"""Links to pages of Prefect."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_SERVER_UI_V2_ENABLED,
    PREFECT_UI_URL,
    temporary_settings,
)

from aks_entra.prefect_client.names import deployment_page, requester, run_page, started_tags

API, PAGE = "http://127.0.0.1:4200/api", "https://prefect.contoso.com/orchestration"
CLOUD = "https://api.prefect.cloud/api/accounts/a/workspaces/w"


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        ({PREFECT_API_URL: API}, "http://127.0.0.1:4200/v2"),
        ({PREFECT_API_URL: API, PREFECT_SERVER_UI_V2_ENABLED: False}, "http://127.0.0.1:4200"),
        ({PREFECT_API_URL: API, PREFECT_UI_URL: PAGE}, f"{PAGE}/v2"),
        ({PREFECT_API_URL: API, PREFECT_UI_URL: f"{PAGE}/"}, f"{PAGE}/v2"),
        ({PREFECT_API_URL: API, PREFECT_UI_URL: f"{PAGE}/v2"}, f"{PAGE}/v2"),
        ({PREFECT_API_URL: CLOUD}, "https://app.prefect.cloud/account/a/workspace/w"),
    ],
)
def test_a_link_opens_the_page_that_is_the_default(settings: dict[Any, Any], base: str) -> None:
    with temporary_settings(settings):
        assert run_page("0199") == f"{base}/runs/flow-run/0199"
        assert deployment_page("0199") == f"{base}/deployments/deployment/0199"


def test_a_run_says_who_started_it_if_its_command_noted_that() -> None:
    assert requester(list(started_tags("t", "dana-id"))) == "dana-id"
    assert requester(list(started_tags("t", ""))) is None
    assert started_tags("", "") == ()
