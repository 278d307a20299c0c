"""A recording holds no secret, name, id or address: what is not a published word becomes a stand-in."""

from __future__ import annotations

import ipaddress
import json
import re
import string
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from azure_sandbox.recordings.scrub import NAMES, SENTENCES, Scrubber

SUBSCRIPTION = "b7a1f9d2-3c4e-4f6a-8b9c-0d1e2f3a4b5c"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/Payroll"
CLUSTER = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/salaries"


def harmless(text: str) -> bool:
    return any(it in NAMES or it in SENTENCES for it in re.findall(r"[^\W_]+", text.lower()))


letters = st.text(string.ascii_letters + string.digits, min_size=8, max_size=60)
names = st.text(string.ascii_letters + "äéß漢", min_size=8, max_size=24)
dashed = st.lists(names, min_size=1, max_size=3).map("-".join)
guids = st.uuids(version=4).map(str)
mails = st.builds("{}@{}.com".format, names, names)
telephones = st.text(string.digits, min_size=9, max_size=12).map(lambda it: f"+{it[:2]} {it[2:5]} {it[5:]}")
addresses = st.ip_addresses(v=4, network="20.0.0.0/8").map(str) | st.ip_addresses(v=6, network="2603::/16").map(str)
binary = st.binary(min_size=30, max_size=90).map(lambda it: b64encode(it).decode())
secret_values = st.one_of(letters, dashed, guids, mails, telephones, addresses, binary).filter(
    lambda it: not harmless(it)
)
PLACES: dict[str, Callable[[str], Any]] = {
    "property": lambda it: {"properties": {"description": it}},
    "name of a property": lambda it: {"tags": {it: "x"}},
    "list": lambda it: {"value": [{"id": f"/subscriptions/x/resourceGroups/{it}"}, [it]]},
    "message": lambda it: {
        "error": {"code": "Conflict", "message": f"The client '{it}' with object id '{it}' is bad."}
    },
    "secret": lambda it: {"access_token": it, "password": it, "refresh_token": it},
    "version": lambda it: {"kubernetesVersion": it, "apiVersion": it},
    "base64": lambda it: {
        "kubeconfigs": [{"value": b64encode(f"users:\n- user: {{token: '{it}'}}\n".encode()).decode()}]
    },
    "base64 in base64": lambda it: {
        "value": b64encode(
            f"certificate-authority-data: {b64encode(f'is {it} here'.encode()).decode()}".encode()
        ).decode()
    },
    "claim": lambda it: {"access_token": jwt.encode({"upn": it, "oid": it}, "k" * 32)},
    "key": lambda it: {"keyData": f"-----BEGIN PRIVATE KEY-----\n{it}\n-----END PRIVATE KEY-----"},
    "link": lambda it: {"nextLink": f"https://management.azure.com/subscriptions?x={it}&$skiptoken={it}"},
}


def decoded(text: str) -> str:
    """A text with everything that is base64 in it, three levels deep."""
    seen, level = text, text
    for _ in range(3):
        runs = [it.replace("+", "-").replace("/", "_") for it in re.findall(r"[A-Za-z0-9+/_-]{16,}", level)]
        level = "\n".join(urlsafe_b64decode(it[: len(it) - len(it) % 4]).decode(errors="replace") for it in runs)
        seen += "\n" + level
    return seen


@pytest.mark.parametrize("place", PLACES)
@example(value="I1BSb1h5CUF1dEhPckl6YVRJb04gI00gI0JBc0lD")  # base64 of published words
@given(value=secret_values)
def test_no_value_survives_in_any_place(place: str, value: str) -> None:
    out = decoded(json.dumps(Scrubber().document(PLACES[place](value)), ensure_ascii=False)).lower()

    assert value.lower() not in out
    for run in re.findall(r"[^\W_]{8,}", value.lower()):
        assert run not in out


@given(value=secret_values, other=secret_values)
def test_equal_values_have_equal_stand_ins_and_others_do_not(value: str, other: str) -> None:
    scrubber = Scrubber()
    first, second, different = scrubber.text(value), scrubber.text(value), scrubber.text(other)

    assert first == second != value
    assert (first == different) == (value == other)


def test_published_words_stay() -> None:
    document: dict[str, Any] = {
        "type": "Microsoft.ContainerService/ManagedClusters",
        "location": "westeurope",
        "sku": {"name": "Base", "tier": "Free"},
        "properties": {
            "provisioningState": "Succeeded",
            "kubernetesVersion": "1.34.2",
            "agentPoolProfiles": [{"count": 3, "vmSize": "Standard_D4s_v5", "mode": "System", "osDiskSizeGB": 128}],
            "enableRBAC": True,
            "networkProfile": {"serviceCidr": "10.0.0.0/16", "dnsServiceIP": "10.0.0.10"},
        },
    }

    assert Scrubber().document(document) == document


def test_an_id_is_the_same_in_urls_headers_messages_and_in_another_case() -> None:
    scrubber = Scrubber()
    url = scrubber.text(f"https://management.azure.com{CLUSTER}?api-version=2026-03-01")
    _, _, subscription, _, group, *_, cluster = url.partition("?")[0].removeprefix("https://").split("/")

    assert url.endswith("?api-version=2026-03-01")
    assert {SUBSCRIPTION, "Payroll", "salaries"}.isdisjoint({subscription, group, cluster})
    assert scrubber.text(CLUSTER.lower()) == url.partition("?")[0].removeprefix("https://management.azure.com").lower()
    assert scrubber.text(f"The cluster '{'salaries'}' exists.", "message") == f"The cluster '{cluster}' exists."
    assert scrubber.text("MC_Payroll_salaries_westeurope") == f"MC_{group}_{cluster}_westeurope"
    assert scrubber.text("https://x/?a=My%20Payroll").endswith(f"%20{group}")


def test_the_claims_of_a_token_are_the_stand_ins_of_the_ids() -> None:
    scrubber = Scrubber()
    token = jwt.encode({"oid": SUBSCRIPTION, "groups": [SUBSCRIPTION], "exp": 1_800_000_000}, "k" * 32)
    out = scrubber.document({"access_token": token})["access_token"]
    claims = json.loads(urlsafe_b64decode(out.split(".")[1] + "=="))

    assert claims["oid"] == claims["groups"][0] == scrubber.text(SUBSCRIPTION)
    assert claims["exp"] != 1_800_000_000
    assert out.split(".")[2] != token.split(".")[2]


def test_times_are_shifted_by_one_offset() -> None:
    scrubber = Scrubber()
    one, other = scrubber.text("2026-11-27T10:00:00.1234567Z"), scrubber.text("2026-11-27T10:00:05Z")

    assert one != "2026-11-27T10:00:00.1234567Z"
    assert re.fullmatch(r"2026-1[01]-\d\dT\d\d:\d\d:\d\d\.1234567Z", one)
    assert (int(other[17:19]) - int(one[17:19])) % 60 == 5


@given(st.ip_addresses(v=4, network="10.0.0.0/8"), st.integers(9, 30))
def test_a_private_address_stays_in_its_range(address: ipaddress.IPv4Address, length: int) -> None:
    scrubber = Scrubber()
    network = ipaddress.IPv4Network(f"{address}/{length}", strict=False)
    shown = ipaddress.IPv4Network(scrubber.text(str(network)))

    assert shown.prefixlen == length
    assert shown.subnet_of(ipaddress.IPv4Network("10.0.0.0/8")) or str(network) == str(shown)
    if str(network) not in {"10.0.0.0/16", "10.244.0.0/16", "10.224.0.0/12", "10.224.0.0/16"}:
        assert ipaddress.IPv4Address(scrubber.text(str(address))) in shown or str(address) == "10.0.0.10"


def test_a_kubeconfig_stays_a_kubeconfig() -> None:
    text = "apiVersion: v1\nclusters:\n- cluster:\n    server: https://salaries-x1.hcp.westeurope.azmk8s.io:443\n"
    out = b64decode(
        Scrubber().document({"kubeconfigs": [{"value": b64encode(text.encode()).decode()}]})["kubeconfigs"][0]["value"]
    ).decode()

    assert re.fullmatch(
        r"apiVersion: v1\nclusters:\n- cluster:\n    server: https://[a-z]{8}-[a-z]\d\.hcp\.westeurope\.azmk8s\.io:\d+\n",
        out,
    )
