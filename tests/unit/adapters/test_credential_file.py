"""What a file says about the credentials in it. The certificates are made here, so each differs in one thing."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from aks_entra.adapters.credential_file import read_credentials, with_current_context
from aks_entra.adapters.token_hashes import salted
from aks_entra.core.evidence.found_credentials import FoundCredential, Kind
from aks_entra.core.evidence.rotation_debt import Record, Sighting
from aks_entra.errors import Refused

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "0123456789abcdef" * 8
VARIABLE = "AAD_SERVICE_PRINCIPAL_CLIENT_SECRET"
SERVER = "https://pay-01.hcp.westeurope.azmk8s.io:443"


@dataclass(frozen=True)
class Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, sealed: KeySerializationEncryption | None = None) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed or NoEncryption())


def made(*names: x509.NameAttribute[str], by: Pair | None = None, ca: bool = False, extensions: bool = True) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(names)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(BEGAN)
        .not_valid_after(BEGAN + timedelta(days=365))
    )
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    if extensions and ca:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if extensions and by is not None:
        issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key())
        builder = builder.add_extension(issued_by, critical=False)
    return Pair(builder.sign((by or Pair(None, key)).key, SHA256()), key)  # type: ignore[arg-type]  # it signs itself


CA = made(x509.NameAttribute(NameOID.COMMON_NAME, "ca"), ca=True)
OTHER = made(x509.NameAttribute(NameOID.COMMON_NAME, "ca"), ca=True, extensions=False)
CLIENT = made(
    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"),
    x509.NameAttribute(NameOID.COMMON_NAME, "masterclient"),
    by=CA,
)
BARE = made(x509.NameAttribute(NameOID.ORGANIZATION_NAME, "nameless"), by=OTHER, extensions=False)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def kubeconfig(user: dict[str, Any] | None = None, *, ca: bytes = CA.pem, **more: Any) -> bytes:
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "current-context": "pay",
        "contexts": [{"name": "pay", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": SERVER, "certificate-authority-data": encoded(ca)}}],
        "users": [{"name": "u", "user": {**(user or {}), **more}}],
    }
    return json.dumps(document).encode()


def pair(one: Pair = CLIENT, key: bytes | None = None) -> dict[str, str]:
    return {
        "client-certificate-data": encoded(one.pem),
        "client-key-data": encoded(one.key_pem() if key is None else key),
    }


def only(content: bytes) -> FoundCredential:
    (found,) = read_credentials(content)
    return found


def token(**claims: Any) -> str:
    return jwt.encode(claims, "a key of thirty-two bytes, no less", algorithm="HS256")


def test_an_admin_kubeconfig_carries_a_certificate_and_a_token() -> None:
    certificate, static = read_credentials(kubeconfig(pair(), token=SECRET))
    assert (certificate.kind, static.kind) == (Kind.CERTIFICATE, Kind.STATIC_TOKEN)
    assert (certificate.subject, certificate.groups) == ("masterclient", ("system:masters",))
    assert (certificate.signed, certificate.has_key) == (True, True)
    assert certificate.issuer_key == certificate.authority_key == static.authority_key
    assert certificate.server == static.server == "pay-01.hcp.westeurope.azmk8s.io"
    assert certificate.not_after == "2027-01-01T00:00:00Z"
    assert SECRET not in repr((certificate, static))


@pytest.mark.parametrize(
    ("key", "has_key"),
    [
        (b"", False),
        (b"no key", False),
        (OTHER.key_pem(), False),
        (CLIENT.key_pem(BestAvailableEncryption(b"closed")), True),
    ],
)
def test_a_certificate_with_another_key_or_none_does_not_have_its_key(key: bytes, *, has_key: bool) -> None:
    assert only(kubeconfig(pair(key=key))).has_key is has_key


def test_a_certificate_of_another_ca_is_not_signed_by_the_one_in_the_file() -> None:
    found = only(kubeconfig(pair(), ca=OTHER.pem))
    assert not found.signed
    assert found.issuer_key != found.authority_key
    assert found.authority_key, "an identifier is computed for a CA that has none"
    alone = only(kubeconfig(pair(BARE), ca=b""))
    assert (alone.authority, alone.issuer_key, alone.subject) == (None, "", "O=nameless")


def test_of_several_cas_the_one_that_signed_counts_and_a_token_has_none() -> None:
    certificate, static = read_credentials(kubeconfig(pair(), ca=OTHER.pem + CA.pem, token=SECRET))
    assert certificate.authority is not None
    assert certificate.authority.fingerprint == CA.certificate.fingerprint(SHA256()).hex()
    assert (certificate.signed, certificate.issuer_key) == (True, certificate.authority_key)
    assert (static.authority, static.keys) == (None, ())


def test_a_kubeconfig_gets_another_current_context() -> None:
    document = json.loads(kubeconfig(token=SECRET))
    document["contexts"] += [{"name": "shop", "context": {"cluster": "c", "user": "u"}}]
    changed = json.loads(with_current_context(json.dumps(document).encode(), "shop"))
    assert changed == {**document, "current-context": "shop"}
    document["contexts"] += [{"name": "shop", "context": {"cluster": "c", "user": "v"}}]
    for content, name in ((json.dumps(document).encode(), "shop"), (kubeconfig(token=SECRET), "u"), (CA.pem, "")):
        with pytest.raises(Refused, match="one context of a kubeconfig names"):
            with_current_context(content, name)


def test_a_server_that_is_no_address_names_no_host() -> None:
    document = json.loads(kubeconfig(token=SECRET))
    document["clusters"][0]["cluster"]["server"] = "https://["
    assert only(json.dumps(document).encode()).server == ""


@pytest.mark.parametrize(
    ("user", "kind", "subject", "elsewhere"),
    [
        ({"username": "admin", "password": SECRET}, Kind.PASSWORD, "admin", ""),
        ({"exec": {"command": "kubelogin"}}, Kind.COMMAND, "kubelogin", ""),
        ({"exec": {"args": []}}, Kind.COMMAND, "a plug-in", ""),
        ({"auth-provider": {"name": "azure"}}, Kind.COMMAND, "azure", ""),
        ({"client-certificate": "client.pem"}, Kind.CERTIFICATE, "", "client.pem"),
        ({"tokenFile": "token.txt"}, Kind.STATIC_TOKEN, "", "token.txt"),
    ],
)
def test_other_users_of_a_kubeconfig(user: dict[str, Any], kind: Kind, subject: str, elsewhere: str) -> None:
    found = only(kubeconfig(user))
    assert (found.kind, found.subject, found.elsewhere) == (kind, subject, elsewhere)
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("user", "secrets"),
    [
        ({"exec": {"command": "kubelogin", "args": ["get-token", "--server-id", "x", "--client-id=y"]}}, ()),
        ({"exec": {"command": "kubelogin", "args": ["--client-secret", SECRET]}}, ("--client-secret",)),
        ({"exec": {"command": "kubelogin", "args": [f"--client-secret={SECRET}"]}}, ("--client-secret",)),
        ({"exec": {"command": "kubelogin", "args": ["--client-secret=", "--client-secret"]}}, ()),
        ({"exec": {"command": "go", "args": ["-client-secret", SECRET]}}, ("an argument",)),
        ({"exec": {"env": [{"name": VARIABLE, "value": SECRET}]}}, (VARIABLE,)),
        ({"exec": {"env": [{"name": "AZURE_FEDERATED_TOKEN_FILE", "value": "/var/run/token"}]}}, ()),
        ({"exec": {"env": [{"name": "AZURE_PASSWORD", "value": None}]}}, ()),
        ({"auth-provider": {"config": {"tenant-id": "t", "refresh-token": SECRET}}}, ("refresh-token",)),
    ],
)
def test_a_sign_in_command_names_the_secrets_that_are_given_to_it(
    user: dict[str, Any], secrets: tuple[str, ...]
) -> None:
    found = only(kubeconfig(user))
    assert (found.kind, found.secrets) == (Kind.COMMAND, secrets)
    assert SECRET not in repr(found)


def test_a_private_key_without_its_certificate_is_a_finding_of_its_own() -> None:
    assert only(CLIENT.key_pem()).kind is Kind.PRIVATE_KEY
    assert only(kubeconfig({"client-key-data": encoded(CLIENT.key_pem())})).kind is Kind.PRIVATE_KEY
    both = read_credentials(CLIENT.pem + OTHER.key_pem() + CLIENT.key_pem())
    assert [(one.kind, one.has_key) for one in both] == [(Kind.CERTIFICATE, True), (Kind.PRIVATE_KEY, True)]
    authority = read_credentials(CA.pem + CA.key_pem())  # it can sign any certificate
    assert [one.kind for one in authority] == [Kind.AUTHORITY, Kind.PRIVATE_KEY]
    elsewhere = only(kubeconfig({"client-key-data": encoded(CLIENT.key_pem()), "client-certificate": "client.pem"}))
    assert elsewhere.elsewhere == "client.pem"


@pytest.mark.parametrize("data", ["é", "AAAA", encoded(CLIENT.pem)[:200]])
def test_a_damaged_certificate_is_never_left_out(data: str) -> None:
    found = read_credentials(kubeconfig({**pair(), "client-certificate-data": data, "exec": {"command": "kubelogin"}}))
    assert [(one.kind, one.unread) for one in found] == [(Kind.CERTIFICATE, True), (Kind.COMMAND, False)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_file_that_powershell_wrote_is_read(encoding: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    written = [
        f"{mark}{text}".encode(encoding) for text in (SECRET, CLIENT.pem.decode(), kubeconfig(token=SECRET).decode())
    ]
    assert [only(one).kind for one in written] == [Kind.STATIC_TOKEN, Kind.CERTIFICATE, Kind.STATIC_TOKEN]
    assert json.loads(with_current_context(written[2], "pay"))["current-context"] == "pay"


def test_data_in_the_file_counts_before_a_path() -> None:
    found = read_credentials(kubeconfig({**pair(), "client-certificate": "x"}, token=SECRET, tokenFile="y"))
    assert [one.elsewhere for one in found] == ["", ""]


def test_a_user_without_a_context_is_seen_too() -> None:
    document = json.loads(kubeconfig(token=SECRET))
    document["contexts"] = []
    (found,) = read_credentials(json.dumps(document).encode())
    assert (found.name, found.server) == ("u", "pay-01.hcp.westeurope.azmk8s.io")
    document["clusters"] = []
    assert only(json.dumps(document).encode()).server == ""


def test_a_pem_file_tells_the_ca_from_the_certificate() -> None:
    authority, certificate = read_credentials(CA.pem + CLIENT.pem + CLIENT.key_pem())
    assert (authority.kind, certificate.kind) == (Kind.AUTHORITY, Kind.CERTIFICATE)
    assert (certificate.signed, certificate.has_key) == (True, True)
    assert certificate.authority == authority.authority
    alone = only(CLIENT.pem)
    assert (alone.authority, alone.signed, alone.has_key) == (None, False, False)


@pytest.mark.parametrize(
    ("claims", "kind", "subject", "server", "not_after"),
    [
        (
            {"aud": "6dae42f8-4368-4678-94ff-3960e28e3630", "upn": "dana@contoso.com", "exp": 1_800_000_000},
            Kind.ENTRA_TOKEN,
            "dana@contoso.com",
            "",
            "2027-01-15T08:00:00Z",
        ),
        ({"iss": "https://sts.windows.net/x/", "appid": "app"}, Kind.ENTRA_TOKEN, "app", "", ""),
        (
            {"iss": "https://pay-01.hcp.westeurope.azmk8s.io", "sub": "system:serviceaccount:a:b", "aud": ["x"]},
            Kind.SERVICE_ACCOUNT_TOKEN,
            "system:serviceaccount:a:b",
            "pay-01.hcp.westeurope.azmk8s.io",
            "",
        ),
        (
            {"iss": "kubernetes/serviceaccount", "sub": "s", "exp": 10**30},
            Kind.SERVICE_ACCOUNT_TOKEN,
            "s",
            "",
            "",
        ),
    ],
)
def test_a_bare_jwt_says_who_issued_it(
    claims: dict[str, Any], kind: Kind, subject: str, server: str, not_after: str
) -> None:
    found = only(f"Bearer {token(**claims)}\n".encode())
    assert (found.kind, found.subject, found.server, found.not_after) == (kind, subject, server, not_after)


def test_a_bare_text_without_spaces_is_a_static_token() -> None:
    assert only(SECRET.encode()).kind is Kind.STATIC_TOKEN


@pytest.mark.parametrize(
    "content",
    [b"", b"two words of text", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nx\n", b"a: [", kubeconfig(), b"short"],
)
def test_a_file_without_a_credential_is_refused(content: bytes) -> None:
    with pytest.raises(Refused, match="carries no credential that is known here"):
        read_credentials(content)


@pytest.mark.parametrize(
    "content",
    [
        b"users: [{name: a, user: text}]\n",
        b"contexts: [{name: a, context: b}]\nusers: []\n",
        b"users: 3\n",
        b"users: [{user: {}}]\n",
        b"clusters: {a: b}\nusers: []\n",
    ],
)
def test_a_malformed_kubeconfig_is_refused(content: bytes) -> None:
    with pytest.raises(Refused, match="not a kubeconfig with clusters"):
        read_credentials(content)


PAY = "/subscriptions/s/resourcegroups/pay/providers/microsoft.containerservice/managedclusters/pay-01"


def kept(authority: Pair, *, certificate: bytes | None = None) -> Record:
    return Record(
        cluster=PAY,
        sighting=Sighting.AUTHORITY,
        at="2026-01-02T00:00:00Z",
        ca=authority.certificate.fingerprint(SHA256()).hex(),
        certificate=(authority.pem if certificate is None else certificate).decode("ascii", "replace"),
        source="report.json",
    )


def hashed(token: str, salt: str = "", ca: str = "aa") -> Record:
    made, token_hash = salted(token)
    return replace(kept(CA), sighting=Sighting.TOKEN, certificate="", salt=salt or made, token_hash=token_hash, ca=ca)


def test_a_lone_certificate_is_recognised_by_a_signature_of_a_ca_that_a_report_kept() -> None:
    (found,) = read_credentials(CLIENT.pem, (kept(OTHER), kept(CA), hashed(SECRET)))
    assert found.recognised == kept(CA)
    assert (found.signed, found.authority_key) == (True, found.issuer_key)
    assert found.authority is not None
    assert found.authority.fingerprint == kept(CA).ca
    assert found.named is None


def test_a_certificate_that_only_names_a_ca_is_not_recognised_by_it() -> None:
    forger = Pair(CA.certificate, OTHER.key)
    fake = made(x509.NameAttribute(NameOID.COMMON_NAME, "masterclient"), by=forger, extensions=False)
    key = x509.AuthorityKeyIdentifier.from_issuer_public_key(CA.key.public_key())
    builder = x509.CertificateBuilder(
        issuer_name=CA.certificate.subject,
        subject_name=fake.certificate.subject,
        public_key=fake.key.public_key(),
        serial_number=9,
        not_valid_before=BEGAN,
        not_valid_after=BEGAN + timedelta(days=9),
    ).add_extension(key, critical=False)
    (found,) = read_credentials(builder.sign(OTHER.key, SHA256()).public_bytes(Encoding.PEM), (kept(CA),))
    assert (found.recognised, found.named, found.signed) == (None, kept(CA), False)
    (strange,) = read_credentials(CLIENT.pem, (kept(OTHER),))
    assert (strange.recognised, strange.named) == (None, None)


@pytest.mark.parametrize("certificate", [b"", b"no certificate", b"\xff", OTHER.pem])
def test_a_record_whose_certificate_is_not_the_one_that_it_names_recognises_nothing(certificate: bytes) -> None:
    (found,) = read_credentials(CLIENT.pem, (kept(CA, certificate=certificate),))
    assert (found.recognised, found.named) == (None, None)


def test_a_lone_token_is_recognised_by_its_salted_hash_and_gets_the_ca_that_it_came_with() -> None:
    other = hashed("f" * 128)
    (alone,) = read_credentials(SECRET.encode(), (other, mine := hashed(SECRET)))
    assert alone.recognised == mine
    assert alone.authority is not None
    assert (alone.authority.fingerprint, alone.authority.not_before) == ("aa", "")
    mine = replace(mine, ca=kept(CA).ca)
    (whole,) = read_credentials(kubeconfig(token=SECRET, ca=b""), (kept(OTHER), kept(CA), mine))
    assert whole.authority is not None
    assert (whole.authority.fingerprint, whole.authority.not_before) == (kept(CA).ca, "2026-01-01T00:00:00Z")
    (unknown,) = read_credentials(SECRET.encode(), (other, replace(mine, salt="no hex"), replace(mine, salt="00")))
    assert unknown.recognised is None


def test_no_hash_is_kept_of_a_token_that_could_be_guessed() -> None:
    assert salted("a" * 31) == ("", "")
    first, second = salted(SECRET), salted(SECRET)
    assert [len(one) for one in first] == [32, 64]
    assert first[0] != second[0]
    assert first[1] != second[1]
