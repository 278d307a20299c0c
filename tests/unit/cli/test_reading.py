# ruff: noqa: E501 - what is typed and printed reads best on its line
"""The commands that only read, typed inside the sandbox: what they print, how they end, and that nothing is written."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aks_entra.core.doors.registry import IDS
from azure_sandbox.front.proxy import Exchange
from azure_sandbox.server import Sandbox
from tests.support.terminal import Terminal

WORLD = """\
version: 1
tenant: {id: 7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32, name: contoso.onmicrosoft.com}
servicePrincipals:
  - {name: operator, graphPermissions: [Group.ReadWrite.All, GroupMember.Read.All, Directory.Read.All]}
groups:
  - {name: aks-admins, members: [operator]}
operator: operator
subscriptions:
  - id: 3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163
    name: prod-eu
    roleAssignments: [{principal: operator, role: Owner}]
    resourceGroups:
      - name: shop-weu
        location: westeurope
        clusters:
          - {name: plain, nodes: 1, identity: none, tags: {ring: canary}}
          - {name: open, nodes: 1, identity: managed, adminGroups: [aks-admins]}
          - {name: closed, nodes: 1, identity: managed, adminGroups: [aks-admins], localAccounts: false}
          - {name: no-rbac, nodes: 1, identity: none, kubernetesRbac: false}
"""
FLEET = """\
version: 1
name: prod
clusters:
  - {subscription: prod-eu, resource_group: shop-weu}
target:
  admin_groups: [{name: aks-admins}]
rollout:
  stages:
    - {name: canary, groups: [{name: ring, tags: {ring: canary}}]}
    - {name: rest, groups: [{name: all, rest: true}], max_concurrency: 2}
"""
READS = re.compile(
    r"/token$|checkpolicyrestrictions$|credential|(check|get)member|getbyids|selfsubject|/\$batch$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSandbox:
    terminal: Terminal
    exchanges: list[Exchange]

    @property
    def writes(self) -> list[str]:
        return [
            f"{one.method} {one.path}"
            for one in self.exchanges
            if one.method not in {"GET", "HEAD", "CONNECT"} and not READS.search(one.path)
        ]


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[RecordedSandbox]:
    (tmp_path / "world.yaml").write_text(WORLD)
    exchanges: list[Exchange] = []
    async with Sandbox(tmp_path / "world.yaml", pace=1000, observe=exchanges.append) as sandbox:
        terminal = Terminal({**sandbox.environment, "AKS_ENTRA_LOOK_INTERVAL": "0.2"}, tmp_path / "home")
        terminal.environment["PATH"] = f"{Path(sys.executable).parent}:{terminal.environment['PATH']}"
        (terminal.home / "fleet.yaml").write_text(FLEET)
        yield RecordedSandbox(terminal=terminal, exchanges=exchanges)


async def test_inventory_shows_each_cluster(sandbox: RecordedSandbox) -> None:
    shown = await sandbox.terminal.run("aks-entra inventory --subscription prod-eu --probe")
    lines = [re.sub(r" {2,}", " | ", line) for line in shown.splitlines()]

    titles = "CLUSTER | IDENTITY | ADMIN GROUPS | LOCAL ACCOUNTS | OLD CREDENTIALS | OTHER WAYS IN | NODES | STATE"
    assert lines[0] == titles
    ways = r"\d+ open, \d+ not looked at"
    assert lines[1].startswith("shop-weu/closed | Entra | aks-admins (1) | off | unknown: API server certificate from ")
    assert re.fullmatch(rf"shop-weu/no-rbac \| none, no RBAC \| – \| on \| alive \| {ways} \| 1 \| Running", lines[2])
    assert re.fullmatch(
        rf"shop-weu/open \| Entra \| aks-admins \(1\) \| on \| alive \| {ways} \| 1 \| Running", lines[3]
    )
    assert re.fullmatch(rf"shop-weu/plain \| none \| – \| on \| alive \| {ways} \| 1 \| Running", lines[4])
    assert lines[5] == "4 clusters · 3 can be migrated · 1 cannot be (no Kubernetes RBAC)"
    assert "(--read also reads the clusters' CAs and other ways in)" in lines[6]

    listed = await sandbox.terminal.read("aks-entra inventory -g shop-weu -n plain")
    assert [one["posture"]["depth"] for one in listed["clusters"]] == ["listed"]
    assert sandbox.writes == []


async def test_doors_shows_each_way_in(sandbox: RecordedSandbox) -> None:
    shown = await sandbox.terminal.run("aks-entra doors shop-weu/closed")
    lines = [re.sub(r" {2,}", " | ", line).strip() for line in shown.splitlines()]
    assert lines[0] == "DOOR | STATE | BECAUSE | WHAT TO DO"
    assert lines[1:3] == ["jwt-authenticators | closed | ARM lists no JWT authenticator", "JWT authenticators"]
    (ssh,) = [line for line in lines if line.startswith("node-ssh |")]
    assert "| open | nodepool1: everyone with a private key of its local user |" in ssh
    found = await sandbox.terminal.read("aks-entra doors shop-weu/plain")
    assert {one["kind"] for one in found["doors"]} == IDS
    assert sandbox.writes == []


async def test_plan_shows_what_would_happen(sandbox: RecordedSandbox) -> None:
    shown = await sandbox.terminal.type("aks-entra plan fleet.yaml --out plan.json --detailed-exitcode")

    assert shown.status == 2
    assert "Stage canary (1 cluster, gate before, stop after 1 failure)\n  shop-weu/plain  6 steps" in shown.out
    assert "Stage rest (2 clusters, gate before, 2 at a time, stop after 1 failure)\n" in shown.out
    assert "Refused (1)\n  shop-weu/no-rbac\n    ✗ B003" in shown.out
    assert "3 clusters · 15 steps · nothing has been written\nplan sha256:" in shown.out
    assert shown.err.endswith("plan saved to plan.json")
    saved = (sandbox.terminal.home / "plan.json").read_text()
    digest = shown.out.rpartition("plan ")[2]
    assert f'"{digest}"' in saved

    again = await sandbox.terminal.run("aks-entra plan fleet.yaml -o markdown")
    assert f"`{digest}`" in again
    assert sandbox.writes == []


AUDITED = """\
{"apiVersion":"audit.k8s.io/v1","auditID":"a","stage":"ResponseComplete","verb":"list","userAgent":"helm/3.14",\
"user":{"username":"masterclient","groups":["system:masters"]},"sourceIPs":["10.2.0.7"],\
"requestReceivedTimestamp":"2026-11-20T08:00:00.1Z"}
"""


async def test_a_plan_fetches_the_admin_credential_only_if_somebody_asks_for_it(sandbox: RecordedSandbox) -> None:
    def fetched() -> list[str]:
        return [one.path for one in sandbox.exchanges if one.path.endswith("/listClusterAdminCredential")]

    shown = await sandbox.terminal.run("aks-entra plan fleet.yaml")
    assert "read them once with the cluster's admin credential (`--read-with-admin`)" in shown
    assert fetched() == []
    shown = await sandbox.terminal.run("aks-entra plan fleet.yaml --read-with-admin")
    assert "⚠ W140 the workloads were read with the cluster's admin credential: Azure handed it out" in shown
    assert [path.split("/")[-2] for path in fetched()] == ["plain"], "no-rbac is refused in any case"
    assert sandbox.writes == []


async def test_a_plan_shows_who_will_break_and_which_rules_are_skipped(sandbox: RecordedSandbox) -> None:
    (sandbox.terminal.home / "audit.jsonl").write_text(AUDITED)
    line = "aks-entra plan fleet.yaml --audit-log shop-weu/open=audit.jsonl --audit-days 730 --skip-rule w103=CHG-1042"
    shown = await sandbox.terminal.run(f"{line} --out plan.json")

    assert "⚠ W120 2026-11-20 to 2026-11-20: 1 request by masterclient from 10.2.0.7 (helm/3.14)" in shown
    assert "i W103 skipped (CHG-1042): no person has proven sign-in yet" in shown
    assert '"reason": "CHG-1042"' in (sandbox.terminal.home / "plan.json").read_text()
    refused = await sandbox.terminal.type("aks-entra plan fleet.yaml --skip-rule B009=CHG-1042")
    assert refused.status == 2
    assert "--skip-rule B009=CHG-1042: B009 cannot be skipped: it keeps a way in open" in refused.err
    assert sandbox.writes == []


async def test_a_plan_that_was_not_carried_out_is_not_proven(sandbox: RecordedSandbox) -> None:
    await sandbox.terminal.run("aks-entra plan fleet.yaml --out plan.json")
    shown = await sandbox.terminal.type("AKS_ENTRA_VERIFY_LIMIT=1 aks-entra verify plan.json")

    assert shown.status == 1
    assert re.search(r"shop-weu/open +not verified +left to do: .*disable local accounts", shown.out)
    assert "no report of this plan's migration was found" in shown.err
    assert sandbox.writes == []


async def test_verify_names_what_is_left_and_stores_its_report(sandbox: RecordedSandbox) -> None:
    in_queue = "sed 's/rest: true/rest: true, work_queue: spoke/' fleet.yaml > f.yaml"
    shown = await sandbox.terminal.type(f"mkdir kept && {in_queue} && aks-entra verify f.yaml --evidence kept")

    assert shown.status == 1
    assert "clusters of the work queues spoke are looked at from here, not by their workers" in shown.err
    assert re.search(r"shop-weu/closed +not verified +left to do: rotate certificates · ", shown.out)
    assert re.search(r"shop-weu/no-rbac +refused +B003", shown.out)
    assert re.search(r"shop-weu/open +not verified +left to do: disable local accounts, rotate certificates", shown.out)
    assert re.search(r"shop-weu/plain +not verified +left to do: enable Microsoft Entra ID", shown.out)
    kept = [file.name for file in (sandbox.terminal.home / "kept").iterdir()]
    assert len(kept) == 1

    await sandbox.terminal.run(
        f"aks-entra report kept/{kept[0]} --html r.html --junit r.xml --sarif r.sarif --csv r.csv"
    )
    digest = shown.out.rpartition("report ")[2]
    assert all(digest in (sandbox.terminal.home / f"r.{kind}").read_text() for kind in ("html", "xml", "sarif", "csv"))
    assert sandbox.writes == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("aks-entra inventory --subscription nope", "Error: --subscription: no subscription is named 'nope'"),
        ("aks-entra inventory --tag ring=none", "Error: --tag: no cluster in subscription"),
        (
            "sed s/shop-weu/nope/ fleet.yaml > f.yaml; aks-entra plan f.yaml",
            "Error: f.yaml:4: clusters[0].resource_group: ",
        ),
        (
            "sed s/aks-admins/nope/ fleet.yaml > f.yaml; aks-entra plan f.yaml",
            "Error: f.yaml:6: target.admin_groups[0].name: ",
        ),
        ("AZURE_CLIENT_SECRET=wrong aks-entra plan fleet.yaml", "Error: Microsoft Entra ID refused the sign-in"),
        ("env -u AZURE_CLIENT_SECRET aks-entra plan fleet.yaml", "Error: no Azure credential was found"),
        (
            "aks-entra plan fleet.yaml --out p.json; echo token > old; aks-entra verify p.json --old-kubeconfig open=old",
            "Error: this is not a kubeconfig",
        ),
        (
            "aks-entra plan fleet.yaml --out p.json; echo a > old; aks-entra verify p.json --old-kubeconfig nope=old",
            "Error: --old-kubeconfig nope=…: nope is not in the fleet",
        ),
    ],
)
async def test_something_that_does_not_exist_is_one_clear_error(
    sandbox: RecordedSandbox, line: str, message: str
) -> None:
    outcome = await sandbox.terminal.type(line)

    assert outcome.status == 2
    assert message in outcome.err
    assert outcome.err.count("Error: ") == 1
    assert "\n  → " in outcome.err
    assert sandbox.writes == []
