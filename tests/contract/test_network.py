"""Outgoing connections: proxies, untrusted certificates and unknown host names."""

from __future__ import annotations

from pathlib import Path

import pytest

from aks_entra.adapters.kubernetes.handshake import handshake
from aks_entra.errors import Refused, TryLater
from azure_sandbox.server import Sandbox
from tests.contract.small_world import ADMINS, Opener, cluster


async def test_a_host_that_the_proxy_forbids_is_refused_with_its_message(opened: Opener) -> None:
    async with opened() as session:
        with pytest.raises(Refused, match=r"the proxy refuses connections to example\.com \(HTTP 403\)"):
            await session.ports.kubernetes.handshake("example.com")


async def test_an_unreachable_api_server_is_tried_later(opened: Opener) -> None:
    async with opened() as session:
        with pytest.raises(TryLater, match="cannot reach nobody") as later:
            await session.ports.kubernetes.handshake("nobody-00000000.hcp.westeurope.azmk8s.io")
    assert later.value.code == "Unreachable"


@pytest.mark.usefixtures("box")
async def test_without_a_proxy_an_unknown_name_and_a_closed_port_are_distinguished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(TryLater, match="cannot be resolved") as later:
        await handshake("no-such-host.invalid", timeout=5)
    assert later.value.code == "NameNotResolved"
    with pytest.raises(TryLater, match="cannot be reached"):
        await handshake("127.0.0.1", timeout=5, port=1)


async def test_a_proxy_that_does_not_answer_is_named_without_its_password(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as session:
        posture = await session.ports.arm.cluster(cluster("guarded"))
        await session.ports.arm.certificate_authority(posture.cluster)
        await session.ports.callers.prover()
        for variable in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(variable, "http://dana:hush@127.0.0.1:1")
        for asking in (
            session.ports.kubernetes.handshake(posture.fqdn or ""),
            session.ports.kubernetes.sign_in(posture, since=None),
        ):
            with pytest.raises(TryLater, match=r"the proxy 127\.0\.0\.1:1 cannot be reached") as later:
                await asking
            assert later.value.code == "ProxyUnreachable"
            assert "hush" not in str(later.value)


async def test_a_certificate_from_a_proxy_that_is_not_trusted_names_the_variable_to_set(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(variable, "/dev/null")
    async with opened() as session:
        with pytest.raises(Refused, match=r"does not trust the certificate of ") as refused:
            await session.ports.callers.runner()
    assert "SSL_CERT_FILE" in refused.value.remedy


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
async def test_each_usual_variable_for_a_ca_bundle_is_read(
    opened: Opener, box: Sandbox, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for other in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(other, "/dev/null")
    monkeypatch.setenv(variable, box.environment["SSL_CERT_FILE"])
    async with opened() as session:
        me = await session.ports.callers.runner()
        assert (await session.ports.directory.group(ADMINS, prover=me.object_id)).exists


async def test_a_netrc_file_gives_no_password_to_azure_and_hinders_no_request(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """curl's file with the passwords of hosts: a request with a token must not get one of them as well."""
    lines = [
        f"machine {host} login dana password hush\n" for host in ("management.azure.com", "login.microsoftonline.com")
    ]
    (tmp_path / "netrc").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with opened() as session:
        assert (await session.ports.arm.cluster(cluster("guarded"))).cluster == cluster("guarded")
