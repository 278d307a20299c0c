"""Client assertions: certificates and federated credentials, and the error for each wrong one."""

from __future__ import annotations

import base64
import hashlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from azure_sandbox.entra.tokens import ARM_AUDIENCES
from tests.support.identity_client import ARM_SCOPE, IdentityClient

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ISSUER = "https://oidc.example/clusters/shop"
SUBJECT = "system:serviceaccount:shop:deployer"
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def certificate(*, days: int = 30) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pipeline")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .sign(KEY, hashes.SHA256())
    )


VALID, EXPIRED = certificate(), certificate(days=-1)


def new_client() -> IdentityClient:
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return IdentityClient(
        {
            "issuers": [{"issuer": ISSUER, "keys": [public]}],
            "servicePrincipals": [
                {
                    "name": "pipeline",
                    "certificates": [it.public_bytes(Encoding.PEM).decode() for it in (VALID, EXPIRED)],
                },
                {"name": "workload", "federatedCredentials": [{"issuer": ISSUER, "subject": SUBJECT}]},
            ],
        }
    )


def thumbprint(known: x509.Certificate, algorithm: str = "sha256") -> str:
    digest = hashlib.new(algorithm, known.public_bytes(Encoding.DER)).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def certified(
    client: IdentityClient, key: Any = KEY, headers: dict[str, str] | None = None, **change: object
) -> dict[str, str]:
    app, now = client.app("pipeline"), int(time.time())
    claims = {"iss": app, "sub": app, "nbf": now, "exp": now + 600, "jti": "1", **change}
    claims.setdefault("aud", f"https://login.microsoftonline.com/{client.tenant}/oauth2/v2.0/token")
    header = {"x5t#S256": thumbprint(VALID)} if headers is None else headers
    assertion = jwt.encode(claims, key, algorithm="RS256", headers=header)
    return _form(app, assertion)


def federated(client: IdentityClient, key: Any = KEY, app: str | None = None, **change: object) -> dict[str, str]:
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": SUBJECT, "aud": "api://AzureADTokenExchange", "exp": now + 600, **change}
    return _form(app or client.app("workload"), jwt.encode(claims, key, algorithm="RS256"))


def _form(app: str, assertion: str) -> dict[str, str]:
    fixed = {"grant_type": "client_credentials", "client_assertion_type": TYPE, "scope": ARM_SCOPE}
    return {**fixed, "client_id": app, "client_assertion": assertion}


@pytest.mark.parametrize(
    "headers", [None, {"x5t": thumbprint(VALID, "sha1")}, {"x5t": thumbprint(VALID)}], ids=["S256", "sha1", "sha256"]
)
async def test_an_application_signs_in_with_a_registered_certificate(headers: dict[str, str] | None) -> None:
    client = new_client()
    answer = await client.token(**certified(client, headers=headers))
    assert client.tokens.read(answer["access_token"], ARM_AUDIENCES).oid == client.id("pipeline")
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert claims["appidacr"] == "2"


async def test_a_wrong_certificate_gets_entras_error() -> None:
    client = new_client()
    assert (await client.refused(**certified(client, headers={})))[0] == 50027
    code, words = await client.refused(**certified(client, headers={"x5t": "AAAA"}))
    assert (code, "The key was not found., Thumbprint of key used by client: '000000'" in words) == (700027, True)
    code, words = await client.refused(**certified(client, key=STRANGER))
    assert (code, "signature value did not match" in words) == (700027, True)
    code, words = await client.refused(**certified(client, headers={"x5t": thumbprint(EXPIRED)}))
    assert (code, "The key used is expired" in words) == (700027, True)
    assert (await client.refused(**certified(client, aud="https://elsewhere.example")))[0] == 50012
    assert (await client.refused(**certified(client, nbf=0, exp=10)))[0] == 700024
    assert (await client.refused(**certified(client, sub="somebody")))[0] == 700021
    assert (await client.refused(**{**certified(client), "client_assertion": "x.y.z"}))[0] == 50027
    assert (await client.refused(**{**certified(client), "client_assertion_type": "?"}))[0] == 900144


async def test_a_workload_signs_in_with_a_federated_assertion() -> None:
    client = new_client()
    answer = await client.token(**federated(client))
    assert client.tokens.read(answer["access_token"], ARM_AUDIENCES).oid == client.id("workload")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"sub": "system:serviceaccount:shop:other"}, 700213, "subject 'system:serviceaccount:shop:other'"),
        ({"iss": "https://evil.example"}, 700211, "issuer 'https://evil.example'"),
        ({"aud": "https://management.azure.com"}, 700212, "audience 'https://management.azure.com'"),
        ({"exp": 10}, 700024, "not within its valid time range"),
        ({"key": STRANGER}, 50013, "Assertion failed signature validation"),
    ],
)
async def test_the_error_for_a_wrong_federated_assertion_names_the_mismatch(
    change: dict[str, Any], code: int, words: str
) -> None:
    client = new_client()
    got, description = await client.refused(**federated(client, **change))
    assert (got, words in description) == (code, True)


async def test_an_application_without_federated_credentials_is_refused() -> None:
    client = new_client()
    assert (await client.refused(**federated(client, app=client.app("operator"))))[0] == 70025


async def test_a_certificate_that_was_added_in_graph_opens_entra() -> None:
    client = IdentityClient(
        {
            "servicePrincipals": [
                {"name": "operator", "graphPermissions": ["Application.ReadWrite.All"]},
                {"name": "pipeline"},
            ]
        }
    )
    assert (await client.refused(**certified(client)))[0] == 700027
    der = base64.b64encode(VALID.public_bytes(Encoding.DER)).decode()
    key = {"type": "AsymmetricX509Cert", "usage": "Verify", "key": der}
    found = await client.get(f"/applications(appId='{client.app('pipeline')}')")
    assert (await client.send("PATCH", f"/applications/{found['id']}", {"keyCredentials": [key]})).status == 204
    assert (await client.token(**certified(client)))["access_token"]
