"""azure-identity against the sandbox's Entra ID: operator, prover and errors."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from aks_entra.core.planning.prover import ProverSpec
from aks_entra.errors import Refused
from azure_sandbox.server import Sandbox
from tests.contract.small_world import ADMINS, READER, TENANT, WORLD, Opener


async def test_the_token_identifies_the_caller(opened: Opener, box: Sandbox) -> None:
    async with opened() as session:
        runner, prover = await session.ports.callers.runner(), await session.ports.callers.prover()
    assert runner == prover
    assert runner.tenant_id == TENANT
    assert runner.object_id == box.operator.principal.id
    assert runner.name


async def test_a_fleet_file_can_name_another_prover(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVER_SECRET", "the-reader")
    spec = ProverSpec(client_id=READER["appId"], tenant_id=TENANT, secret_from="PROVER_SECRET")
    async with opened(spec) as session:
        assert (await session.ports.callers.prover()).object_id == READER["id"]
        assert (await session.ports.callers.runner()).object_id != READER["id"]


async def test_a_missing_secret_of_the_prover_is_named_by_its_variable(opened: Opener) -> None:
    spec = ProverSpec(client_id=READER["appId"], tenant_id=TENANT, secret_from="NOT_SET_ANYWHERE")
    async with opened(spec) as session:
        with pytest.raises(Refused, match="NOT_SET_ANYWHERE"):
            await session.ports.callers.prover()


async def test_a_wrong_secret_is_refused_with_entras_message(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "not-the-secret")
    async with opened() as session:
        for asking in (session.ports.callers.runner(), session.ports.arm.subscription_id("prod-eu")):
            with pytest.raises(Refused, match="Invalid client secret") as refused:
                await asking
            assert refused.value.code == "AADSTS7000215"
            assert "AZURE_CLIENT_SECRET" in refused.value.remedy
            assert "not-the-secret" not in str(refused.value)
        with pytest.raises(Refused) as refused:
            await session.ports.directory.group(ADMINS, prover="")
        assert refused.value.code == "AADSTS7000215"


async def test_without_credentials_the_error_says_how_to_sign_in(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    async with opened() as session:
        with pytest.raises(Refused, match="no Azure credential was found") as refused:
            await session.ports.callers.runner()
    assert "az login" in refused.value.remedy


async def test_an_unknown_tenant_is_refused(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", "00000000-0000-4000-8000-000000000001")
    async with opened() as session:
        with pytest.raises(Refused, match="Microsoft Entra ID refused the sign-in") as refused:
            await session.ports.callers.runner()
    assert refused.value.code.startswith("AADSTS90")


APPLICATION = ProverSpec(client_id=READER["appId"], tenant_id=TENANT)
ISSUER, SUBJECT = "https://oidc.example/clusters/hub", "system:serviceaccount:aks-entra:prover"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate() -> x509.Certificate:
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "prover")]), datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(KEY.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    return made.sign(KEY, hashes.SHA256())


CERTIFICATE = certificate().public_bytes(Encoding.PEM).decode()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
FEDERATED = json.dumps([{"issuer": ISSUER, "subject": SUBJECT}])
ISSUERS = f"issuers: [{{issuer: {ISSUER}, keys: [{json.dumps(PUBLIC)}]}}]\n"
BOTH = (
    WORLD.replace(
        "secret: the-reader}", f"certificates: [{json.dumps(CERTIFICATE)}], federatedCredentials: {FEDERATED}}}"
    )
    + ISSUERS
)


@pytest.mark.parametrize("box", [{"world": BOTH}], indirect=True)
async def test_a_prover_signs_in_with_a_certificate_or_a_federated_token(opened: Opener, tmp_path: Path) -> None:
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    (tmp_path / "prover.pem").write_text(key + CERTIFICATE)
    now = int(datetime.now(UTC).timestamp())
    claims = {"iss": ISSUER, "sub": SUBJECT, "aud": "api://AzureADTokenExchange", "iat": now, "exp": now + 600}
    (tmp_path / "token").write_text(jwt.encode(claims, KEY, algorithm="RS256"))
    for spec in (
        replace(APPLICATION, certificate_path=str(tmp_path / "prover.pem")),
        replace(APPLICATION, token_file=str(tmp_path / "token")),
    ):
        async with opened(spec) as session:
            assert (await session.ports.callers.prover()).object_id == READER["id"]
            assert (await session.ports.callers.runner()).object_id != READER["id"]


async def test_a_credential_of_the_prover_that_cannot_be_read_is_named(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for spec, words in (
        (replace(APPLICATION, certificate_path=str(tmp_path / "none.pem")), "none.pem cannot be read: No such file"),
        (replace(APPLICATION, certificate_path=str(tmp_path / "empty.pem")), "the prover's certificate is no PEM or"),
        (replace(APPLICATION, token_file=str(tmp_path / "none")), "none cannot be read: No such file"),
        (ProverSpec(managed_identity=True), "the managed identity of this machine gave no token"),
    ):
        async with opened(spec) as session:
            with pytest.raises(Refused, match=words) as refused:
                await session.ports.callers.prover()
            assert refused.value.code == "CredentialUnavailable"
