"""Log Analytics in the sandbox: diagnostic settings, the query, rights and errors."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from azure_sandbox.clock import Clock
from azure_sandbox.cluster.real.audit_log import AuditLogFile
from azure_sandbox.logs.feed import Feed
from azure_sandbox.logs.kql import TEXT
from azure_sandbox.logs.service import LIMIT
from azure_sandbox.logs.state import Logs, Setting
from azure_sandbox.server import Sandbox

SUBSCRIPTION = "3e8b1a70-6c2f-4d95-b0e4-8f7a2c5d9163"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop-weu"
CLUSTER = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/shop-01"
WORKSPACE = f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/logs"
WORLD = f"""\
version: 1
tenant: {{id: 7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32, name: contoso.onmicrosoft.com}}
servicePrincipals:
  - {{name: operator}}
  - {{name: stranger, secret: a-stranger}}
operator: operator
subscriptions:
  - id: {SUBSCRIPTION}
    name: prod-eu
    roleAssignments: [{{principal: operator, role: Owner}}]
    resourceGroups:
      - name: shop-weu
        clusters:
          - name: shop-01
            auditLog:
              categories: [kube-audit, guard]
              events:
                - {{user: masterclient, verb: get, count: 3, userAgent: helm/3.14, address: 10.2.0.7, at: 2d}}
                - {{user: masterclient, verb: get, userAgent: helm/3.14, address: 10.2.0.7, at: 3d}}
          - {{name: shop-02}}
"""
AUDIT = (
    TEXT.replace("<clusters>", f"'{CLUSTER.lower()}'")
    .replace("<table>", "AKSAudit")
    .replace("<category>", "kube-audit")
    .replace("<most>", "100")
    .replace("<program>", "aks-entra/")
)


@asynccontextmanager
async def inside(folder: Path, **how: Any) -> AsyncIterator[tuple[Sandbox, httpx.AsyncClient]]:
    world = folder / "world.yaml"
    world.write_text(WORLD)
    async with Sandbox(world, pace="by-hand", **how) as sandbox:
        trust = ssl.create_default_context(cadata=sandbox.authority.pem.decode())
        async with httpx.AsyncClient(proxy=sandbox.proxy.url, verify=trust, trust_env=False) as http:
            yield sandbox, http


def token(sandbox: Sandbox, name: str = "operator", resource: str = "https://api.loganalytics.io") -> dict[str, str]:
    found = next(one for one in sandbox.directory.service_principals() if one.display_name == name)
    return {"authorization": f"Bearer {sandbox.tokens.issue(found, audience=resource)}"}


async def arm(sandbox: Sandbox, http: httpx.AsyncClient, path: str, version: str) -> httpx.Response:
    headers = token(sandbox, resource="https://management.azure.com")
    return await http.get(f"https://management.azure.com{path}?api-version={version}", headers=headers)


async def url_of(sandbox: Sandbox, http: httpx.AsyncClient) -> str:
    shown = (await arm(sandbox, http, WORKSPACE, "2023-09-01")).json()
    return f"https://api.loganalytics.io/v1/workspaces/{shown['properties']['customerId']}/query"


async def test_arm_shows_diagnostic_settings_and_workspace(tmp_path: Path) -> None:
    async with inside(tmp_path) as (sandbox, http):
        settings = f"{CLUSTER}/providers/Microsoft.Insights/diagnosticSettings"
        (shown,) = (await arm(sandbox, http, settings, "2021-05-01-preview")).json()["value"]
        assert shown["properties"]["workspaceId"] == WORKSPACE
        assert shown["properties"]["logAnalyticsDestinationType"] == "Dedicated"
        assert [(one["category"], one["enabled"]) for one in shown["properties"]["logs"]] == [
            ("kube-audit", True),
            ("guard", True),
        ]
        one = await arm(sandbox, http, f"{settings}/audit", "2021-05-01-preview")
        assert one.json() == shown
        assert (await arm(sandbox, http, f"{settings}/nope", "2021-05-01-preview")).status_code == 404
        none = await arm(sandbox, http, settings.replace("shop-01", "shop-02"), "2021-05-01-preview")
        assert none.json() == {"value": []}
        gone = await arm(sandbox, http, settings.replace("shop-01", "nope"), "2021-05-01-preview")
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "ResourceNotFound")
        assert (await arm(sandbox, http, f"{WORKSPACE}x", "2023-09-01")).status_code == 404


async def test_a_query_has_the_same_result_after_an_export(tmp_path: Path) -> None:
    async with inside(tmp_path) as (sandbox, http):
        url, headers = await url_of(sandbox, http), token(sandbox)
        (table,) = (await http.post(url, json={"query": AUDIT, "timespan": "P30D"}, headers=headers)).json()["tables"]
        rows = [dict(zip([one["name"] for one in table["columns"]], row, strict=True)) for row in table["rows"]]
        assert [(row["Username"], row["Count"], row["Address"]) for row in rows] == [("masterclient", 4, "10.2.0.7")]
        assert rows[0]["First"] < rows[0]["Last"]
        short = await http.post(url, json={"query": AUDIT, "timespan": "PT60H"}, headers=headers)
        assert short.json()["tables"][0]["rows"][0][8] == 3
        again = tmp_path / "again"
        again.mkdir()
        (again / "world.yaml").write_text(sandbox.export())
    async with Sandbox(again / "world.yaml") as second:
        assert [one.user for one in second.arm.state.logs.events[CLUSTER.lower()]] == ["masterclient"] * 2


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ({"headers": {}}, 401, "AuthorizationRequiredError"),
        ({"resource": "https://management.azure.com"}, 403, "InvalidTokenError"),
        ({"name": "stranger"}, 403, "InsufficientAccessError"),
        ({"json": {"query": " "}}, 400, "BadArgumentError"),
        ({"json": {"query": "AKSAudit | count"}}, 501, "SandboxNotModelled"),
        ({"json": {"query": AUDIT, "timespan": "2026-11-01/2026-11-02"}}, 501, "SandboxNotModelled"),
        ({"json": {"query": AUDIT.replace("AKSAudit", "AKSAuditAdmin")}}, 400, "BadArgumentError"),
    ],
)
async def test_a_wrong_query_or_token_is_refused(tmp_path: Path, how: dict[str, Any], status: int, code: str) -> None:
    async with inside(tmp_path) as (sandbox, http):
        known = {name: how[name] for name in ("name", "resource") if name in how}
        answer = await http.post(
            await url_of(sandbox, http),
            json=how.get("json", {"query": AUDIT, "timespan": "P30D"}),
            headers=how.get("headers", token(sandbox, **known)),
        )
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_an_unknown_workspace_and_too_many_requests_are_refused(tmp_path: Path) -> None:
    async with inside(tmp_path) as (sandbox, http):
        headers, known = token(sandbox), await url_of(sandbox, http)
        wrong = "https://api.loganalytics.io/v1/workspaces/5c1de2a4-90b7-4f0e-b1a5-6f2d7c8e9a01/query"
        for _ in range(LIMIT):
            answer = await http.post(wrong, json={"query": AUDIT}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "WorkspaceNotFoundError")
        answer = await http.post(known, json={"query": AUDIT}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "ThrottledError")
        assert 0 < int(answer.headers["retry-after"]) <= 30


def audited(user: str, at: datetime, **more: Any) -> tuple[str, dict[str, Any]]:
    """Return an event of Kubernetes' audit log, with its cluster."""
    known = {"verb": "get", "userAgent": "curl", "sourceIPs": ["10.2.0.7"], "responseStatus": {"code": 200}}
    return CLUSTER, {"stageTimestamp": at.isoformat(), "user": {"username": user, **more}, **known}


def test_events_of_a_real_control_plane_reach_the_workspace_where_a_setting_sends_them() -> None:
    machine = datetime(2026, 11, 28, 5, 30, tzinfo=UTC)
    clock = Clock(source=lambda: machine)
    logs, waiting = Logs(), [audited("masterclient", machine)]

    def read() -> list[tuple[str, dict[str, Any]]]:
        taken = list(waiting)
        waiting.clear()
        return taken

    feed = Feed(logs, clock, read)
    feed()
    assert not logs.events, "without a setting, nothing is kept"
    logs.settings[CLUSTER.lower()] = [Setting(name="audit", categories=("kube-audit",), workspace=WORKSPACE)]
    earlier = machine - timedelta(minutes=1)
    waiting += [audited("masterclient", earlier), audited("masterclient", machine)]
    clock.advance(timedelta(hours=2))
    credential = {"authentication.kubernetes.io/credential-id": ["X509SHA256=ab"]}
    waiting += [audited("ci", machine, extra=credential), audited("dana", machine, extra={"oid": ["1"]})]
    feed()
    scheduler, *others = logs.events[CLUSTER.lower()]
    assert (scheduler.user, scheduler.hourly, scheduler.at) == ("system:kube-scheduler", True, earlier)
    assert [(one.user, one.count, one.at, one.certificate, one.entra) for one in others] == [
        ("masterclient", 1, earlier, False, False),
        ("masterclient", 1, machine + timedelta(hours=2), False, False),  # after the clock was advanced
        ("ci", 1, machine + timedelta(hours=2), True, False),
        ("dana", 1, machine + timedelta(hours=2), False, True),
    ]
    waiting.append(audited("ci", machine, extra=credential))
    feed()
    assert [one.count for one in logs.events[CLUSTER.lower()]] == [1, 1, 1, 2, 1]
    assert [one.at.hour for one in scheduler.until(clock.now())] == [5, 6, 7, 7]


def test_an_audit_log_is_read_line_by_line_and_survives_its_file(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    log = AuditLogFile(file)
    assert log.take() == []
    file.write_text('{"verb": "get"}\n{"verb": ')
    assert log.take() == [{"verb": "get"}]
    file.write_text(file.read_text() + '"list"}\n')
    log.catch_up()
    file.unlink()
    assert log.take() == [{"verb": "list"}]
    assert log.take() == []


def test_a_clock_by_hand_does_not_move_what_the_machine_saw() -> None:
    machine = datetime(2026, 11, 28, 5, 30, tzinfo=UTC)
    clock = Clock(by_hand=True, source=lambda: machine)
    clock.advance(timedelta(hours=2))
    assert clock.shown(machine) == machine
