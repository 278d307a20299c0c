"""A stand-in builds its object when it is first used."""

from __future__ import annotations

from io import StringIO

import pytest

from aks_entra.adapters.first_use import on_first_use


def test_the_object_is_built_on_its_first_use_and_once() -> None:
    made: list[StringIO] = []

    def make() -> StringIO:
        made.append(StringIO())
        return made[-1]

    stream = on_first_use(make)
    assert made == []
    stream.write("one ")
    stream.write("two")

    assert [one.getvalue() for one in made] == ["one two"]


def test_an_object_that_could_not_be_built_is_tried_again() -> None:
    answers = iter([None, StringIO("there")])

    def make() -> StringIO:
        found = next(answers)
        if found is None:
            raise OSError("not yet")
        return found

    stream = on_first_use(make)
    with pytest.raises(OSError, match="not yet"):
        stream.read()

    assert stream.read() == "there"
