"""A kubeconfig that is handed in counts only if it could have worked; what ARM says unknown of identity is unknown."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from aks_entra.adapters.arm.cluster_document import posture_of
from aks_entra.adapters.identity.credentials import issued_at
from aks_entra.adapters.vault import MemoryVault
from aks_entra.core.cluster import Identity
from aks_entra.core.planning.plan import plan_cluster
from aks_entra.errors import Refused
from tests.support.cases import SHOP, facts, managed, target

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


class Authority:
    """A certificate authority that signs client certificates."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._issue(self.name, self.key, NOW - timedelta(days=500), NOW + timedelta(days=500))

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(SHA256()).hex()

    def client(self, *, ends: timedelta = timedelta(days=300)) -> dict[str, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "masterclient")])
        certificate = self._issue(who, key, NOW - timedelta(days=400), NOW + ends)
        return {
            "client-certificate-data": certificate.public_bytes(Encoding.PEM),
            "client-key-data": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        }

    def _issue(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, ends: datetime
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
        return builder.sign(self.key, SHA256())


OLD, OTHER = Authority("ca"), Authority("ca")  # two CAs of AKS have one name


def kubeconfig(ca: bytes, user: dict[str, bytes], token: str = "") -> str:
    data = {name: base64.b64encode(value).decode() for name, value in user.items()}
    document: dict[str, Any] = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"certificate-authority-data": base64.b64encode(ca).decode()}}],
        "users": [{"name": "u", "user": {**data, "token": token}}],
    }
    return json.dumps(document)


def test_a_certificate_counts_when_the_ca_in_the_kubeconfig_signed_it() -> None:
    held = MemoryVault(lambda: NOW).hand_in(SHOP, kubeconfig(OLD.pem, OLD.client(), "secret"))
    assert (held.signed, held.ca.fingerprint) == (True, OLD.fingerprint)
    assert held.has_static_token


def test_of_several_cas_the_one_that_signed_it_is_named() -> None:
    held = MemoryVault(lambda: NOW).hand_in(SHOP, kubeconfig(OTHER.pem + OLD.pem, OLD.client()))
    assert (held.signed, held.ca.fingerprint) == (True, OLD.fingerprint)


@pytest.mark.parametrize(
    ("ca", "user"),
    [
        (OTHER.pem, OLD.client()),  # the CA's data was swapped, or the kubeconfig is of another cluster
        (OLD.pem, OLD.client(ends=timedelta(days=-1))),  # it would be refused for its date
        (OLD.pem, {"client-certificate-data": b"no certificate", "client-key-data": b"k"}),
    ],
)
def test_a_certificate_that_could_not_have_worked_is_not_signed(ca: bytes, user: dict[str, bytes]) -> None:
    assert not MemoryVault(lambda: NOW).hand_in(SHOP, kubeconfig(ca, user)).signed


def test_a_token_of_entra_id_or_of_a_service_account_is_no_static_token() -> None:
    token = jwt.encode({"oid": "1"}, "k" * 32)
    with pytest.raises(Refused, match="no client certificate and no static token"):
        MemoryVault(lambda: NOW).hand_in(SHOP, kubeconfig(OLD.pem, {}, token))
    assert not MemoryVault(lambda: NOW).hand_in(SHOP, kubeconfig(OLD.pem, OLD.client(), token)).has_static_token


@pytest.mark.parametrize(
    ("profile", "identity"),
    [
        (None, Identity.NONE),
        ({"managed": True, "adminGroupObjectIDs": None, "tenantID": "t"}, Identity.MANAGED),
        ({"clientAppID": "1", "serverAppID": "2", "tenantID": "t"}, Identity.LEGACY),
        ({"managed": False, "serverAppID": "2"}, Identity.LEGACY),
        ({"tenantID": "t"}, Identity.UNKNOWN),
        ({}, Identity.UNKNOWN),
        ({"managed": "External"}, Identity.UNKNOWN),
        ({"managed": "External", "serverAppID": "2"}, Identity.UNKNOWN),
        ("v3", Identity.UNKNOWN),
    ],
)
def test_only_a_profile_that_names_the_legacy_applications_is_legacy(profile: object, identity: Identity) -> None:
    document = {"id": SHOP.resource_id, "properties": {"aadProfile": profile}}
    assert posture_of(document).identity is identity


def test_what_arm_shows_in_words_of_a_newer_version_is_refused_by_name() -> None:
    shown = {
        "aadProfile": {"managed": True, "adminGroupObjectIDs": ["g"]},
        "powerState": {"code": "Hibernated"},
        "publicNetworkAccess": "OnlyOnSundays",
        "disableLocalAccounts": "partly",
    }
    posture = posture_of({"id": SHOP.resource_id, "properties": shown})
    assert posture.not_understood == (
        "powerState.code: 'Hibernated'",
        "publicNetworkAccess: 'OnlyOnSundays'",
        "disableLocalAccounts: 'partly'",
    )
    assert posture.local_accounts  # never taken for closed
    plan = plan_cluster(managed(not_understood=posture.not_understood), target(), facts())
    assert plan.disposition == "refused"
    assert sum(one.rule == "B027" for one in plan.blockers) == 3
    unknown = plan_cluster(managed(identity=Identity.UNKNOWN), target(), facts())
    assert (unknown.disposition, unknown.steps) == ("refused", ())
    assert "the sign-in integration is unknown" in next(one.message for one in unknown.blockers if one.rule == "B027")


def test_an_identity_of_a_newer_version_in_evidence_is_unknown() -> None:
    assert Identity.of("managed") is Identity.MANAGED
    assert Identity.of("federated") is Identity.UNKNOWN


def test_when_a_token_was_issued() -> None:
    assert issued_at(jwt.encode({"iat": 1795510800}, "k" * 32)) == "2026-11-24T09:00:00Z"
    assert issued_at(jwt.encode({"iat": "soon"}, "k" * 32)) == ""
    assert issued_at(jwt.encode({}, "k" * 32)) == ""
    assert issued_at("opaque") == ""


def test_the_vault_says_whether_the_authority_that_was_read_last_has_a_key() -> None:
    vault, name = MemoryVault(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    assert vault.certificate_authority(SHOP) is None
    assert not vault.issued(SHOP, "")
    plain = Authority("ca")
    assert vault.trust(SHOP, plain.pem.decode()) == vault.certificate_authority(SHOP)
    assert not vault.issued(SHOP, "")  # it names no key, so no serving certificate shows that it is still the one

    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).add_extension(named, critical=False)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=9))
    vault.trust(SHOP, builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode())

    assert vault.issued(SHOP, named.digest.hex())
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert not vault.issued(SHOP, x509.SubjectKeyIdentifier.from_public_key(other).digest.hex())
