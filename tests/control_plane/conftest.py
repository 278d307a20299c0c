"""Tests with a real control plane. Without kube-apiserver and etcd they are skipped on a laptop and fail in CI."""

from __future__ import annotations

import os

import pytest

from azure_sandbox.cluster.real.binaries import NoControlPlane, find_binaries


def pytest_configure(config: pytest.Config) -> None:
    # Microsoft's Graph SDK warns about its own classes while it is used.
    config.addinivalue_line("filterwarnings", "ignore:.* is deprecated. (Please|Use):DeprecationWarning")


@pytest.fixture(scope="session", autouse=True)
def control_plane() -> None:
    try:
        find_binaries(os.environ)
    except NoControlPlane as missing:
        if os.environ.get("CI", "false") not in ("", "0", "false"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))
