from __future__ import annotations

from typing import Any

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.doctor import Check, Light, Patient, Reach, SignedInAs, Tool, examine, sound, version_in
from aks_entra.core.kubelogin import Mode, SignIn, arguments, refusal
from tests.unit.access_cases import TENANT, posture

TOOLS = (
    Tool(name="az", path="/usr/bin/az", version="2.91.0"),
    Tool(name="kubectl", path="/usr/bin/kubectl", version="v1.33.4"),
    Tool(name="kubelogin", path="/usr/bin/kubelogin", version="v0.2.19/abc"),
    Tool(name="helm"),
)
HERE = SignedInAs(name="dana", tenant_id=TENANT)


def checks(**change: Any) -> dict[str, Check]:
    whole = {"tools": TOOLS, "reach": (Reach(host="a", skew=1.0),), "signed_in": HERE, **change}
    return {one.name: one for one in examine(Patient(**whole))}


def with_tool(name: str, **change: Any) -> dict[str, Check]:
    return checks(tools=tuple(Tool(name=name, **change) if one.name == name else one for one in TOOLS))


def test_a_machine_that_has_everything_is_sound() -> None:
    found = checks(cluster="shop-01", cluster_version="1.34.1", cluster_tenant=TENANT.upper())
    assert {one.light for one in found.values()} == {Light.OK}
    assert sound(tuple(found.values()))


@pytest.mark.parametrize(
    ("name", "change", "light"),
    [
        ("az", {"path": "/az", "version": "2.28.1"}, Light.FAILED),
        ("az", {}, Light.FAILED),
        ("az", {"path": "/az", "version": "?"}, Light.UNKNOWN),
        ("kubectl", {"path": "/k", "version": "v1.18.0"}, Light.FAILED),
        ("kubectl", {"path": "/k", "version": "v1.18.1"}, Light.OK),
        ("kubelogin", {"beside": "/root/.azure-kubelogin/kubelogin"}, Light.FAILED),
        ("helm", {"path": "/helm", "version": "v3.2.4"}, Light.FAILED),
        ("helm", {"path": "/helm", "version": "v3.3.0+g"}, Light.OK),
    ],
)
def test_a_tool_is_there_and_new_enough(name: str, change: dict[str, str], light: Light) -> None:
    found = with_tool(name, **change)
    assert found[name].light is light
    assert (found[name].remedy != "") is (light is not Light.OK)
    assert sound(tuple(found.values())) is (light is not Light.FAILED)


@pytest.mark.parametrize(
    ("version", "light"), [("1.32.0", Light.OK), ("1.34.0", Light.OK), ("1.35.0", Light.FAILED), ("", Light.UNKNOWN)]
)
def test_kubectl_is_within_one_minor_version_of_the_cluster(version: str, light: Light) -> None:
    assert checks(cluster="shop-01", cluster_version=version)["kubectl and cluster"].light is light


def test_a_cluster_that_cannot_be_read_is_said_to_be_so() -> None:
    assert checks(cluster="shop-01", cluster_error="403")["kubectl and cluster"].found == "403"


@pytest.mark.parametrize(
    ("skew", "light"), [(None, Light.UNKNOWN), (5.0, Light.OK), (-90.0, Light.WARNING), (301.0, Light.FAILED)]
)
def test_the_clock_is_compared_with_azure_s(skew: float | None, light: Light) -> None:
    assert checks(reach=(Reach(host="a", skew=skew),))["clock"].light is light


def test_what_cannot_be_reached_or_signed_in_to_fails() -> None:
    assert checks(reach=(Reach(host="a", error="no"),))["reach a"].light is Light.FAILED
    assert checks(signed_in=SignedInAs(error="none"))["sign-in"].remedy == "az login"
    other = checks(cluster="shop-01", cluster_version="1.33.0", cluster_tenant="other")
    assert other["sign-in"].remedy == "az login --tenant other"
    assert version_in("nothing") is None


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
