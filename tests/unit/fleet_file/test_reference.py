"""The fleet file's reference says what the program does: its examples are accepted, its schema is current."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from ruamel.yaml import YAML

from aks_entra.errors import Refused
from aks_entra.fleet_file.model import json_schema, json_schema_text, parse_fleet_file

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", (REFERENCE / "fleet-file.md").read_text(encoding="utf-8"), re.DOTALL)
SCHEMA = jsonschema.Draft202012Validator(json_schema())


def test_the_schema_is_current() -> None:
    written = (REFERENCE / "fleet-file.schema.json").read_text(encoding="utf-8")

    assert written == json_schema_text(), "run: make docs"
    jsonschema.Draft202012Validator.check_schema(json.loads(written))


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_accepted_by_program_and_schema(example: str) -> None:
    assert parse_fleet_file(example, "example").to_fleet().selectors
    SCHEMA.validate(YAML(typ="safe", pure=True).load(example))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 8


def test_the_schema_refuses_what_the_program_refuses() -> None:
    small = EXAMPLES[0]

    for wrong in (
        small.replace("version: 1", "version: 2"),
        small.replace("subscription:", "subscripton:"),
        small.replace("target:", "goal:"),
        small.replace("{name: aks-admins}", "{id: aks-admins}"),
        small + "rollout: {stages: []}\n",
    ):
        with pytest.raises(Refused):
            parse_fleet_file(wrong, "example")
        assert not SCHEMA.is_valid(YAML(typ="safe", pure=True).load(wrong))


def test_the_reference_names_every_key() -> None:
    text = (REFERENCE / "fleet-file.md").read_text(encoding="utf-8")
    keys = {key for part in json_schema()["$defs"].values() for key in part.get("properties", {})}

    assert [key for key in sorted(keys | set(json_schema()["properties"])) if f"`{key}`" not in text] == []
