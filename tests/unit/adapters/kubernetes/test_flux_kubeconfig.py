# ruff: noqa: E501 - a table reads best with one line for each case
"""The kubeconfig of a Secret of Flux with another CA: what changes, what stays, what is refused."""

from __future__ import annotations

import pytest

from aks_entra.adapters.kubernetes.flux_kubeconfig import read_kubeconfig

REST = """\
contexts: [{name: a, context: {cluster: a, user: a}}, {name: b, context: {cluster: b}}]
users: [{name: a, user: {token: t0ken}}]
current-context: a
"""
JSON = (
    '{"clusters": [{"name": "a", "cluster": {"server": "https://a", "certificate-authority-data": "b2xk"}}],'
    ' "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}], "current-context": "a"}'
)


def clusters(entry: str) -> str:
    return f"clusters:\n- name: a\n  cluster:\n{entry}- {{name: b, cluster: {{server: https://b}}}}\n{REST}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (clusters("    certificate-authority-data: b2xk # old\n    server: https://a\n"),
         clusters("    certificate-authority-data: bmV3 # old\n    server: https://a\n")),
        (clusters("    server: https://a\n    certificate-authority-data: 'b2xk'\n"),
         clusters("    server: https://a\n    certificate-authority-data: 'bmV3'\n")),
        (clusters("    certificate-authority-data: |-\n      b2xk\n      b2xk\n    server: https://a\n"),
         clusters("    certificate-authority-data: bmV3\n    server: https://a\n")),
        (clusters("    server: https://a\n    proxy-url: http://p\n"),
         clusters("    certificate-authority-data: bmV3\n    server: https://a\n    proxy-url: http://p\n")),
        (clusters("    {server: https://a}\n"), clusters("    {certificate-authority-data: bmV3, server: https://a}\n")),
        (JSON, JSON.replace("b2xk", "bmV3")),
        (JSON.replace(', "certificate-authority-data": "b2xk"', ""),
         JSON.replace('"server": "https://a", "certificate-authority-data": "b2xk"', '"certificate-authority-data": "bmV3", "server": "https://a"')),
    ],
    ids=["plain", "quoted", "block", "none", "flow", "json", "json without"],
)  # fmt: skip
def test_only_the_characters_of_the_ca_change(before: str, after: str) -> None:
    found = read_kubeconfig(before)
    assert found.server == "https://a"
    assert found.with_authority("bmV3") == after
    assert read_kubeconfig(after).with_authority("bmV3") == after


def test_a_ca_in_several_lines_is_the_same_ca() -> None:
    text = clusters("    certificate-authority-data: >\n      b2\n      xk\n    server: https://a\n")
    assert read_kubeconfig(text).with_authority("b2xk") == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a kubeconfig"),
        ("[" * 3000, "not YAML"),
        ("a: *nowhere", "not YAML"),
        ("a: 1\n---\na: 2\n", "not YAML"),
        (JSON.replace('"current-context": "a"', '"current-context": "s3cret"'), "current context names one cluster"),
        (JSON.replace('"server"', '"host"'), "with a server"),
        (JSON.replace('"clusters": [', '"clusters": [{"name": "a", "cluster": {"server": "https://s3cret"}}, '), "one"),
        (JSON.replace('"clusters": [', '"clusters": "s3cret", "others": ['), "one cluster"),
    ],
)
def test_what_names_no_cluster_is_refused_without_its_content(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        read_kubeconfig(text)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("    insecure-skip-tls-verify: true\n    server: https://a\n", "trusts any server"),
        ("    certificate-authority-data:\n    server: https://a\n", "without changing something else"),
        ("    certificate-authority-data: &ca b2xk\n    server: https://a\n    other: *ca\n", "something else"),
    ],
)
def test_a_ca_that_cannot_change_alone_stays(entry: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_kubeconfig(clusters(entry)).with_authority("bmV3")


def test_credentials_are_found_and_never_shown() -> None:
    found = read_kubeconfig(clusters("    server: https://a\n"))
    assert (found.token, found.certificate, found.in_file, found.command) == ("t0ken", "", False, False)
    assert "t0ken" not in repr(found)
