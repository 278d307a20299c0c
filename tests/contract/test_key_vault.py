"""Reports that a key in Azure Key Vault signs: the key never leaves it, and what Azure refuses is said."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from typer.testing import Result

from aks_entra.documents import dump_report
from azure_sandbox.vaults.service import private_key
from azure_sandbox.vaults.world import VaultKeyModel
from tests.contract.command_line import serving, typed
from tests.support.verdict_cases import report_of

WORLD = """
version: 1
servicePrincipals: [{name: operator}]
subscriptions:
  - name: prod
    resourceGroups:
      - name: keys
        roleAssignments:
          - {principal: operator, role: Key Vault Crypto User, scope: providers/Microsoft.KeyVault/vaults/signing}
keyVaults:
  - name: signing
    resourceGroup: keys
    keys: [{name: reports}, {name: hardware, kind: EC-HSM}, {name: large, curve: P-384}, {name: off, enabled: false}]
  - name: foreign
    resourceGroup: keys
    subscription: prod
    keys: [{name: reports}]
"""
HOST = "azurekms://signing.vault.azure.net"
PUBLIC = private_key("signing", VaultKeyModel(name="reports")).public_key()


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    yield from serving(tmp_path_factory.mktemp("vault"), WORLD)


def signed(folder: Path, key: str) -> Result:
    (folder / "kept.json").write_text(dump_report(report_of()))
    return typed("report", str(folder / "kept.json"), "--attest", str(folder / "out.json"), "--key", key)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["reports", "keys/reports"])
def test_a_key_of_the_vault_signs_what_an_auditor_checks_with_its_public_key(tmp_path: Path, name: str) -> None:
    ended = signed(tmp_path, f"{HOST}/{name}")
    assert ended.exit_code == 0, ended.output
    envelope = json.loads((tmp_path / "out.json").read_text())
    body, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    message = f"DSSEv1 {len(kind)} {kind} {len(body)} ".encode() + body
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    PUBLIC.verify(signature, message, ec.ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        PUBLIC.verify(signature, message + b" ", ec.ECDSA(SHA256()))
    assert signed(tmp_path, f"{HOST}/hardware").exit_code == 0


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("key", "words"),
    [
        (f"{HOST}/large", "is EC P-384, and reports are signed with EC P-256"),
        (f"{HOST}/off", "not allowed on a disabled key"),
        (f"{HOST}/none", "check the names of the vault, the key and its version"),
        (f"{HOST}/reports/{'0' * 32}", "check the names of the vault, the key and its version"),
        ("azurekms://foreign.vault.azure.net/reports", "assign the role *Key Vault Crypto User*"),
        ("azurekms://elsewhere.vault.azure.net/reports", "elsewhere.vault.azure.net"),
        ("azurekms://signing.example.com/reports", "not the name of a key in Azure Key Vault"),
        (f"{HOST}/", "not the name of a key in Azure Key Vault"),
        (f"{HOST}/reports/../x", "not the name of a key in Azure Key Vault"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_and_nothing_is_written(tmp_path: Path, key: str, words: str) -> None:
    ended = signed(tmp_path, key)
    assert ended.exit_code != 0
    assert words in ended.output
    assert not (tmp_path / "out.json").exists()
