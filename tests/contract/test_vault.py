"""Held admin credentials: read from a kubeconfig, and never shown."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from aks_entra.adapters.vault import MemoryVault
from aks_entra.errors import Refused
from aks_entra.ports.migration import HeldCredential
from azure_sandbox.server import Sandbox
from tests.contract.small_world import Opener, cluster

SECRET = "kept-to-myself"


def kubeconfig(ca: bytes, **user: str) -> str:
    document: dict[str, Any] = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"certificate-authority-data": base64.b64encode(ca).decode()}}],
        "users": [{"name": "u", "user": user}],
    }
    return json.dumps(document)


@pytest.fixture
def ca(box: Sandbox) -> bytes:
    with open(box.environment["SSL_CERT_FILE"], "rb") as bundle:  # noqa: PTH123 - three lines, no Path needed
        return bundle.read()


def test_an_old_kubeconfig_is_held_and_forgotten(ca: bytes) -> None:
    vault = MemoryVault()
    held = vault.hand_in(cluster("x"), kubeconfig(ca, token=SECRET))
    assert (held.has_certificate, held.has_static_token) == (False, True)
    assert vault.holds(cluster("X"))
    assert SECRET not in f"{vault!r} {vault.held(cluster('x'))!r} {held!r}"
    vault.forget(cluster("x"))
    assert not vault.holds(cluster("x"))


def test_a_kubeconfig_without_static_credentials_is_refused(ca: bytes) -> None:
    with pytest.raises(Refused, match="carries no client certificate and no static token"):
        MemoryVault().hand_in(cluster("x"), kubeconfig(ca))


@pytest.mark.parametrize("text", ["", "[]", "{", "a: b", f"token: {SECRET}\n  : :"])
def test_an_invalid_kubeconfig_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(Refused, match="not a kubeconfig") as refused:
        MemoryVault().hand_in(cluster("x"), text)
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_a_kubeconfig_without_a_readable_ca_is_refused() -> None:
    with pytest.raises(Refused, match="no readable CA"):
        MemoryVault().hand_in(cluster("x"), kubeconfig(b"nothing", token=SECRET))


async def test_a_credential_from_azure_is_held_and_never_shown(opened: Opener) -> None:
    async with opened() as session:
        held = await session.ports.arm.hold_admin_credential(cluster("plain"))
        assert isinstance(held, HeldCredential)
        assert session.ports.vault.holds(cluster("PLAIN"))
        assert "PRIVATE KEY" not in f"{session!r}{held!r}{session.ports.vault!r}"
        assert held.token_hash


async def test_the_vault_knows_which_certificates_the_ca_that_was_read_last_signed(opened: Opener) -> None:
    async with opened() as session:
        vault = session.ports.vault
        assert isinstance(vault, MemoryVault)
        await session.ports.arm.hold_admin_credential(cluster("plain"))
        held = vault.held(cluster("plain"))
        assert held is not None
        certificate = held.certificate.decode()
        assert vault.signed(cluster("plain"), certificate)
        assert not vault.signed(cluster("legacy"), certificate)
        await session.ports.arm.certificate_authority(cluster("legacy"))
        assert not vault.signed(cluster("legacy"), certificate)
