"""Fixtures of the journeys that use `az`, `kubectl` and `kubelogin`."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from tests.journeys.clients import CLIENTS, SIGN_IN_AGAIN


@pytest.fixture(scope="session")
def clients() -> None:
    if missing := [client for client in CLIENTS if not shutil.which(client)]:
        reason = f"not on PATH: {', '.join(missing)} (`make test-clients` builds them and puts them there)"
        if os.environ.get("CI", "false") not in ("", "0", "false"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(params=["own sign-in", pytest.param("kubectl", marks=pytest.mark.clients)])
def nodes(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return dana's command for nodes, and the command before it that makes her sign in again."""
    if request.param == "kubectl":
        request.getfixturevalue("clients")
        return "kubectl --kubeconfig config get nodes", SIGN_IN_AGAIN
    return f"{sys.executable} nodes.py $AZURE_TENANT_ID", "true"
