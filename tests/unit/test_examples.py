"""The examples of properties are the same in every run of `make test`."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import QUICK, THOROUGH

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

PROFILES = """
from hypothesis import settings
from tests.support.examples import register_profiles
register_profiles()
print(*(settings.get_profile(name).derandomize for name in ("quick", "thorough")))
"""


def drawn(profile: str, strategy: SearchStrategy[object]) -> list[object]:
    """Return what one property draws."""
    seen: list[object] = []

    @settings(settings.get_profile(profile), max_examples=200, database=None)
    @given(strategy)
    def test(one: object) -> None:
        seen.append(one)

    test()
    return seen


def test_a_property_draws_the_same_examples_again_whatever_was_imported_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = st.text(alphabet="abcdefgh", min_size=8)
    before = drawn(QUICK, texts)
    source = tmp_path / "imported_meanwhile.py"
    source.write_text("WORDS = ('abcdefgh', 'hgfedcba', 'aaaabbbb', 'ccccdddd')\n")
    specification = importlib.util.spec_from_file_location(source.stem, source)
    assert specification is not None
    monkeypatch.setitem(sys.modules, source.stem, importlib.util.module_from_spec(specification))
    assert drawn(QUICK, texts) == before


def test_thorough_draws_other_examples_in_each_run() -> None:
    texts = st.text(min_size=20)
    assert drawn(THOROUGH, texts) != drawn(THOROUGH, texts)


@pytest.mark.parametrize("ci", [{}, {"CI": "true"}])
def test_it_does_not_depend_on_where_the_tests_run(ci: dict[str, str]) -> None:
    elsewhere = {name: value for name, value in os.environ.items() if name != "CI"}
    command = [sys.executable, "-c", PROFILES]
    said = subprocess.run(
        command, cwd=Path(__file__).parents[2], env={**elsewhere, **ci}, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["True", "False"]
