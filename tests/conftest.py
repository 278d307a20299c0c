"""What holds for every test: Hypothesis judges what code does, never how fast a busy machine does it.

A sandbox's Azure is hundreds of times as fast as Azure, and so are the limits that requests keep.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
settings.load_profile("any machine")
os.environ["AKS_ENTRA_REQUEST_RATE"] = "100000"

LONGEST_FIRST = ("journeys", "flows")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.path.parent.name not in LONGEST_FIRST)
