"""The mutation test's own tools: what it writes otherwise means the same, and its table counts right."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mutation.run import Module, report, without_decorators

SOURCE = '''
def rule(*ids, remedy=""):
    return lambda check: (ids, remedy, check.__doc__, check())

@rule(
    "B001",
    remedy="repair it",
)
def first():
    """What it looks for."""
    return 1

class Shape:
    @property
    def side(self):
        """How long."""
        return 2

    @classmethod
    def of(cls):
        return cls()

    @property
    def area(self):
        return self.side ** 2
'''


def test_a_decorator_written_as_a_call_means_the_same() -> None:
    changed = without_decorators(SOURCE)
    names: dict[str, Any] = {}
    exec(changed, names)  # noqa: S102 - the text above
    assert "@rule" not in changed
    assert "@property" not in changed
    assert "@classmethod" in changed
    assert names["first"] == (("B001",), "repair it", "What it looks for.", 1)
    assert (names["Shape"].of().area, names["Shape"].side.__doc__) == (4, "How long.")
    assert without_decorators(changed) == changed


@pytest.mark.parametrize(("killed", "enough"), [(90, 0), (89, 1)])
def test_fewer_than_ninety_per_cent_are_not_enough(
    killed: int, enough: int, capsys: pytest.CaptureFixture[str]
) -> None:
    module = Module("plan", survivors=["_steps (3)\n      - a\n      + b"])
    module.codes.update({1: killed - 1, 36: 1, 33: 1, 0: 99 - killed})
    assert report([module], survivors=True) == enough
    said = capsys.readouterr().out
    row = f"{'plan':<24}{100:>9}{killed - 1:>8}{1:>9}{1:>9}{99 - killed:>10}{float(killed):>10.1f}"
    assert row in said
    assert "plan._steps (3)" in said


def test_without_a_mutant_nothing_is_shown() -> None:
    assert report([], survivors=False) == 1
