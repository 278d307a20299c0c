"""Without a built Kubernetes and containers there is nothing to try: a loud skip on a laptop, a failure in CI."""

from __future__ import annotations

import os

import pytest

from tests.kubernetes.cluster import missing


@pytest.fixture(scope="session", autouse=True)
def parts() -> None:
    lacks = missing()
    if lacks:
        said = f"not here: {'; '.join(lacks)}"
        if os.environ.get("CI", "false") not in ("", "0", "false"):
            pytest.fail(said)
        pytest.skip(said)
