from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aks_entra.core.doctor import (
    Check,
    EntraKeys,
    Light,
    Patient,
    PlaceOfRecords,
    PrefectServer,
    Reach,
    SignedInAs,
    SigningGroup,
    Tool,
    examine,
    sound,
    version_in,
)
from aks_entra.core.schedules import Overdue
from tests.support.access_cases import TENANT
from tests.support.golden_files import approved, cases

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


ADMITS = "answers only with authentication"
LATE = Overdue(deployment="end-access", because="has never run", remedy="restart the server")
ON_TIME = Check(name="schedules", light=Light.OK, found="run", wanted="each runs at its times")


@pytest.mark.parametrize(
    ("server", "found"),
    [
        pytest.param(
            PrefectServer(error="no answer", remedy="start it"),
            [Check(name="Prefect server", light=Light.FAILED, found="no answer", wanted=ADMITS, remedy="start it")],
            id="does not answer",
        ),
        pytest.param(
            PrefectServer(authenticates=None),
            [
                Check(
                    name="Prefect server",
                    light=Light.UNKNOWN,
                    found="it is not known whether it asks for authentication",
                    wanted=ADMITS,
                ),
                ON_TIME,
            ],
            id="not known",
        ),
        pytest.param(
            PrefectServer(authenticates=False),
            [
                Check(
                    name="Prefect server",
                    light=Light.WARNING,
                    found="lets in everybody who can reach it, and they can run code on its workers",
                    wanted=ADMITS,
                    remedy="set PREFECT_SERVER_API_AUTH_STRING where it is started (docs/security.md)",
                ),
                ON_TIME,
            ],
            id="lets everybody in",
        ),
        pytest.param(
            PrefectServer(authenticates=True, overdue=(LATE,)),
            [
                Check(
                    name="Prefect server", light=Light.OK, found="answers, and asks for authentication", wanted=ADMITS
                ),
                Check(
                    name="schedule end-access",
                    light=Light.WARNING,
                    found="has never run",
                    wanted="each runs at its times",
                    remedy="restart the server",
                ),
            ],
            id="a schedule does not run",
        ),
    ],
)
def test_a_prefect_server_is_examined_with_its_schedules(server: PrefectServer, found: list[Check]) -> None:
    seen = checks(prefect=server)
    assert [one for name, one in seen.items() if "Prefect" in name or "schedule" in name] == found


def test_without_a_prefect_server_nothing_is_said_of_it() -> None:
    assert not {name for name in checks() if "Prefect" in name or "schedule" in name}


@pytest.mark.parametrize(
    ("store", "light", "words"),
    [
        (PlaceOfRecords(error="403", remedy="a role"), Light.FAILED, "403"),
        (PlaceOfRecords(), Light.WARNING, "lost with Prefect's database"),
        (PlaceOfRecords(place="/records", folder=True, shared=True), Light.WARNING, "/records, a folder; only read"),
        (PlaceOfRecords(place="/records", folder=True), Light.OK, "/records; only read, nothing was written"),
        (PlaceOfRecords(place="az://acc/records", shared=True), Light.OK, "az://acc/records; only read, nothing"),
    ],
)
def test_the_store_of_records_is_examined(store: PlaceOfRecords, light: Light, words: str) -> None:
    found = checks(records=store)["store of records"]
    assert found.light is light
    assert words in found.found
    assert (found.remedy == "") is (light is Light.OK)
    assert "store of records" not in checks()


@pytest.mark.parametrize(
    ("keys", "light", "words", "remedy"),
    [
        (EntraKeys(file="/k.json", age=timedelta(days=30)), Light.OK, "/k.json, 30 days old", ""),
        (
            EntraKeys(file="/k.json", age=timedelta(days=31)),
            Light.WARNING,
            "/k.json, 31 days old",
            "curl --fail --output /k.json https://login.microsoftonline.com/TENANT/discovery/v2.0/keys",
        ),
        (EntraKeys(file="/k.json", error="it cannot be read", remedy="renew it"), Light.FAILED, "it cannot", "renew"),
    ],
)
def test_the_file_of_entras_signing_keys_is_examined(keys: EntraKeys, light: Light, words: str, remedy: str) -> None:
    found = checks(entra_keys=keys)["Entra's signing keys"]
    assert found.light is light
    assert words in found.found
    assert remedy in found.remedy
    assert (found.remedy == "") is (light is Light.OK)
    assert "Entra's signing keys" not in checks()


@pytest.mark.parametrize(
    ("change", "light", "words", "remedy"),
    [
        ({"people": 2}, Light.OK, "group signers has people: 2", ""),
        ({"people": 0}, Light.WARNING, "group signers has no enabled user", "add people"),
        ({}, Light.UNKNOWN, "group signers: its members could not be read", "GroupMember.Read.All"),
        ({"problem": "group signers does not exist"}, Light.FAILED, "does not exist", "correct AKS_ENTRA_APPROVERS"),
    ],
)
def test_the_groups_of_the_settings_for_signed_approvals_are_examined(
    change: dict[str, Any], light: Light, words: str, remedy: str
) -> None:
    group = SigningGroup(setting="AKS_ENTRA_APPROVERS", group="signers", **change)
    found = checks(signing_groups=(group,))["AKS_ENTRA_APPROVERS"]
    assert found.light is light
    assert words in found.found
    assert remedy in found.remedy
    assert (found.remedy == "") is (light is Light.OK)
    assert "AKS_ENTRA_APPROVERS" not in checks()


def test_golden_what_a_machine_needs() -> None:
    def line(one: Check) -> str:
        return f"{one.name} {one.light.value}: {one.found!r} · wanted {one.wanted!r} · do {one.remedy!r}"

    def checks(title: str, **change: Any) -> tuple[str, list[str]]:
        known = {"tools": TOOLS, "reach": (), "signed_in": HERE, **change}
        return title, [line(one) for one in examine(Patient(**known))]

    def tool(title: str, name: str, **change: str) -> tuple[str, str]:
        return title, line(with_tool(name, **change)[name])

    everything = {"cluster": "shop-01", "cluster_version": "1.34.1", "cluster_tenant": TENANT.upper()}
    skews = (60.0, 60.5, -60.5, 300.0, 300.5, -301.0)
    approved(
        "doctor",
        [
            checks(
                "a sound machine", reach=(Reach(host="login", skew=1.4), Reach(host="arm", skew=None)), **everything
            ),
            *(
                tool(f"{name} {change or 'nowhere'}", name, **change)
                for name, change, _ in cases(test_a_tool_is_there_and_new_enough)
            ),
            *(tool(f"no {one.name}", one.name) for one in TOOLS),
            tool("a version of two numbers", "kubectl", path="/k", version="v1.18"),
            tool("the least az", "az", path="/az", version="2.29.0"),
            checks("kubectl too old", cluster="shop-01", cluster_version="1.35.2"),
            checks("another major version", cluster="shop-01", cluster_version="2.33.0"),
            checks("a cluster without a version", cluster="shop-01"),
            checks("no kubectl to compare", tools=(), cluster="shop-01", cluster_version="1.34.1"),
            checks("a cluster that cannot be read", cluster="shop-01", cluster_error="403: no right"),
            checks("the worst clock counts", reach=(Reach(host="a", skew=5.0), Reach(host="b", skew=-90.0))),
            *(checks(f"a clock off by {skew} s", reach=(Reach(host="a", skew=skew),)) for skew in skews),
            checks("a host that does not answer", reach=(Reach(host="arm", error="timed out", remedy="open 443"),)),
            checks("nobody", signed_in=SignedInAs()),
            checks("no credential", signed_in=SignedInAs(error="none was found")),
            checks("an expired one", signed_in=SignedInAs(error="expired", remedy="az login --tenant t")),
            checks("another tenant", cluster="shop-01", cluster_version="1.33.0", cluster_tenant="other"),
        ],
    )


def test_a_version_of_two_numbers_ends_in_zero() -> None:
    assert version_in("v1.18") == (1, 18, 0)
    assert version_in("kubectl 1.33.4, or 1.2.3") == (1, 33, 4)
