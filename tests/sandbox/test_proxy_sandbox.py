"""The whole sandbox behind its proxy: reachable clusters, lifetime of the CA, environment and clock."""

from __future__ import annotations

import math
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest

from azure_sandbox.clock import Clock
from azure_sandbox.front.pki import Authority
from azure_sandbox.server import Sandbox, exports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WORLD = """\
version: 1
subscriptions:
  - name: s
    resourceGroups:
      - name: g
        clusters:
          - {name: awake, nodes: 1}
          - {name: asleep, nodes: 1, powerState: Stopped}
          - {name: hidden, nodes: 1, private: true}
"""
LIST = "https://management.azure.com/subscriptions/{}/providers/Microsoft.ContainerService/managedClusters"
API_VERSION = "?api-version=2026-08-01"


@asynccontextmanager
async def client(sandbox: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    trust = ssl.create_default_context(cafile=sandbox.environment["SSL_CERT_FILE"])
    token = sandbox.tokens.issue(sandbox.operator.principal, audience="https://management.azure.com")
    headers = {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(ssl=trust)
    async with aiohttp.ClientSession(proxy=sandbox.proxy.url, connector=connector, headers=headers) as session:
        yield session


async def test_only_reachable_clusters_answer(tmp_path: Path) -> None:
    world = tmp_path / "world.yaml"
    world.write_text(WORLD)
    async with Sandbox(world) as sandbox, client(sandbox) as session:
        async with session.get(LIST.format(sandbox.operator.subscription_id) + API_VERSION) as answer:
            listed = (await answer.json())["value"]
        hosts = {it["name"]: it["properties"].get("fqdn") or it["properties"]["privateFQDN"] for it in listed}
        with pytest.raises(aiohttp.ClientConnectorCertificateError):  # the client does not trust the cluster's CA
            await session.get(f"https://{hosts['awake']}/version")
        for host in (hosts["asleep"], hosts["hidden"], "nobody.hcp.westeurope.azmk8s.io"):
            with pytest.raises(aiohttp.ClientHttpProxyError) as caught:
                await session.get(f"https://{host}/version")
            assert caught.value.status in {403, 502}


async def test_the_ca_can_outlive_a_sandbox() -> None:
    authority = Authority(Clock().now())
    for _ in range(2):
        async with Sandbox(authority=authority) as sandbox:
            assert (sandbox.folder / "ca.pem").read_bytes() == authority.pem


def test_a_sandbox_that_is_not_running_has_no_environment() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        _ = Sandbox().environment


def test_exports_are_quoted_for_a_shell() -> None:
    assert exports({"A": "it's", "B": ""}) == "export A='it'\"'\"'s'\nexport B=''\n"


def test_the_pace_divides_azures_durations_and_nothing_else() -> None:
    start = datetime(2026, 11, 24, tzinfo=UTC)
    clock = Clock(pace=60, source=lambda: start)
    assert clock.now() == start
    assert clock.after(120) == start + timedelta(seconds=2)
    assert clock.after(60, since=start - timedelta(seconds=1)) == start
    clock.advance(timedelta(hours=1))
    assert clock.now() == start + timedelta(hours=1)
    assert Clock.instant().real(1e9) == timedelta()
    for wrong in (0, -1, math.nan):
        with pytest.raises(ValueError, match="pace"):
            Clock(pace=wrong)
    with pytest.raises(ValueError, match="cannot be set back"):
        clock.advance(timedelta(seconds=-1))
