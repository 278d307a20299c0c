"""The bench's table: a figure that was not measured meets no goal, and JSON has what the table shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from azure_sandbox.front.proxy import Exchange
from bench.figures import ByHand, Fleet, Others, Pause, Task, gain
from bench.table import Row, at_least, at_most, document, kinds, rows, table
from bench.traffic import traffic

CLUSTER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c"


def requests(number: int, clusters: int) -> Any:
    one = Exchange(at=datetime.now(UTC), host="management.azure.com", method="GET", path=CLUSTER, status=200)
    return traffic([one] * number, clusters)


FLEET = Fleet(
    clusters=20,
    waves=2,
    operations=3,
    operation=5.0,
    verified=20,
    tasks=(Task(step="rotate", began=100, ended=120), Task(step="rotate", began=110, ended=140)),
    client={"worker": 1.0, "batch": 5.0},
    server=4.0,
    sandbox=2.0,
    memory=300 * 2**20,
    files=50,
    pauses=(Pause(pause=0.5, waited=0.2), Pause(pause=0.2, waited=0.0)),
    wall=60.0,
    others=Others(cores=0.75, of=2, commands={"pytest": 0.7}),
    plan=requests(40, 20),
    migration=requests(1200, 20),
)
AZ = ByHand(name="az", proves="the writes alone", clusters=2, cpu=6.0, wall=60.0, requests=requests(8, 2), gain=10.0)


def named(fleet: Fleet, name: str) -> Row:
    return next(row for row in rows(fleet, (AZ,)) if row.name.strip().startswith(name))


@pytest.mark.parametrize(
    ("name", "value", "met"),
    [
        ("clusters migrated and verified", 20, True),
        ("requests of the plan", 2, True),
        ("requests of the migration", 60, False),
        ("batch / critical path", 40 / 30, False),
        ("times less client CPU than az", 10, True),
        ("longest pause", 300, False),
        ("peak memory", 300, True),
        ("CPU of Prefect's server", 0.2, False),
        ("client CPU per cluster", 0.3, True),
    ],
)
def test_each_figure_is_held_against_its_goal(name: str, value: float, met: bool) -> None:
    row = named(FLEET, name)
    assert row.value == pytest.approx(value)
    assert row.goal is not None
    assert row.goal.met(row.value) is met


def test_a_pause_that_was_not_measured_meets_no_goal() -> None:
    row = named(replace(FLEET, pauses=()), "longest pause")
    assert (row.value, row.goal, row.note) == (None, at_most(250), "not measured")
    assert not at_most(250).met(None)
    assert not at_least(1).met(None)


def test_pauses_over_the_goal_are_counted() -> None:
    assert named(FLEET, "number of pauses").value == 1


def test_the_table_says_what_was_missed_and_what_else_ran() -> None:
    lines = list(table(tuple(rows(FLEET, (AZ,))), "aks-entra", "az"))
    assert next(line for line in lines if "requests of the migration" in line).split()[-5:] == [
        "60.00",
        "4.00",
        "<=",
        "36:",
        "MISSED",
    ]
    assert next(line for line in lines if "busy with" in line).endswith("(pytest 0.7)")
    assert gain(FLEET, AZ) == pytest.approx(10)


def test_seldom_kinds_are_shown_as_a_sum() -> None:
    once = replace(FLEET, plan=requests(1, 20), migration=requests(1, 20))
    assert [(row.name, row.value) for row in kinds(once, ())] == [("ARM: all others", 0.05)]
    assert [(row.name, row.by_hand) for row in kinds(FLEET, (AZ,))] == [("ARM: GET managedClusters/*", (2.0, 4.0))]


def test_json_has_each_row_with_its_goal() -> None:
    found = document(FLEET, (AZ,))
    gained = next(one for one in found["rows"] if one["name"].startswith("times less"))
    assert gained == {
        "name": "times less client CPU than az (the writes alone)",
        "value": pytest.approx(10),
        "by_hand": {"az": pytest.approx(10)},
        "goal": ">= 10",
        "met": True,
        "note": "",
    }
    assert found["steps"] == {"rotate": 25.0}
