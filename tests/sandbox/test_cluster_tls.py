"""The TLS handshake accepts any client certificate; HTTP answers 401, as a real API server does."""

from __future__ import annotations

import ssl
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from azure_sandbox.arm.containerservice.spec import ClusterSpec
from azure_sandbox.cluster.certificates import client_certificate, new_authority
from tests.support.arm_client import SUBSCRIPTION, ArmClient, cluster_id


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bytes | None:
    """Do a TLS handshake in memory and return the client certificate that the server sees (DER)."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=name)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return there.getpeercert(binary_form=True)


async def client_of(client: ArmClient, name: str, folder: Path, *, trust: str | None = None) -> ssl.SSLContext:
    """Return a client context with an admin certificate. `trust` is a CA as PEM; default: the present one."""
    config = await client.kubeconfig(name)
    user = config["users"][0]["user"]
    authority = b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    file = folder / f"{name}.pem"
    file.write_bytes(b64decode(user["client-key-data"]) + b64decode(user["client-certificate-data"]))
    context = ssl.create_default_context(cadata=trust or authority)
    context.load_cert_chain(file)
    return context


async def authority_of(client: ArmClient, name: str) -> str:
    config = await client.kubeconfig(name)
    return b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()


async def test_the_handshake_accepts_a_certificate_of_the_previous_ca(tmp_path: Path) -> None:
    client = ArmClient(ClusterSpec(name="c"))
    server = client.server("c")
    old = await client_of(client, "c", tmp_path)
    assert handshake(server.ssl_context(), old, server.fqdn)
    await client.finish(await client.send("POST", f"{cluster_id('c')}/rotateClusterCertificates"))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server.ssl_context(), old, server.fqdn)
    old.load_verify_locations(cadata=await authority_of(client, "c"))
    der = handshake(server.ssl_context(), old, server.fqdn)
    assert der is not None
    assert (await client.kube("c", "GET", "/api/v1/nodes", certificate=der)).status == 401
    fresh = handshake(server.ssl_context(), await client_of(client, "c", tmp_path), server.fqdn)
    assert (await client.kube("c", "GET", "/api/v1/nodes", certificate=fresh)).status == 200


async def test_the_handshake_accepts_an_expired_certificate(tmp_path: Path) -> None:
    client = ArmClient()
    created = client.clock.now().replace(year=client.clock.now().year - 3, day=1)
    client.arm.add_cluster(SUBSCRIPTION, "shop-weu", ClusterSpec(name="aged", created=created))
    server = client.server("aged")
    assert handshake(server.ssl_context(), await client_of(client, "aged", tmp_path), server.fqdn)


async def test_the_handshake_accepts_a_certificate_of_another_ca_but_http_answers_401(tmp_path: Path) -> None:
    client = ArmClient(ClusterSpec(name="c"))
    server, file = client.server("c"), tmp_path / "foreign.pem"
    foreign = new_authority(client.clock.now())
    for identity in (client_certificate(foreign, "system:masters", "masterclient", client.clock.now()), foreign):
        file.write_bytes(identity.key_pem + identity.certificate_pem)
        context = ssl.create_default_context(cadata=await authority_of(client, "c"))
        context.load_cert_chain(file)
        der = handshake(server.ssl_context(), context, server.fqdn)
        assert der == identity.certificate.public_bytes(Encoding.DER)
        assert (await client.kube("c", "GET", "/api/v1/nodes", certificate=der)).status == 401
    own = server.generation.server.certificate.public_bytes(Encoding.DER)
    assert (await client.kube("c", "GET", "/api/v1/nodes", certificate=own)).status == 401


async def test_certificates_have_the_fields_of_real_ones() -> None:
    client = ArmClient(ClusterSpec(name="c"))
    generation = client.server("c").generation
    authority, admin = generation.authority.certificate, generation.admin.certificate
    assert authority.subject.rfc4514_string() == authority.issuer.rfc4514_string() == "CN=ca"
    assert admin.subject.rfc4514_string() == "CN=masterclient,O=system:masters"
    assert (admin.not_valid_after_utc - admin.not_valid_before_utc).days == 730
    names = generation.server.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert client.server("c").fqdn in names.get_values_for_type(x509.DNSName)
    assert authority.public_bytes(Encoding.PEM).decode() == await authority_of(client, "c")
