"""A cluster is provisioned, a fleet migrated, verified and reported: and no secret lies anywhere afterwards."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import pytest_asyncio

from azure_sandbox.http import Reply, Request
from azure_sandbox.proxy import Target
from azure_sandbox.server import Sandbox
from tests.journeys.office import Office, office

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORLD = """\
version: 1
tenant: {id: 7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32, name: contoso.onmicrosoft.com}
servicePrincipals:
  - name: operator
    secret: operators-own-secret
    graphPermissions: [Group.ReadWrite.All, User.Read.All, Application.Read.All]
  - {name: prover, appId: 5c7f3b1e-8d2a-4e6f-9a04-b1c3d5e7f902, secret: provers-own-secret}
users:
  - {name: Dana Diaz, upn: dana@contoso.onmicrosoft.com}
groups:
  - {name: aks-admins, members: [operator, prover, Dana Diaz]}
operator: operator
subscriptions:
  - name: prod-eu
    id: 3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163
    roleAssignments:
      - {principal: operator, role: Owner}
    resourceGroups:
      - name: shop-weu
        location: westeurope
        clusters:
          - {name: plain, nodes: 2, identity: none}
          - {name: legacy, nodes: 1, identity: legacy}
"""
PROVISION = "aks-entra provision -g pay-weu -n pay-01 -l westeurope --node-count 1"
FLEET = """\
version: 1
name: shop
clusters: [{subscription: prod-eu, resource_group: shop-weu}]
target: {admin_groups: [{name: aks-admins}]}
prover:
  client_id: 5c7f3b1e-8d2a-4e6f-9a04-b1c3d5e7f902
  tenant_id: 7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32
  client_secret_env: PROVER_SECRET
"""


@dataclass(slots=True)
class Eavesdropper:
    """Stands where the proxy looks up its hosts, and remembers every secret that goes by."""

    sandbox: Sandbox
    secrets: set[str] = field(default_factory=set)

    def target(self, host: str, port: int) -> Target:
        found = self.sandbox.target(host, port)
        assert isinstance(found, Target), "the built-in API server answers here"

        async def listen(request: Request) -> Reply:
            reply = await found.handle(request)
            self.secrets |= set(_secrets(reply))
            return reply

        return replace(found, handle=listen)

    def greeting(self, path: str) -> str | None:
        return self.sandbox.greeting(path)


def _secrets(reply: Reply) -> Iterator[str]:
    if not isinstance(reply.body, dict):
        return
    if token := reply.body.get("access_token"):
        yield str(token)
        yield str(token).rsplit(".", 1)[1]  # its signature alone
    for kubeconfig in reply.body.get("kubeconfigs", ()):
        yield kubeconfig["value"]
        text = base64.b64decode(kubeconfig["value"]).decode()
        for key in re.findall(r"client-key-data: (\S+)", text):
            yield key
            yield from [line for line in base64.b64decode(key).decode().splitlines() if not line.startswith("-----")]
        yield from re.findall(r"^ +token: (\S+)", text, re.MULTILINE)


def resting(*roots: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file and what it holds. Prefect still tidies up: what goes away meanwhile rests nowhere."""
    for root in roots:
        for folder, _, names in os.walk(root):  # it passes over folders that went away, as rglob does not
            for name in names:
                file = Path(folder, name)
                with suppress(FileNotFoundError):
                    if file.is_file():
                        yield file, file.read_bytes()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at_work(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    world = folder / "world.yaml"
    world.write_text(WORLD)
    settings = {
        "AKS_ENTRA_POLL_INTERVAL": "0.3",
        "AKS_ENTRA_LOOK_INTERVAL": "0.3",
        "AKS_ENTRA_GROUP_READ_GAP": "0.1",
        "PROVER_SECRET": "provers-own-secret",
        "PREFECT_LOGGING_LEVEL": "DEBUG",  # the most talkative day
        "AZURE_LOG_LEVEL": "debug",
    }
    async with office(world, folder, pace=1000, settings=settings) as place:
        yield place


async def test_what_was_handed_out_is_nowhere_afterwards(at_work: Office, tmp_path: Path) -> None:
    ear = Eavesdropper(at_work.sandbox)
    at_work.sandbox.proxy.hosts = ear
    fleet, plan, report = tmp_path / "fleet.yaml", tmp_path / "plan.json", tmp_path / "report.json"
    fleet.write_text(FLEET)
    typed = [
        await at_work.terminal.type(line)
        for line in (
            f"{PROVISION} --admin-group pay-admins --create-group --member dana@contoso.onmicrosoft.com",
            "aks-entra inventory --subscription prod-eu --read -o json",
            f"aks-entra plan {fleet} --out {plan}",
            f"aks-entra migrate {plan} --yes --reason CHG-1",
            f"aks-entra verify {plan}",
        )
    ]
    assert [one.status for one in typed] == [0] * len(typed), typed
    digest = json.loads(plan.read_text())["digest"]
    ways = " ".join(f"--{kind} {report.with_suffix('.' + kind)}" for kind in ("json", "html", "junit", "sarif", "csv"))
    typed.append(await at_work.terminal.type(f"aks-entra report {digest} {ways}"))

    ear.secrets |= {"operators-own-secret", "provers-own-secret"}
    assert len(ear.secrets) > 20  # tokens of two identities, kubeconfigs of three clusters
    folder = at_work.home.parent
    places = dict(resting(folder, tmp_path))
    assert any(file.suffix == ".db" for file in places)  # Prefect's own
    own = {folder / "world.yaml"}
    found = [
        (file.name, secret[:12])
        for file, content in places.items()
        if file not in own
        for secret in ear.secrets
        if secret.encode() in content
    ]
    assert found == []
    for one in typed:
        assert not [secret[:12] for secret in ear.secrets if secret in one.out + one.err], one.line

    listed = json.loads(await at_work.terminal.run("aks-entra inventory --subscription prod-eu --read -o json"))
    known = {row["posture"]["cluster"]["name"]: row["old_credentials"]["debt"] for row in listed["clusters"]}
    assert known == {"plain": "none", "legacy": "none", "pay-01": "none"}  # by our own reports
