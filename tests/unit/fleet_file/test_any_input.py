"""Any input: a fleet file is read as a fleet, or the error names a line. No other error is raised."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aks_entra.errors import Refused
from aks_entra.fleet_file.model import FleetFile, json_schema, parse_fleet_file
from tests.support.examples import times

KEYS = sorted({key for part in json_schema()["$defs"].values() for key in part.get("properties", {})})
WORDS = st.sampled_from(
    [*KEYS, "on", "off", "keep", "at-once", "prod-eu", "a@b.com", "7c9e2f64-3a1d-4b58-9e07-5d4f1b8a6c32"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | st.text(max_size=8)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
FILES = st.fixed_dictionaries(
    {"version": st.sampled_from([1, 1, 2, "1"]), "name": LEAVES},
    optional=dict.fromkeys(["clusters", "target", "prover", "rollout"], TREES),
)


def fleet_or_refusal(text: str) -> None:
    refusal = ""
    try:
        assert parse_fleet_file(text, "fleet.yaml").to_fleet().selectors
    except Refused as error:
        refusal = str(error)
    assert not refusal or (refusal.startswith("fleet.yaml:") and "→" in refusal)


@given(FILES)
@times(1.5)
def test_any_tree(tree: dict[str, Any]) -> None:
    fleet_or_refusal(json.dumps(tree))


@given(st.text(alphabet=" \n\t:-[]{}&*!|>'\"%@#,?abc1.~<", max_size=60))
@times(1.5)
def test_any_text(text: str) -> None:
    fleet_or_refusal(text)


@given(FILES)
def test_what_the_model_accepts_can_be_arranged(tree: dict[str, Any]) -> None:
    with contextlib.suppress(ValueError):
        FleetFile.model_validate(tree).to_fleet()


@pytest.mark.parametrize("half", [r"\ud83d", r"\ude00", r"a\ude00\ud83d"])
def test_half_of_a_surrogate_pair_is_named_with_its_field(half: str) -> None:
    for tree in ('"name": "%s"', '"name": "a", "%s": 1', '"name": "a", "target": {"doors": {"x": "%s"}}'):
        with pytest.raises(Refused, match=r"fleet\.yaml:2: .*contains half of a surrogate pair"):
            parse_fleet_file('{"version": 1,\n' + tree % half + "}", "fleet.yaml")


def test_a_surrogate_pair_of_json_is_one_character() -> None:
    text = json.dumps({"version": 1, "name": "f", "clusters": ["😀"], "target": {"accounts": "😀"}})
    assert "\\ud83d\\ude00" in text
    with pytest.raises(Refused, match="😀"):
        parse_fleet_file(text, "fleet.yaml")


def test_a_number_beyond_all_bounds() -> None:
    with pytest.raises(Refused):
        parse_fleet_file('{"version": 1e999, "name": -99999999999999999999, "clusters": 1, "target": {}}', "fleet.yaml")
