"""Key vaults of the sandbox: what they refuse, in Azure's order, and that a restart keeps their keys."""

from __future__ import annotations

import ssl
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from azure_sandbox.server import Sandbox

WORLD = """
version: 1
servicePrincipals: [{name: operator}, {name: stranger}]
operator: operator
subscriptions:
  - name: prod
    resourceGroups:
      - name: keys
        roleAssignments: [{principal: operator, role: Key Vault Crypto User}]
keyVaults: [{name: signing, resourceGroup: keys, keys: [{name: reports}]}]
"""
KEY = "https://signing.vault.azure.net/keys/reports"
DIGEST = urlsafe_b64encode(b"d" * 32).rstrip(b"=").decode()


@asynccontextmanager
async def inside(folder: Path) -> AsyncIterator[tuple[Sandbox, httpx.AsyncClient]]:
    (folder / "world.yaml").write_text(WORLD)
    async with Sandbox(folder / "world.yaml", pace="by-hand", state=folder / "state") as sandbox:
        trust = ssl.create_default_context(cadata=sandbox.authority.pem.decode())
        async with httpx.AsyncClient(proxy=sandbox.proxy.url, verify=trust, trust_env=False) as http:
            yield sandbox, http


def bearer(sandbox: Sandbox, name: str = "operator", audience: str = "https://vault.azure.net") -> dict[str, str]:
    principal = next(it for it in sandbox.directory.service_principals() if it.display_name == name)
    return {"authorization": f"Bearer {sandbox.tokens.issue(principal, audience=audience)}"}


@pytest.mark.parametrize(
    ("caller", "path", "body", "status", "code"),
    [
        (None, "?api-version=7.4", None, 401, "Unauthorized"),
        (("operator", "https://management.azure.com"), "?api-version=7.4", None, 401, "Unauthorized"),
        (("operator", "https://vault.azure.net"), "", None, 400, "BadParameter"),
        (("stranger", "https://vault.azure.net"), "?api-version=7.4", None, 403, "Forbidden"),
        (("operator", "https://vault.azure.net"), "x?api-version=7.4", None, 404, "KeyNotFound"),
        (("operator", "https://vault.azure.net"), "?api-version=7.4", ("RS256", DIGEST), 400, "BadParameter"),
        (("operator", "https://vault.azure.net"), "?api-version=7.4", ("ES256", "short"), 400, "BadParameter"),
        (("operator", "https://vault.azure.net"), "?api-version=7.4", ("ES256", "!"), 400, "BadParameter"),
        (("operator", "https://vault.azure.net"), "?api-version=7.4", ("ES256", DIGEST), 200, None),
        (("operator", "https://vault.azure.net"), "?api-version=7.6-preview.2", ("ES256", DIGEST), 200, None),
        (("operator", "https://vault.azure.net"), "?api-version=7.6-preview.9", None, 400, "BadParameter"),
    ],
)
async def test_a_vault_refuses_what_azure_refuses(
    tmp_path: Path,
    caller: tuple[str, str] | None,
    path: str,
    body: tuple[str, str] | None,
    status: int,
    code: str | None,
) -> None:
    async with inside(tmp_path) as (sandbox, http):
        headers = bearer(sandbox, *caller) if caller else {}
        tail, _, query = path.partition("?")
        if body is None:
            answer = await http.get(f"{KEY}{tail}?{query}", headers=headers)
        else:
            asked: dict[str, Any] = {"alg": body[0], "value": body[1]}
            answer = await http.post(f"{KEY}{tail}/sign?{query}", headers=headers, json=asked)
        assert (answer.status_code, answer.json().get("error", {}).get("code")) == (status, code)
        challenged = 'resource="https://vault.azure.net"' in answer.headers.get("www-authenticate", "")
        assert challenged is (status == 401)


async def test_a_restart_keeps_the_key(tmp_path: Path) -> None:
    shown = []
    for _ in range(2):
        async with inside(tmp_path) as (sandbox, http):
            answer = await http.get(f"{KEY}?api-version=7.4", headers=bearer(sandbox))
            shown.append(answer.json()["key"])
    assert shown[0] == shown[1]
