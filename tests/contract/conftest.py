"""A small world, and the real SDKs inside it."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from aks_entra.core.cluster import ClusterId
from aks_entra.core.fleet import ProverSpec
from aks_entra.settings import Settings
from aks_entra.wiring import Session, open_session
from azure_sandbox.server import Sandbox

SUBSCRIPTION = "3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163"
TENANT = "7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32"
ADMINS = "a1b2c3d4-1111-4222-8333-944445555666"
ELIGIBLE = "a1b2c3d4-1111-4222-8333-944445555777"
DELETED = "a1b2c3d4-1111-4222-8333-944445555999"
READER = {"id": "9a3d8f5e-52b4-4d0c-8f1b-6d9f0f3c7a21", "appId": "1f0c6a5d-7be4-4f7b-9f59-0d2c54b8a9e3"}
WORLD = f"""\
version: 1
tenant: {{id: {TENANT}, name: contoso.onmicrosoft.com}}
users:
  - {{name: dana, upn: dana@contoso.com}}
  - {{name: left, upn: left@contoso.com, enabled: false}}
servicePrincipals:
  - {{name: operator, graphPermissions: [Group.ReadWrite.All, Directory.Read.All]}}
  - {{name: reader, id: {READER["id"]}, appId: {READER["appId"]}, secret: the-reader}}
groups:
  - {{name: aks-admins, id: {ADMINS}, members: [operator, dana, left]}}
  - {{name: just-in-time, id: {ELIGIBLE}, eligible: [{{principal: dana}}]}}
  - {{name: gone, id: {DELETED}, members: [dana], deleted: 2026-11-02}}
operator: operator
subscriptions:
  - id: {SUBSCRIPTION}
    name: prod-eu
    roleAssignments:
      - {{principal: operator, role: Owner}}
      - {{principal: reader, role: Azure Kubernetes Service Cluster User Role}}
    resourceGroups:
      - name: shop-weu
        location: westeurope
        clusters:
          - {{name: plain, nodes: 2, identity: none, tags: {{env: prod}}, workloads: [{{name: web, replicas: 2}}]}}
          - {{name: legacy, nodes: 1, identity: legacy}}
          - {{name: guarded, nodes: 1, identity: managed, adminGroups: [aks-admins], localAccounts: false}}
      - name: pay-weu
        location: westeurope
        locks: [{{name: keep, level: ReadOnly}}]
        clusters:
          - {{name: azure-rbac, nodes: 1, identity: managed, adminGroups: [aks-admins], azureRbac: true}}
          - {{name: asleep, nodes: 1, identity: none, powerState: Stopped}}
"""

Opener = Callable[..., AbstractAsyncContextManager[Session]]


def pytest_configure(config: pytest.Config) -> None:
    # Microsoft's Graph SDK warns about classes of its own while it is imported.
    config.addinivalue_line("filterwarnings", "ignore:.* is deprecated. (Please|Use):DeprecationWarning")


def cluster(name: str, group: str = "shop-weu") -> ClusterId:
    return ClusterId(subscription_id=SUBSCRIPTION, resource_group=group, name=name)


@pytest.fixture
async def box(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Sandbox]:
    """The sandbox; a parameter says what about it is unlike the others: `world`, `more` of it, `replication`."""
    unlike = {"world": WORLD, "more": "", "replication": 0.0, **getattr(request, "param", {})}
    for name in os.environ:
        if re.match(r"(?i)^(azure_|(https?|all|no)_proxy$)", name):
            monkeypatch.delenv(name)
    world = tmp_path / "world.yaml"
    world.write_text(unlike["world"] + unlike["more"])
    async with Sandbox(world, pace=100_000, replication=unlike["replication"]) as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        yield sandbox


@pytest.fixture
def opened(box: Sandbox) -> Opener:  # noqa: ARG001 - its environment is the one that a session reads
    @asynccontextmanager
    async def opening(prover: ProverSpec | None = None) -> AsyncIterator[Session]:
        settings = Settings(poll_interval=0.02, look_interval=0.02, group_reads=2, group_read_gap=0)
        async with open_session(settings, prover=prover) as session:
            yield session

    return opening


@pytest.fixture
def as_reader(monkeypatch: pytest.MonkeyPatch, box: Sandbox) -> None:  # noqa: ARG001 - set after the operator's
    monkeypatch.setenv("AZURE_CLIENT_ID", READER["appId"])
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "the-reader")
