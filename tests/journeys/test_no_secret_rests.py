"""Provision a cluster, migrate, verify and report a fleet. Afterwards no file contains a secret."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import pytest_asyncio

from aks_entra import documents
from aks_entra.host import server_auth
from azure_sandbox.front.http import Reply, Request
from azure_sandbox.front.proxy import Target
from azure_sandbox.server import Sandbox
from tests.support.files import files_below
from tests.support.local_installation import LocalInstallation, local_installation

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
CLUSTER = """\
version: 1
kind: cluster
subscription: prod-eu
resource_group: pay-weu
name: pay-01
location: westeurope
admin_groups: [{name: pay-admins, create: true, members: [dana@contoso.onmicrosoft.com]}]
node_pools: [{name: system, count: 1, vm_size: Standard_D4s_v5}]
maintenance_windows: [{name: aksManagedAutoUpgradeSchedule, day: sat, start_time: "02:00"}]
work_queue: default
"""
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
class SecretRecorder:
    """Resolves hosts for the proxy, and records every secret in the traffic."""

    sandbox: Sandbox
    secrets: set[str] = field(default_factory=set)

    def target(self, host: str, port: int, network: str) -> Target:
        found = self.sandbox.target(host, port, network)
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
        yield str(token).rsplit(".", 1)[1]  # only its signature
    for kubeconfig in reply.body.get("kubeconfigs", ()):
        yield kubeconfig["value"]
        text = base64.b64decode(kubeconfig["value"]).decode()
        for key in re.findall(r"client-key-data: (\S+)", text):
            yield key
            yield from [line for line in base64.b64decode(key).decode().splitlines() if not line.startswith("-----")]
        yield from re.findall(r"^ +token: (\S+)", text, re.MULTILINE)


def _texts_in_records(folder: Path, files: Mapping[Path, bytes]) -> Iterator[str]:
    """Unpack every text in the store of records: base64 of gzip begins with H4sI."""
    for file, content in files.items():
        if folder in file.parents:
            for packed in re.findall(r"H4sI[A-Za-z0-9+/]+=*", content.decode()):
                yield documents.unpack(packed)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(
    tmp_path_factory: pytest.TempPathFactory, database: Path, python: Path
) -> AsyncIterator[LocalInstallation]:
    folder = tmp_path_factory.mktemp("installation")
    world = folder / "world.yaml"
    world.write_text(WORLD)
    settings = {
        "AKS_ENTRA_POLL_INTERVAL": "0.3",
        "AKS_ENTRA_LOOK_INTERVAL": "0.3",
        "AKS_ENTRA_GROUP_READ_GAP": "0.1",
        "PROVER_SECRET": "provers-own-secret",
        "PREFECT_LOGGING_LEVEL": "DEBUG",  # as much logging as possible
        "AZURE_LOG_LEVEL": "debug",
    }
    async with local_installation(
        world, folder, pace=1000, settings=settings, database=database, python=python
    ) as installation:
        yield installation


async def test_no_secret_is_in_a_file_afterwards(installation: LocalInstallation, tmp_path: Path) -> None:
    ear = SecretRecorder(installation.sandbox)
    installation.sandbox.proxy.hosts = ear
    fleet, plan, report = tmp_path / "fleet.yaml", tmp_path / "plan.json", tmp_path / "report.json"
    fleet.write_text(FLEET)
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text(CLUSTER)
    typed = [
        await installation.terminal.type(line)
        for line in (
            f"aks-entra provision {cluster}",
            f"aks-entra provision {cluster} --dry-run",
            "aks-entra inventory --subscription prod-eu --read -o json",
            f"aks-entra plan {fleet} --out {plan}",
            f"aks-entra migrate {plan} --yes --reason CHG-1",
            f"aks-entra verify {plan}",
        )
    ]
    assert [one.status for one in typed] == [0] * len(typed), typed
    assert "to sign in: aks-entra kubeconfig -g pay-weu -n pay-01" in typed[0].err
    assert "it exists as requested: nothing will be changed" in typed[1].out
    digest = json.loads(plan.read_text())["digest"]
    ways = " ".join(f"--{kind} {report.with_suffix('.' + kind)}" for kind in ("json", "html", "junit", "sarif", "csv"))
    typed.append(await installation.terminal.type(f"aks-entra report {digest} {ways}"))

    auth_file = server_auth.file_of(installation.api, installation.home)
    ear.secrets |= {
        "operators-own-secret",
        "provers-own-secret",
        installation.auth,
        installation.auth.partition(":")[2],
    }
    assert len(ear.secrets) > 20  # tokens of two identities, kubeconfigs of three clusters
    folder = installation.home.parent
    places = dict(files_below(folder, tmp_path))
    database = next(file for file in places if file.suffix == ".db")  # Prefect's
    with closing(sqlite3.connect(database)) as stored:
        logs = {text for (text,) in stored.execute("SELECT message FROM log")}
    assert any("Azure accepted the write (correlation id" in text for text in logs)  # the logs of runs are there too
    own = {folder / "world.yaml", *(file for file in places if file.resolve() == auth_file)}
    found = [
        (file.name, secret[:12])
        for file, content in places.items()
        if file not in own
        for secret in ear.secrets
        if secret.encode() in content
    ]
    assert found == []
    texts = list(_texts_in_records(installation.home / "records", places))
    assert any('"aks-entra/report"' in text for text in texts)
    assert not [secret[:12] for secret in ear.secrets for text in texts if secret in text]
    for one in typed:
        assert not [secret[:12] for secret in ear.secrets if secret in one.out + one.err], one.line

    listed = json.loads(await installation.terminal.run("aks-entra inventory --subscription prod-eu --read -o json"))
    known = {row["posture"]["cluster"]["name"]: row["old_credentials"]["debt"] for row in listed["clusters"]}
    assert known == {"plain": "none", "legacy": "none", "pay-01": "none"}  # according to our reports
