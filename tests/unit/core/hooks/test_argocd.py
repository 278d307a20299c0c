# ruff: noqa: E501 - a table reads best with one line for each case
"""The configuration of a cluster secret of Argo CD with another CA: what changes, what stays, what is refused."""

from __future__ import annotations

import json

import pytest

from aks_entra.core.hooks.argocd import same_server, with_authority

CONFIG = {
    "execProviderConfig": {"command": "argocd-k8s-auth", "args": ["azure"], "env": {"AAD_LOGIN_METHOD": "workloadidentity"}},
    "tlsClientConfig": {"insecure": False, "serverName": "shop", "caData": "b2xk"},
}  # fmt: skip


def test_only_the_ca_changes() -> None:
    found = with_authority(json.dumps(CONFIG), "bmV3")
    expected = {**CONFIG, "tlsClientConfig": {"insecure": False, "serverName": "shop", "caData": "bmV3"}}
    assert json.loads(found.text) == expected
    assert list(json.loads(found.text)) == list(CONFIG)
    assert (found.changed, found.bearer_token, found.certificate) == (True, "", "")


def test_the_same_ca_changes_nothing_to_the_letter() -> None:
    text = json.dumps(CONFIG, indent=3)
    found = with_authority(text, "b2xk")
    assert (found.changed, found.text) == (False, text)


@pytest.mark.parametrize("config", ["{}", '{"tlsClientConfig": null}', '{"tlsClientConfig": {"insecure": false}}'])
def test_a_secret_without_a_ca_gets_one(config: str) -> None:
    assert json.loads(with_authority(config, "bmV3").text)["tlsClientConfig"]["caData"] == "bmV3"


def test_servers_are_compared_as_addresses() -> None:
    assert same_server("https://shop.example", " HTTPS://Shop.example:443/ ")
    assert not same_server("https://shop.example", "https://shop.example:6443")


def test_credentials_are_named_and_never_shown() -> None:
    found = with_authority(
        '{"bearerToken": "t0ken", "tlsClientConfig": {"certData": "Y2VydA==", "keyData": "a2V5"}}', "x"
    )
    assert (found.bearer_token, found.certificate) == ("t0ken", "Y2VydA==")
    assert not any(secret in repr(found) for secret in ("t0ken", "Y2VydA==", "a2V5"))
    assert with_authority('{"bearerToken": 7}', "x").bearer_token == ""


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"tlsClientConfig": "s3cret"}', "`tlsClientConfig` of its `config` is not"),
        ('{"tlsClientConfig": {"insecure": true}}', "trusts any server"),
    ],
)
def test_a_configuration_that_cannot_take_a_ca_is_refused_without_its_content(config: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        with_authority(config, "x")
    assert "s3cret" not in str(refused.value)
