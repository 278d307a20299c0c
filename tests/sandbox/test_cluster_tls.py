"""The handshake leaves the verdict about a client certificate to HTTP, as a real API server does."""

from __future__ import annotations

import ssl
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from azure_sandbox.arm.spec import ClusterSpec
from azure_sandbox.cluster.certificates import client_certificate, new_authority
from tests.sandbox.arm_desk import SUBSCRIPTION, Desk, cluster_id


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bytes | None:
    """Shake hands in memory; returns the client's certificate as the server sees it."""
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


async def client_of(desk: Desk, name: str, folder: Path, *, trust: str | None = None) -> ssl.SSLContext:
    """A client with an admin's certificate; `trust` is a CA of another time (PEM)."""
    config = await desk.kubeconfig(name)
    user = config["users"][0]["user"]
    authority = b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    file = folder / f"{name}.pem"
    file.write_bytes(b64decode(user["client-key-data"]) + b64decode(user["client-certificate-data"]))
    context = ssl.create_default_context(cadata=trust or authority)
    context.load_cert_chain(file)
    return context


async def authority_of(desk: Desk, name: str) -> str:
    config = await desk.kubeconfig(name)
    return b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()


async def test_an_old_certificate_shakes_hands_with_the_new_authority(tmp_path: Path) -> None:
    desk = Desk(ClusterSpec(name="c"))
    server = desk.server("c")
    old = await client_of(desk, "c", tmp_path)
    assert handshake(server.ssl_context(), old, server.fqdn)
    await desk.finish(await desk.send("POST", f"{cluster_id('c')}/rotateClusterCertificates"))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server.ssl_context(), old, server.fqdn)
    old.load_verify_locations(cadata=await authority_of(desk, "c"))
    der = handshake(server.ssl_context(), old, server.fqdn)
    assert der is not None
    assert (await desk.kube("c", "GET", "/api/v1/nodes", certificate=der)).status == 401
    fresh = handshake(server.ssl_context(), await client_of(desk, "c", tmp_path), server.fqdn)
    assert (await desk.kube("c", "GET", "/api/v1/nodes", certificate=fresh)).status == 200


async def test_an_expired_certificate_shakes_hands_too(tmp_path: Path) -> None:
    desk = Desk()
    created = desk.clock.now().replace(year=desk.clock.now().year - 3, day=1)
    desk.arm.add_cluster(SUBSCRIPTION, "shop-weu", ClusterSpec(name="aged", created=created))
    server = desk.server("aged")
    assert handshake(server.ssl_context(), await client_of(desk, "aged", tmp_path), server.fqdn)


async def test_a_certificate_of_a_foreign_authority_shakes_hands_and_is_nobodys(tmp_path: Path) -> None:
    desk = Desk(ClusterSpec(name="c"))
    server, file = desk.server("c"), tmp_path / "foreign.pem"
    foreign = new_authority(desk.clock.now())
    for identity in (client_certificate(foreign, "system:masters", "masterclient", desk.clock.now()), foreign):
        file.write_bytes(identity.key_pem + identity.certificate_pem)
        context = ssl.create_default_context(cadata=await authority_of(desk, "c"))
        context.load_cert_chain(file)
        der = handshake(server.ssl_context(), context, server.fqdn)
        assert der == identity.certificate.public_bytes(Encoding.DER)
        assert (await desk.kube("c", "GET", "/api/v1/nodes", certificate=der)).status == 401
    own = server.generation.server.certificate.public_bytes(Encoding.DER)
    assert (await desk.kube("c", "GET", "/api/v1/nodes", certificate=own)).status == 401


async def test_certificates_look_as_the_real_ones_do() -> None:
    desk = Desk(ClusterSpec(name="c"))
    generation = desk.server("c").generation
    authority, admin = generation.authority.certificate, generation.admin.certificate
    assert authority.subject.rfc4514_string() == authority.issuer.rfc4514_string() == "CN=ca"
    assert admin.subject.rfc4514_string() == "CN=masterclient,O=system:masters"
    assert (admin.not_valid_after_utc - admin.not_valid_before_utc).days == 730
    names = generation.server.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert desk.server("c").fqdn in names.get_values_for_type(x509.DNSName)
    assert authority.public_bytes(Encoding.PEM).decode() == await authority_of(desk, "c")
