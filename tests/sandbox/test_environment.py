"""The variables of a sandbox: clients in Python, Go, JavaScript and Java find it, trust it and sign in by them."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from azure_sandbox.cli.control_client import CREDENTIALS
from azure_sandbox.front.environment import TRUST_STORE_PASSWORD
from azure_sandbox.server import Sandbox


async def test_node_goes_through_the_proxy_and_trusts_the_sandbox() -> None:
    async with Sandbox() as sandbox:
        environment = sandbox.environment
        assert environment["NODE_USE_ENV_PROXY"] == "1"
        assert environment["NODE_EXTRA_CA_CERTS"] == str(sandbox.folder / "ca.pem")


async def test_java_goes_through_the_proxy_and_trusts_the_sandbox_alone(tmp_path: Path) -> None:
    async with Sandbox(state=tmp_path / "a folder") as sandbox:
        options = shlex.split(sandbox.environment["JAVA_TOOL_OPTIONS"])
        properties = dict(one.removeprefix("-D").split("=") for one in options)
        assert properties["https.proxyHost"] == "127.0.0.1"
        assert properties["https.proxyPort"] == str(sandbox.proxy.port)
        assert properties["javax.net.ssl.trustStoreType"] == "PKCS12"
        assert properties["javax.net.ssl.trustStorePassword"] == TRUST_STORE_PASSWORD
        content = await asyncio.to_thread(Path(properties["javax.net.ssl.trustStore"]).read_bytes)
        store = pkcs12.load_pkcs12(content, TRUST_STORE_PASSWORD.encode())
        assert store.key is None
        trusted = [one.certificate.public_bytes(Encoding.PEM) for one in store.additional_certs]
        assert trusted == [x509.load_pem_x509_certificate(sandbox.authority.pem).public_bytes(Encoding.PEM)]


async def test_terraform_signs_in_as_the_operator_and_a_person_does_not() -> None:
    async with Sandbox() as sandbox:
        environment = sandbox.environment
    shared = ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET", "SUBSCRIPTION_ID")
    assert [environment[f"ARM_{name}"] for name in shared] == [environment[f"AZURE_{name}"] for name in shared]
    assert {name for name in environment if "CLIENT" in name} == set(CREDENTIALS)
