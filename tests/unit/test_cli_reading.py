# ruff: noqa: E501 - what is typed and printed reads best on its line
"""The commands that only read, typed inside the sandbox: what they print, how they end, and that nothing is written."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from azure_sandbox.proxy import Exchange
from azure_sandbox.server import Sandbox
from tests.journeys.terminal import Terminal

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
READS = re.compile(r"/token$|credential|(check|get)member|getbyids|selfsubject|/\$batch$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
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
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    (tmp_path / "world.yaml").write_text(WORLD)
    exchanges: list[Exchange] = []
    async with Sandbox(tmp_path / "world.yaml", pace=1000, observe=exchanges.append) as sandbox:
        terminal = Terminal({**sandbox.environment, "AKS_ENTRA_LOOK_INTERVAL": "0.2"}, tmp_path / "home")
        terminal.environment["PATH"] = f"{Path(sys.executable).parent}:{terminal.environment['PATH']}"
        (terminal.home / "fleet.yaml").write_text(FLEET)
        yield Place(terminal=terminal, exchanges=exchanges)


async def test_day_one_what_do_i_have(place: Place) -> None:
    shown = await place.terminal.run("aks-entra inventory --subscription prod-eu --probe")
    lines = [re.sub(r" {2,}", " | ", line) for line in shown.splitlines()]

    assert lines[0] == "CLUSTER | IDENTITY | ADMIN GROUPS | LOCAL ACCOUNTS | OLD CREDENTIALS | NODES | STATE"
    assert lines[1].startswith("shop-weu/closed | Entra | aks-admins (1) | off | unknown: API server certificate from ")
    assert lines[2] == "shop-weu/no-rbac | none, no RBAC | – | on | alive | 1 | Running"  # noqa: RUF001 - a dash
    assert lines[3] == "shop-weu/open | Entra | aks-admins (1) | on | alive | 1 | Running"
    assert lines[4] == "shop-weu/plain | none | – | on | alive | 1 | Running"  # noqa: RUF001 - a dash
    assert lines[5] == "4 clusters · 3 can be migrated · 1 cannot be (no Kubernetes RBAC)"
    assert "(--read: the clusters' CA too)" in lines[6]

    listed = await place.terminal.read("aks-entra inventory -g shop-weu -n plain")
    assert [one["posture"]["depth"] for one in listed["clusters"]] == ["listed"]
    assert place.writes == []


async def test_day_two_what_would_happen(place: Place) -> None:
    shown = await place.terminal.type("aks-entra plan fleet.yaml --out plan.json --detailed-exitcode")

    assert shown.status == 2
    assert "Stage canary (1 cluster, gate before, stop after 1 failure)\n  shop-weu/plain  6 steps" in shown.out
    assert "Stage rest (2 clusters, gate before, 2 at a time, stop after 1 failure)\n" in shown.out
    assert "Refused (1)\n  shop-weu/no-rbac\n    ✗ B003" in shown.out
    assert "3 clusters · 15 steps · nothing has been written\nplan sha256:" in shown.out
    assert shown.err.endswith("plan saved to plan.json")
    saved = (place.terminal.home / "plan.json").read_text()
    digest = shown.out.rpartition("plan ")[2]
    assert f'"{digest}"' in saved

    again = await place.terminal.run("aks-entra plan fleet.yaml -o markdown")
    assert f"`{digest}`" in again
    assert place.writes == []


AUDITED = """\
{"apiVersion":"audit.k8s.io/v1","auditID":"a","stage":"ResponseComplete","verb":"list","userAgent":"helm/3.14",\
"user":{"username":"masterclient","groups":["system:masters"]},"sourceIPs":["10.2.0.7"],\
"requestReceivedTimestamp":"2026-11-20T08:00:00.1Z"}
"""


async def test_who_will_break_and_what_is_passed_over(place: Place) -> None:
    (place.terminal.home / "audit.jsonl").write_text(AUDITED)
    line = "aks-entra plan fleet.yaml --audit-log shop-weu/open=audit.jsonl --audit-days 730 --skip-rule w103=CHG-1042"
    shown = await place.terminal.run(f"{line} --out plan.json")

    assert "⚠ W120 2026-11-20 to 2026-11-20: 1 request by masterclient from 10.2.0.7 (helm/3.14)" in shown
    assert "i W103 skipped (CHG-1042): no person's sign-in has been proven yet" in shown
    assert '"reason": "CHG-1042"' in (place.terminal.home / "plan.json").read_text()
    refused = await place.terminal.type("aks-entra plan fleet.yaml --skip-rule B009=CHG-1042")
    assert refused.status == 2
    assert "--skip-rule B009=CHG-1042: B009 cannot be skipped: it keeps a way in open" in refused.err
    assert place.writes == []


async def test_a_plan_that_was_not_carried_out_is_not_proven(place: Place) -> None:
    await place.terminal.run("aks-entra plan fleet.yaml --out plan.json")
    shown = await place.terminal.type("AKS_ENTRA_VERIFY_LIMIT=1 aks-entra verify plan.json")

    assert shown.status == 1
    assert re.search(r"shop-weu/open +failed +local accounts are on · ", shown.out)
    assert "no report of this plan's migration is at hand" in shown.err
    assert place.writes == []


async def test_day_four_prove_it(place: Place) -> None:
    shown = await place.terminal.type("mkdir kept && aks-entra verify fleet.yaml --evidence kept")

    assert shown.status == 1
    assert re.search(r"shop-weu/closed +not verified +left to do: rotate certificates · ", shown.out)
    assert re.search(r"shop-weu/no-rbac +refused +B003", shown.out)
    assert re.search(r"shop-weu/open +not verified +left to do: disable local accounts, rotate certificates", shown.out)
    assert re.search(r"shop-weu/plain +not verified +left to do: enable Microsoft Entra ID", shown.out)
    kept = [file.name for file in (place.terminal.home / "kept").iterdir()]
    assert len(kept) == 1

    await place.terminal.run(f"aks-entra report kept/{kept[0]} --html r.html --junit r.xml --sarif r.sarif --csv r.csv")
    digest = shown.out.rpartition("report ")[2]
    assert all(digest in (place.terminal.home / f"r.{kind}").read_text() for kind in ("html", "xml", "sarif", "csv"))
    assert place.writes == []


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
            "Error: that is not a kubeconfig",
        ),
        (
            "aks-entra plan fleet.yaml --out p.json; echo a > old; aks-entra verify p.json --old-kubeconfig nope=old",
            "Error: --old-kubeconfig nope=…: nope is not in the fleet",
        ),
    ],
)
async def test_what_is_not_there_is_one_clear_error(place: Place, line: str, message: str) -> None:
    outcome = await place.terminal.type(line)

    assert outcome.status == 2
    assert message in outcome.err
    assert outcome.err.count("Error: ") == 1
    assert "\n  → " in outcome.err
    assert place.writes == []
