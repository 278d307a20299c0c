"""Configuration of all sandbox tests."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # Microsoft's Graph SDK warns about its own classes while it is imported.
    config.addinivalue_line("filterwarnings", "ignore:.* is deprecated. (Please|Use):DeprecationWarning")
