"""What holds for every test: Hypothesis draws by the profile, and requests are not held to Azure's rate.

A sandbox's Azure is hundreds of times as fast as Azure, and so are the limits that requests keep.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import prepared_database
from tests.support.examples import register_profiles
from tests.support.warm_python import warm_python

register_profiles()
os.environ["AKS_ENTRA_REQUEST_RATE"] = "100000"
os.environ["AKS_ENTRA_ACTIVITY_LOG_DELAY"] = "0"  # the sandbox shows an entry at once, unless it is told otherwise

WITH_PREFECT = ("flows", "journeys")
"""Folders of tests that use Prefect's server and a worker."""


LONGEST = (
    *("test_way_back", "test_gate_in_browser", "test_no_secret_rests", "test_killed_and_resumed"),
    *("test_what_up_opens", "test_approved_writes", "test_fleet_deployments", "test_networks", "test_permission"),
    *("test_concurrent_batches", "test_unproven_stage", "test_access", "test_approvals", "test_notifications"),
)
"""Modules of those folders that take longer than a twentieth of `make test-prefect`, the longest journeys first."""


MEASURED = ("unit", "flows", "contract/test_tasks_", "contract/test_hooks_without_server")
"""Tests that coverage measures: only they have to reach each line and branch of the core and the tasks.

Measuring makes everything half as slow again, also what it does not measure.
"""


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what `make test-prefect` runs, and what coverage does not measure.

    `make test` runs the tests that have the mark `sample`, and all others.
    """
    if not str(item.path.relative_to(Path(__file__).parent)).startswith(MEASURED):
        item.add_marker(pytest.mark.no_cover)
    if _folder(item) in WITH_PREFECT and item.get_closest_marker("sample") is None:
        item.add_marker(pytest.mark.prefect)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no worker is left alone with it at the end.

    The tests of flows share a server, which costs processor time until the last of them has run. So they run together.
    """
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[int, int]:
    """Return the place of a test's module: long journeys, then the flows, then the short journeys, then the rest."""
    folder, module = _folder(item), item.path.stem
    place = [*LONGEST, module].index(module)
    if folder == "journeys" and module in LONGEST:
        return 0, place
    return 1 + [*WITH_PREFECT, folder].index(folder), place


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Python interpreter that starts Prefect's commands and flow runs fast: see `warm_python`."""
    with warm_python(tmp_path_factory.mktemp("python") / "warm") as interpreter:
        yield interpreter


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """An empty database of Prefect's server with its tables: one for all processes of the test run."""
    base = tmp_path_factory.getbasetemp()
    return prepared_database.make((base if worker_id == "master" else base.parent) / "database")
