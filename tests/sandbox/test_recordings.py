"""The control plane compared with recorded exchanges: same request, same status, same shape.

The recordings are not part of this repository. Without them the tests are skipped with a message.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from azure_sandbox.arm.service import Arm, ArmSettings
from azure_sandbox.clock import Clock
from azure_sandbox.entra.directory import Directory, ServicePrincipal, Tenant
from azure_sandbox.entra.tokens import Tokens
from azure_sandbox.front.http import Reply, Request, split_path
from tests.support.recorded import kubeconfig_shape, shapes

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("AZURE_SANDBOX_RECORDINGS") or ROOT.parent / "shared" / "recordings")
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
LONG = timedelta(hours=1)

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"no recordings at {FOLDER}: set AZURE_SANDBOX_RECORDINGS to the folder that holds them",
)

ROLLED_OUT = "shown by every answer since the service's own roll-out of that month, whatever the api-version"
EXCEPTIONS: dict[str, dict[str, str]] = {
    "aks_abort": {
        ".properties.addonProfiles": "internal add-ons of a canary region, shown while the cluster was being created",
        ".properties.autoUpgradeProfile": ROLLED_OUT,
        ".properties.nodeResourceGroupProfile": ROLLED_OUT,
        ".properties.agentPoolProfiles[].securityProfile": ROLLED_OUT,
    },
    "aks_stop_and_start": {
        ".error": "NotLatestOperation beside InProgress: a race inside the service, which nobody can provoke",
        ".properties.autoUpgradeProfile": ROLLED_OUT,
        ".properties.controlPlanePluginProfiles": "an internal of that month, gone since",
        ".properties.metricsProfile": ROLLED_OUT,
        ".properties.networkProfile.networkPolicy": ROLLED_OUT,
        ".properties.nodeProvisioningProfile": ROLLED_OUT,
        ".properties.resourceUID": ROLLED_OUT,
        ".properties.agentPoolProfiles[].nodeLabels": "an empty object, in the answer to the PUT only",
        ".properties.agentPoolProfiles[].securityProfile": ROLLED_OUT,
    },
}


def exception_of(path: str, exceptions: dict[str, str]) -> str | None:
    return next((it for it in exceptions if path == it or path.startswith((f"{it}.", f"{it}["))), None)


@dataclass
class Replay:
    """Sends one recording to its own control plane. Operations are polled at the URLs of this control plane."""

    arm: Arm
    clock: Clock
    token: str
    urls: dict[str, str] = field(default_factory=dict)

    async def send(self, method: str, url: str, body: Any) -> Reply:
        parts = urlsplit(url)
        request = Request(
            method=method,
            host=parts.netloc,
            path=split_path(parts.path),
            raw_path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={"authorization": f"Bearer {self.token}", "content-type": "application/json"},
            body=b"" if body is None else json.dumps(body).encode(),
            now=self.clock.now(),
        )
        return await self.arm.router.dispatch(request)

    def translate(self, url: str) -> str:
        """The URL that this control plane gave out where the real one gave out the recorded one."""
        return self.urls.get(url, url)

    def learn(self, recorded: dict[str, str], ours: dict[str, str]) -> None:
        for name in ("azure-asyncoperation", "location"):
            if name in recorded:
                self.urls[recorded[name]] = ours[name]

    def echo(self, body: Any, held: dict[str, Any]) -> Any:
        """A client sends back what it read: here, the service principal that the answer named."""
        if not isinstance(body, dict) or "servicePrincipalProfile" not in body.get("properties", {}):
            return body
        profile = held["properties"]["servicePrincipalProfile"]
        return {**body, "properties": {**body["properties"], "servicePrincipalProfile": profile}}


@pytest.fixture(scope="module")
def identity() -> tuple[Directory, Tokens, Clock]:
    clock = Clock(pace=1)
    directory = Directory(Tenant(id="72f988bf-86f1-41af-91ab-2d7cd011db47", domain="contoso.example"), clock=clock)
    directory.add(ServicePrincipal(id="2b7e0ee0-5a1e-4b7e-8d4e-61c2f86d6b11", app_id="app", display_name="runner"))
    return directory, Tokens(directory), clock


def replay_for(identity: tuple[Directory, Tokens, Clock], exchanges: list[dict[str, Any]]) -> Replay:
    directory, tokens, _ = identity
    clock = directory.clock
    created = next(
        it["response"] for it in exchanges if it["status"] == 201
    )  # the service's default changes over the years
    version = created["properties"]["currentKubernetesVersion"]
    arm = Arm(directory, tokens, clock, ArmSettings(default_version=version))
    arm.add_subscription(SUBSCRIPTION, "recorded", directory.tenant.id)
    location = next(it["request"]["location"] for it in exchanges if it["method"] == "PUT")
    arm.add_resource_group(SUBSCRIPTION, "clitest000001", location)
    runner = next(iter(directory.service_principals()))
    arm.assign(f"/subscriptions/{SUBSCRIPTION}", runner.id, "Owner")
    token = tokens.issue(runner, audience="https://management.azure.com", lifetime=timedelta(days=3650))
    return Replay(arm=arm, clock=clock, token=token)


def over(recorded: Any) -> bool:
    return isinstance(recorded, dict) and recorded.get("status") == "Succeeded"


NAMES = sorted(it.stem for it in FOLDER.glob("*.json")) if FOLDER.is_dir() else ["none"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_recording_gets_the_same_answers(name: str, identity: tuple[Directory, Tokens, Clock]) -> None:
    exchanges = json.loads((FOLDER / f"{name}.json").read_text())
    replay = replay_for(identity, exchanges)
    exceptions = EXCEPTIONS.get(name, {})
    used: set[str] = set()
    held: dict[str, Any] = {}
    for number, exchange in enumerate(exchanges):
        where = f"{name} #{number} {exchange['method']} {exchange['url']}"
        if over(exchange["response"]):
            replay.clock.advance(LONG)
        reply = await replay.send(
            exchange["method"], replay.translate(exchange["url"]), replay.echo(exchange["request"], held)
        )
        assert reply.status == exchange["status"], (where, reply.body)
        recorded, ours = exchange["response"], reply.body
        headers = {key.lower(): value for key, value in reply.headers.items()}
        for header in exchange["headers"]:
            if not re.match(r"x-ms-ratelimit|content-type", header):
                assert header in headers, (where, header)
        replay.learn(exchange["headers"], headers)
        if isinstance(recorded, dict) and "kubeconfigs" in recorded:
            assert kubeconfig_shape(ours) == kubeconfig_shape(recorded), where  # type: ignore[arg-type]
            continue
        assert isinstance(recorded, dict) == isinstance(ours, dict), where
        unlike = shapes(recorded) ^ shapes(ours)
        used |= {it for path, _ in unlike if (it := exception_of(path, exceptions))}
        assert {it for it in unlike if exception_of(it[0], exceptions) is None} == set(), where
        if isinstance(recorded, dict) and recorded.get("error"):
            assert ".error" in exceptions or ours["error"]["code"] == recorded["error"]["code"]  # type: ignore[call-overload,index]
        if isinstance(recorded, dict) and "properties" in recorded:
            held = ours  # type: ignore[assignment]
            for key in ("provisioningState", "aadProfile", "disableLocalAccounts"):
                assert held["properties"].get(key) == recorded["properties"].get(key), (where, key)
    assert used == set(exceptions), "unused exceptions"
