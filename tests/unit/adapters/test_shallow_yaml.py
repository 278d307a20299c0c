"""YAML of strangers is read, or refused before its depth can end the process."""

from __future__ import annotations

import pytest
from ruamel.yaml.error import YAMLError

from aks_entra.adapters.shallow_yaml import DEEPEST, load_shallow


def test_text_and_bytes_are_read() -> None:
    assert load_shallow("users: [{name: a}]") == load_shallow(b"users: [{name: a}]") == {"users": [{"name": "a"}]}
    assert load_shallow("") is None


@pytest.mark.parametrize(
    "content", ["[" * 200_000, "users: " + "{a: " * 60_000, "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "a: ["]
)
def test_a_text_that_is_nested_too_deeply_is_refused(content: str) -> None:
    with pytest.raises(YAMLError):
        load_shallow(content)


def test_many_lists_beside_each_other_are_not_deep() -> None:
    assert len(load_shallow("a: [" + "[1], " * 1000 + "]")["a"]) == 1000
