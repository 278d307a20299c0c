"""Wrong input of a person: each gets one clear error that says what to do next, and nothing is written."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from azure_sandbox.server import Sandbox
from tests.support.local_installation import RecordedRequests
from tests.support.terminal import Terminal

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFUSED = 2
WORLD = """\
version: 1
tenant: {id: 7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32, name: contoso.onmicrosoft.com}
servicePrincipals:
  - {name: operator, graphPermissions: [GroupMember.Read.All, User.Read.All]}
  - name: reader
    appId: 1f0c6a5d-7be4-4f7b-9f59-0d2c54b8a9e3
    secret: reader-reads
    graphPermissions: [GroupMember.Read.All]
  - {name: late, appId: 2a0c6a5d-7be4-4f7b-9f59-0d2c54b8a9e4, secret: too-late, secretExpired: true}
groups:
  - {name: aks-admins, members: [operator]}
operator: operator
subscriptions:
  - name: prod-eu
    id: 3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163
    roleAssignments:
      - {principal: operator, role: Owner}
      - {principal: reader, role: Reader}
    resourceGroups:
      - name: shop-weu
        location: westeurope
        clusters:
          - {name: plain, nodes: 1, identity: none}
          - {name: hidden, nodes: 1, identity: managed, adminGroups: [aks-admins], private: true}
"""
FLEET = """\
version: 1
name: shop
clusters: [{{subscription: {subscription}, resource_group: shop-weu, name: {cluster}}}]
target: {{admin_groups: [{{name: {group}}}]{tenant}}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def requests() -> RecordedRequests:
    return RecordedRequests()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def terminal(requests: RecordedRequests, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Terminal]:
    folder = tmp_path_factory.mktemp("terminal")
    world = folder / "world.yaml"
    world.write_text(WORLD)
    async with Sandbox(world, observe=requests) as sandbox:
        found = Terminal({**sandbox.environment, "AKS_ENTRA_VERIFY_LIMIT": "5"}, folder / "home")
        found.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        yield found


def fleet(cluster: str = "plain", group: str = "aks-admins", subscription: str = "prod-eu", tenant: str = "") -> str:
    return FLEET.format(
        cluster=cluster, group=group, subscription=subscription, tenant=tenant and f", tenant_id: {tenant}"
    )


@pytest.mark.parametrize(
    ("text", "environment", "complaint"),
    [
        ("version: 1\nname: [", {}, "fleet.yaml:2"),
        (fleet().replace("clusters", "cluster"), {}, "clusters"),
        (fleet(cluster="nobody"), {}, "nobody"),
        (fleet(subscription="prod-us"), {}, "prod-us"),
        (fleet(group="no-such-group"), {}, "no-such-group"),
        (fleet(), {"AZURE_CLIENT_SECRET": "not-the-secret"}, "AADSTS7000215"),
        (
            fleet(),
            {"AZURE_CLIENT_ID": "2a0c6a5d-7be4-4f7b-9f59-0d2c54b8a9e4", "AZURE_CLIENT_SECRET": "too-late"},
            "AADSTS7000222",
        ),
        (fleet(), {"AZURE_CLIENT_ID": "", "AZURE_CLIENT_SECRET": ""}, "AZURE_CLIENT_ID"),
        (fleet(), {"AZURE_TENANT_ID": "", "AZURE_CLIENT_ID": "", "AZURE_CLIENT_SECRET": ""}, "az login"),
    ],
    ids=["malformed", "misspelt", "cluster", "subscription", "group", "secret", "expired", "half a credential", "none"],
)
async def test_it_is_refused_before_anything_is_planned(
    terminal: Terminal, requests: RecordedRequests, text: str, environment: dict[str, str], complaint: str
) -> None:
    (terminal.home / "fleet.yaml").write_text(text)
    person = Terminal.with_changes(terminal, environment)
    outcome = await person.type("aks-entra plan fleet.yaml --out plan.json")
    assert outcome.status == REFUSED, outcome
    assert outcome.err.count("Error:") == 1, outcome.err
    assert complaint in outcome.err
    assert "→" in outcome.err  # what to do next
    assert "Traceback" not in outcome.err
    assert not (terminal.home / "plan.json").exists()
    assert requests.writes() == []


@pytest.mark.parametrize(
    ("text", "environment", "finding"),
    [
        (fleet(tenant="11111111-2222-4333-8444-555555555555"), {}, "B001"),
        (fleet(cluster="hidden"), {}, "B013"),
        (
            fleet(),
            {"AZURE_CLIENT_ID": "1f0c6a5d-7be4-4f7b-9f59-0d2c54b8a9e3", "AZURE_CLIENT_SECRET": "reader-reads"},
            "B011",
        ),
    ],
    ids=["wrong tenant", "unreachable API server", "no permission"],
)
async def test_the_plan_refuses_the_cluster_and_says_why(
    terminal: Terminal, requests: RecordedRequests, text: str, environment: dict[str, str], finding: str
) -> None:
    (terminal.home / "fleet.yaml").write_text(text)
    outcome = await Terminal.with_changes(terminal, environment).type("aks-entra plan fleet.yaml")
    assert outcome.status == 0, outcome
    assert "Refused (1)" in outcome.out
    assert finding in outcome.out
    assert requests.writes() == []


async def test_migrate_wants_prefect_and_says_how_to_start_it(terminal: Terminal, requests: RecordedRequests) -> None:
    (terminal.home / "fleet.yaml").write_text(fleet())
    outcome = await terminal.type("aks-entra migrate fleet.yaml")
    assert outcome.status == REFUSED
    assert "aks-entra up" in outcome.err
    assert requests.writes() == []
