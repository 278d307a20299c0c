"""What a sandbox tells about the requests that it answered: nothing secret, and each unmodelled route once."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from typer.testing import CliRunner

from azure_sandbox.cli import app
from azure_sandbox.front.http import Request
from azure_sandbox.front.traffic_report import Exchange, Report, exchange_of

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def told(query: dict[str, str] | None = None, status: int = 200, **more: Any) -> Exchange:
    request = Request(
        method="GET",
        host="management.azure.com",
        path="/a",
        raw_path="/a",
        query=query or {},
        headers=more.pop("headers", {}),
        now=NOW,
        **more,
    )
    return exchange_of(request, NOW, status, words="not here", milliseconds=5)


def test_only_options_without_a_secret_have_their_value() -> None:
    sent = {"api-version": "2026-08-01", "$filter": "a eq 'b'", "s": "signature", "code": "secret"}
    assert told(sent).query == "api-version=2026-08-01&$filter=a eq 'b'&s=…&code=…"


@pytest.mark.parametrize(
    ("claims", "caller"),
    [
        ({"upn": "alice@contoso.example", "appid": "x"}, "alice@contoso.example"),
        ({"appid": "an-app"}, "an-app"),
        ({"azp": "an-app"}, "an-app"),
        ({"sub": "system:serviceaccount:a:b"}, "system:serviceaccount:a:b"),
        ({}, "token"),
    ],
)
def test_the_caller_is_the_name_in_its_token(claims: dict[str, str], caller: str) -> None:
    token = jwt.encode(claims, "k" * 32)
    assert told(headers={"authorization": f"Bearer {token}"}).caller == caller


def test_a_caller_without_a_readable_token_is_told_by_its_way_in() -> None:
    assert told(headers={"authorization": "Bearer static"}).caller == "token"
    assert told(peer_certificate=b"DER").caller == "certificate"
    assert told().caller == ""


def test_an_unmodelled_route_is_logged_once_and_counted_each_time(caplog: pytest.LogCaptureFixture) -> None:
    report = Report()
    for _ in range(3):
        report.note(told(status=501))
    caplog.set_level(logging.WARNING)
    assert [it.getMessage() for it in caplog.records] == ["not modelled: GET https://management.azure.com/a: not here"]
    assert list(report.shown()["unmodelled"].values()) == [3]


def test_the_command_prints_its_version() -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.output.startswith("aks-entra-sandbox ")) == (0, True)
