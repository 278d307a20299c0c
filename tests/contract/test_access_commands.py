"""The access commands, in this process, against the sandbox: output and exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.command_line import serving, typed
from tests.contract.small_world import DELETED, READER, TENANT, UNLOCKED

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[dict[str, str]]:
    yield from serving(tmp_path, UNLOCKED)


def test_explain_prints_yes_or_no_with_reasons() -> None:
    yes = typed("access", "explain", "shop-weu/guarded", "list", "nodes", "--as", "dana@contoso.com")
    assert yes.exit_code == 0, yes.output
    assert "yes: a member of the cluster's admin group aks-admins" in yes.stdout
    said = (
        f'Error from server (Forbidden): nodes is forbidden: User "{READER["id"]}" cannot list resource "nodes" in API '
        'group "" at the cluster scope'
    )
    no = typed("access", "explain", "shop-weu/guarded", "--message", said, "-o", "json")
    assert no.exit_code == 1
    document = json.loads(no.stdout)
    assert (document["allowed"], document["token"]["oid"]) == (False, READER["id"])
    for words in (("--message", "no"), (), ("list", "--as", "x")):
        assert (typed("access", "explain", "shop-weu/guarded", *words)).exit_code == 2


def test_a_grant_is_given_listed_swept_and_revoked() -> None:
    place = ("shop-weu/guarded", "--to", READER["appId"])
    words = ("--role", "reader", "-n", "default", "--reason", "CHG-1")
    refused = typed("access", "grant", *place, *words)
    assert (refused.exit_code, "--yes" in refused.stderr) == (2, True)
    given = typed("access", "grant", *place, *words, "--yes", "-o", "json")
    assert given.exit_code == 0, given.output
    assert json.loads(given.stdout)["via"] == "kubernetes-rbac"
    listed = json.loads((typed("access", "list", "shop-weu/guarded", "-o", "json")).stdout)
    assert [one["principal"] for one in listed["grants"]] == [READER["id"]]
    assert "CHG-1" in (typed("access", "list", "shop-weu/guarded")).stdout
    swept = typed("access", "sweep", "shop-weu/guarded", "-o", "json")
    assert json.loads(swept.stdout)["grants"] == []
    revoked = typed("access", "revoke", *place, "--yes")
    assert revoked.exit_code == 0, revoked.output
    assert "a new token is refused" in revoked.stdout
    assert (typed("access", "revoke", *place, "--yes")).exit_code == 2
    assert (typed("access", "grant", *place, *words, "--yes", "--duration", "long")).exit_code == 2


@pytest.mark.parametrize("mode", ["interactive", "devicecode", "azurecli", "spn", "workloadidentity", "msi"])
def test_a_kubeconfig_contains_kubelogins_mode_and_no_secret(mode: str, tmp_path: Path) -> None:
    done = typed("kubeconfig", "-g", "shop-weu", "-n", "guarded", "--login", mode)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "config").read_text()
    assert f"- {mode}" in text
    assert not [word for word in ("token:", "client-key-data", "client-certificate-data", "the-reader") if word in text]
    printed = typed("kubeconfig", "-g", "shop-weu", "-n", "guarded", "--login", mode, "--file", "-")
    assert printed.stdout == text


def test_a_cluster_without_entra_id_gets_no_kubeconfig(tmp_path: Path) -> None:
    for name in ("plain", "legacy"):
        assert (typed("kubeconfig", "-g", "shop-weu", "-n", name)).exit_code == 2
    assert not (tmp_path / "config").exists()


def test_the_doctor_checks_tools_network_clock_and_tenant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    printed = {
        "az": 'echo \'{"azure-cli": "2.91.0"}\'',
        "kubectl": 'echo \'{"clientVersion": {"gitVersion": "v1.33.4"}}\'',
        "kubelogin": "printf 'kubelogin version\\ngit hash: v0.2.19/a\\n'",
    }
    for name, line in printed.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    sound = typed("doctor", "shop-weu/guarded", "-o", "json")
    found = {one["name"]: one for one in json.loads(sound.stdout)["checks"]}
    assert {one["light"] for one in found.values()} == {"ok"}, found
    assert sound.exit_code == 0
    monkeypatch.setenv("AKS_ENTRA_APPROVERS", f"{TENANT}/{READER['appId']}/{DELETED}")
    deleted = typed("doctor", "-o", "json")
    found = {one["name"]: one for one in json.loads(deleted.stdout)["checks"]}
    assert found["AKS_ENTRA_APPROVERS"]["found"] == f"group gone ({DELETED}) was deleted on 2026-11-02"
    assert deleted.exit_code == 1
    (tmp_path / "kubelogin").unlink()
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    ill = typed("doctor")
    assert ill.exit_code == 1
    assert "az aks install-cli" in ill.stdout
