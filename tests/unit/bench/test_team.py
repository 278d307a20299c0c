"""The other tables of the bench: a migration of a team, and the worlds of an inventory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from azure_sandbox.world.model import World
from bench.figures import Others
from bench.inventory import ESTATES, Estate, world
from bench.table import table
from bench.team import Team, rows
from bench.traffic import traffic

TEAM = Team(
    clusters=100,
    verified=100,
    others_because={},
    batches=5,
    critical_path=30.0,
    wall=60.0,
    cpu={"postgres": 20.0, "alpha": 50.0},
    sandbox=10.0,
    memory=200 * 2**20,
    others=Others(cores=0.5, of=2, commands={"pytest": 0.5}),
    migration=traffic((), 100),
)


@pytest.mark.parametrize(("verified", "word"), [(100, "met"), (99, "MISSED")])
def test_a_migration_of_a_team_is_whole_only_with_every_cluster(verified: int, word: str) -> None:
    lines = list(table(tuple(rows(replace(TEAM, verified=verified))), "aks-entra"))
    assert lines[2].split() == ["clusters", "migrated", "and", "verified", str(verified), ">=", "100:", word]
    assert any(line.split() == ["CPU", "per", "cluster:", "postgres", "(s)", "0.20"] for line in lines)


@pytest.mark.parametrize("estate", ESTATES, ids=lambda it: it.command[1])
def test_the_world_of_an_inventory_has_its_clusters(estate: Estate) -> None:
    found = World.model_validate(world(estate))
    assert len(found.subscriptions) == estate.subscriptions
    sizes = [sum(len(group.clusters) for group in one.resource_groups) for one in found.subscriptions]
    assert set(sizes) == {estate.clusters}
