"""Several gates at once: one that is refused stops no other, and the exit code says whether anything was done."""

from __future__ import annotations

from functools import partial
from uuid import UUID

import pytest
import typer

from aks_entra.cli.each_gate import exit_if_refused, for_each
from aks_entra.errors import Refused
from aks_entra.prefect_client import Gate

ONE = Gate(run=UUID(int=1), run_name="able-fox", plan="sha256:1", stage=0, moment="before")
TWO = Gate(run=UUID(int=2), run_name="bold-elk", plan="sha256:2", stage=0, moment="before")


async def test_a_gate_that_is_refused_is_named_and_the_others_are_answered(capsys: pytest.CaptureFixture[str]) -> None:
    answered = []

    async def answer(gate: Gate) -> None:
        if gate is ONE:
            raise Refused("the person is in no group of the approvers", remedy="ask another person")
        answered.append(gate)

    assert await for_each([(gate, partial(answer, gate)) for gate in (ONE, TWO)]) == 1
    assert answered == [TWO]
    said = capsys.readouterr().err
    assert "Error: run able-fox: the person is in no group of the approvers\n  → ask another person" in said
    assert "bold-elk" not in said


@pytest.mark.parametrize(("refused", "code"), [(1, 1), (2, 2)])
def test_the_exit_code_is_2_only_if_no_gate_was_answered(refused: int, code: int) -> None:
    exit_if_refused(0, of=2)
    with pytest.raises(typer.Exit) as ended:
        exit_if_refused(refused, of=2)
    assert ended.value.exit_code == code
