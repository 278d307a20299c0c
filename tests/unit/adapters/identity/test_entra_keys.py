"""A file with Entra's signing keys: what is read from it, and for which tenants its keys count."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from aks_entra.adapters.identity.entra_keys import KeysInFile
from aks_entra.cli.doctor import key_file
from aks_entra.errors import Refused
from aks_entra.settings import Settings
from tests.support.report_samples import TENANT

KEY = RSAAlgorithm.to_jwk(rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key(), as_dict=True)
ON_A_CURVE = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"  # Microsoft's tenant of personal accounts


async def test_a_key_counts_only_for_the_tenants_that_its_issuer_names(tmp_path: Path) -> None:
    issuers = {"own": TENANT, "all": "{tenantid}", "consumers": CONSUMERS}
    keys = [
        {**KEY, "kid": name, "issuer": f"https://login.microsoftonline.com/{of}/v2.0"} for name, of in issuers.items()
    ]
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [*keys, {**KEY, "kid": "without"}]}))
    assert set((await KeysInFile(file).of(TENANT.upper())).keys) == {"own", "all", "without"}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"keys": 1}',
        '{"keys": ["a"]}',
        '{"keys": []}',
        json.dumps({"keys": [KEY]}),
        json.dumps({"keys": [{**KEY, "kid": 7}]}),
        json.dumps({"keys": [{**KEY, "kid": "a", "issuer": 7}]}),
        json.dumps({"keys": [{"kid": "a", "kty": "RSA"}]}),
        json.dumps({"keys": [{**ON_A_CURVE, "kid": "a"}]}),
        "[" * 100_000,
    ],
)
async def test_a_malformed_file_is_one_error_that_names_the_setting_and_a_remedy(content: str, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(content)
    with pytest.raises(Refused, match=r"^AKS_ENTRA_ENTRA_KEYS=.*keys\.json: the file holds no ") as refused:
        await KeysInFile(file).of(TENANT)
    assert "curl --fail" in refused.value.remedy


def test_the_doctor_sees_the_age_of_the_file_or_why_it_cannot_be_read(tmp_path: Path) -> None:
    assert key_file(Settings()) is None
    file = tmp_path / "keys.json"
    settings = Settings(entra_keys=str(file))
    lost = key_file(settings)
    assert lost is not None
    assert "cannot be read" in lost.error
    file.write_text(json.dumps({"keys": [{**KEY, "kid": "a"}]}))
    os.utime(file, (0, 0))
    found = key_file(settings)
    assert found is not None
    assert found.age > timedelta(days=20_000)
