"""A browser on another machine, in which a user of the sandbox signs in."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from aks_entra.ports.approvals import Browser
from azure_sandbox.cli.browser_sign_in import sign_in_at


def browser_elsewhere(environment: Mapping[str, str], user: str) -> Browser:
    """Return the browser of a user. `environment` is the sandbox's. The address at which it ends is pasted."""
    port = int(environment["HTTPS_PROXY"].rpartition(":")[2])
    told: list[str] = []

    def pasted() -> str:
        address = next(one for one in reversed(told) if "https://" in one)
        return sign_in_at(address.rpartition(" ")[2], user, port)

    return Browser(tell=told.append, open=pytest.fail, pasted=pasted)
