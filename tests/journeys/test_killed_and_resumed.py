"""The machine dies in the middle, and `migrate --resume` ends where it would have ended, with one rotation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.journeys.office import ROTATION, SHOP, Office, Wire, kill_run, office

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLUSTERS = ("entra-on", "accounts-off", "rotating", "rotated")
WORLD = f"""\
{SHOP}          - {{name: entra-on, nodes: 2, identity: none}}
          - {{name: accounts-off, nodes: 2, identity: legacy}}
          - {{name: rotating, nodes: 2, identity: managed, adminGroups: [aks-admins]}}
          - {{name: rotated, nodes: 2, identity: managed, adminGroups: [aks-admins]}}
"""
FLEET = """\
version: 1
name: {name}
clusters:
  - {{subscription: prod-eu, resource_group: shop-weu, name: {name}}}
target:
  admin_groups: [{{name: aks-admins}}]
rollout:
  stages:
    - {{name: all, groups: [{{name: all, rest: true}}], gate_before: false}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at_work(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    world = folder / "world.yaml"
    world.write_text(WORLD)
    quick = {"AKS_ENTRA_POLL_INTERVAL": "0.3", "AKS_ENTRA_LOOK_INTERVAL": "0.3", "AKS_ENTRA_GROUP_READ_GAP": "0.1"}
    async with office(world, folder, pace=300, settings=quick) as place:
        yield place


def entra_is_on(wire: Wire, cluster: str) -> bool:
    return len(wire.matching("PUT", cluster)) == 1


def accounts_are_off(wire: Wire, cluster: str) -> bool:
    return len(wire.matching("PUT", cluster)) == 2


def rotation_runs(wire: Wire, cluster: str) -> bool:
    return bool(wire.matching("POST", cluster, ROTATION))


def rotation_is_over(wire: Wire, cluster: str) -> bool:
    """The API server is asked again: it was left alone while the rotation ran."""
    started = wire.matching("POST", cluster, ROTATION)
    since = [one for one in wire.exchanges if started and one.at > started[0].at]
    return any(one.host.startswith(f"{cluster}-") for one in since)


@pytest.mark.parametrize(
    ("cluster", "moment", "killed"),
    [
        pytest.param("entra-on", entra_is_on, "flow run", marks=pytest.mark.long),  # as test_resume.py has it
        ("accounts-off", accounts_are_off, "worker"),
        ("rotating", rotation_runs, "flow run and worker"),
        pytest.param("rotated", rotation_is_over, "flow run and coordinator", marks=pytest.mark.long),
    ],
)
async def test_a_death_is_survived(
    at_work: Office, cluster: str, moment: Callable[[Wire, str], bool], killed: str, tmp_path: Path
) -> None:
    terminal, wire = at_work.terminal, at_work.wire
    fleet, plan = tmp_path / "fleet.yaml", tmp_path / "plan.json"
    fleet.write_text(FLEET.format(name=cluster))
    await terminal.run(f"aks-entra plan {fleet} --out {plan}")
    run = json.loads(await terminal.run(f"aks-entra migrate {plan} --no-wait -o json"))["run"]
    await wire.until(lambda: moment(wire, cluster))
    tag = f"plan:{json.loads(plan.read_text())['digest'][7:19]}"
    coordinator, batch = await the_two_runs(at_work, tag)
    if "worker" in killed:
        at_work.kill_worker()
    if "flow run" in killed:
        kill_run(batch)
    if "coordinator" in killed:
        kill_run(coordinator)

    if killed == "worker":  # nothing that it had started is lost
        await terminal.run(f"aks-entra migrate --follow {run}")
    else:
        await terminal.type(f"aks-entra migrate --follow {run}")  # it ends: its coordinator is dead, or says so itself
        await terminal.run(f"aks-entra migrate --resume {run}")

    report = tmp_path / "report.json"
    await terminal.run(f"aks-entra report {json.loads(plan.read_text())['digest']} --json {report}")
    verdict = json.loads(report.read_text())["report"]["verdicts"][0]
    assert verdict["outcome"] == "verified", verdict["because"]
    assert len(wire.matching("POST", cluster, ROTATION)) == 1


async def the_two_runs(place: Office, tag: str) -> tuple[Mapping[str, object], Mapping[str, object]]:
    runs = await place.flow_runs(tag)
    batches = [run for run in runs if any(str(it).startswith("stage:") for it in run["tags"])]
    others = [run for run in runs if run not in batches]
    assert len(batches) == 1
    assert len(others) == 1
    return others[0], batches[0]
