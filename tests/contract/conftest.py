"""A small world, and the real SDKs in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aks_entra.core.planning.prover import ProverSpec
from aks_entra.settings import Settings
from aks_entra.wiring import Session, open_session
from azure_sandbox.server import Sandbox
from tests.contract.sandbox_environment import forget_azure, in_environment
from tests.contract.small_world import READER, SUBSCRIPTION, WORLD, Opener


def pytest_configure(config: pytest.Config) -> None:
    # Microsoft's Graph SDK warns about its own classes while it is imported.
    config.addinivalue_line("filterwarnings", "ignore:.* is deprecated. (Please|Use):DeprecationWarning")


@pytest.fixture
async def box(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Sandbox]:
    """Yield a running sandbox. A parameter changes it: `world`, `more` (appended to the world) or `replication`."""
    unlike = {"world": WORLD, "more": "", "replication": 0.0, **getattr(request, "param", {})}
    world = tmp_path / "world.yaml"
    world.write_text(unlike["world"] + unlike["more"])
    async with in_environment(monkeypatch, world, pace=100_000, replication=unlike["replication"]) as sandbox:
        yield sandbox


@pytest.fixture
def opened(box: Sandbox) -> Opener:  # noqa: ARG001 - the fixture sets the environment that a session reads
    @asynccontextmanager
    async def opening(prover: ProverSpec | None = None) -> AsyncIterator[Session]:
        settings = Settings(poll_interval=0.02, look_interval=0.02, group_reads=2, group_read_gap=0)
        async with open_session(settings, prover=prover) as session:
            yield session

    return opening


@pytest.fixture
def as_reader(monkeypatch: pytest.MonkeyPatch, box: Sandbox) -> None:  # noqa: ARG001 - the fixture sets the operator's variables first
    monkeypatch.setenv("AZURE_CLIENT_ID", READER["appId"])
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "the-reader")


@pytest.fixture
def quick(sandbox: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let commands find the module's sandbox, and wait briefly."""
    forget_azure(monkeypatch)
    quickly = {"LOOK_INTERVAL": "0.01", "GRANT_LIMIT": "5", "GROUP_READ_GAP": "0"}
    settings = {f"AKS_ENTRA_{name}": value for name, value in quickly.items()}
    for name, value in {**sandbox, **settings}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
