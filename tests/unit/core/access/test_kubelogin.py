"""What kubelogin is told, and which clusters it cannot help with."""

from __future__ import annotations

import pytest

from aks_entra.core.access.kubelogin import Mode, SignIn, arguments, refusal
from aks_entra.core.cluster import Identity
from tests.support.access_cases import TENANT, posture
from tests.support.golden_files import approved


@pytest.mark.parametrize("mode", Mode)
def test_no_mode_writes_a_secret(mode: Mode) -> None:
    for client in ("", "00000000-1111-2222-3333-444444444444"):
        words = arguments(SignIn(mode=mode, tenant_id=TENANT, client_id=client))
        assert words[:5] == ("get-token", "--login", mode.value, "--server-id", "6dae42f8-4368-4678-94ff-3960e28e3630")
        assert not [word for word in words if "secret" in word or "password" in word]
        assert (client in words) is bool(client and mode is not Mode.AZURE_CLI)
        assert (TENANT in words) is (mode is not Mode.MANAGED_IDENTITY)


def test_a_cluster_that_has_only_static_credentials_is_refused() -> None:
    assert refusal(posture()) == ("", "")
    assert "static" in refusal(posture(identity=Identity.NONE))[0]
    assert "legacy" in refusal(posture(identity=Identity.LEGACY))[0]
    assert "no API server" in refusal(posture(fqdn=None))[0]


def test_golden_how_to_sign_in() -> None:
    ways_in = [
        (
            f"{mode.value} {client or 'without a client'}",
            " ".join(arguments(SignIn(mode=mode, tenant_id="t", client_id=client))),
        )
        for mode in Mode
        for client in ("", "c")
    ]
    clusters = [posture(), *(posture(identity=one) for one in Identity), posture(fqdn=None), posture(fqdn="")]
    refusals = [(f"{one.identity.value} at {one.fqdn or 'nowhere'}", list(refusal(one))) for one in clusters]
    approved("kubelogin", [*ways_in, *refusals])
