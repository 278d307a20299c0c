"""A process is killed in the middle, and `migrate --resume` reaches the same end with one rotation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.local_installation import (
    FLEET_OF_ONE,
    ROTATION,
    SHOP,
    LocalInstallation,
    RecordedRequests,
    coordinator_and_batch,
    kill_run,
    local_installation,
    rotation_runs,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLUSTERS = ("entra-on", "accounts-off", "rotating", "rotated")
WORLD = f"""\
{SHOP}          - {{name: entra-on, nodes: 2, identity: none}}
          - {{name: accounts-off, nodes: 2, identity: legacy}}
          - {{name: rotating, nodes: 2, identity: managed, adminGroups: [aks-admins]}}
          - {{name: rotated, nodes: 2, identity: managed, adminGroups: [aks-admins]}}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(
    tmp_path_factory: pytest.TempPathFactory, database: Path, python: Path
) -> AsyncIterator[LocalInstallation]:
    folder = tmp_path_factory.mktemp("installation")
    world = folder / "world.yaml"
    world.write_text(WORLD)
    quick = {"AKS_ENTRA_POLL_INTERVAL": "0.3", "AKS_ENTRA_LOOK_INTERVAL": "0.3", "AKS_ENTRA_GROUP_READ_GAP": "0.1"}
    async with local_installation(
        world, folder, pace=300, settings=quick, database=database, python=python
    ) as installation:
        yield installation


def entra_is_on(requests: RecordedRequests, cluster: str) -> bool:
    return len(requests.matching("PUT", cluster)) == 1


def accounts_are_off(requests: RecordedRequests, cluster: str) -> bool:
    return len(requests.matching("PUT", cluster)) == 2


def rotation_is_over(requests: RecordedRequests, cluster: str) -> bool:
    """Whether the API server gets requests again, because it gets none while a rotation runs."""
    started = requests.matching("POST", cluster, ROTATION)
    since = [one for one in requests.exchanges if started and one.at > started[0].at]
    return any(one.host.startswith(f"{cluster}-") for one in since)


@pytest.mark.parametrize(
    ("cluster", "moment", "killed"),
    [
        pytest.param("entra-on", entra_is_on, "flow run", marks=pytest.mark.long),  # as test_resume.py has it
        pytest.param("accounts-off", accounts_are_off, "worker", marks=pytest.mark.long),  # dies below as well
        ("rotating", rotation_runs, "flow run and worker"),
        pytest.param("rotated", rotation_is_over, "flow run and coordinator", marks=pytest.mark.long),
    ],
)
async def test_a_killed_process_is_resumed(
    installation: LocalInstallation,
    cluster: str,
    moment: Callable[[RecordedRequests, str], bool],
    killed: str,
    tmp_path: Path,
) -> None:
    terminal, requests = installation.terminal, installation.requests
    fleet, plan = tmp_path / "fleet.yaml", tmp_path / "plan.json"
    fleet.write_text(FLEET_OF_ONE.format(name=cluster))
    await terminal.run(f"aks-entra plan {fleet} --out {plan}")
    run = json.loads(await terminal.run(f"aks-entra migrate {plan} --without-gates --no-wait -o json"))["run"]
    await requests.until(lambda: moment(requests, cluster))
    tag = f"plan:{json.loads(plan.read_text())['digest'][7:19]}"
    coordinator, batch = await coordinator_and_batch(installation, tag)
    if "worker" in killed:
        installation.kill_worker()
    if "flow run" in killed:
        kill_run(batch)
    if "coordinator" in killed:
        kill_run(coordinator)

    if killed == "worker":  # the processes that it started go on
        await terminal.run(f"aks-entra migrate --follow {run}")
    else:
        await terminal.type(f"aks-entra migrate --follow {run}")  # it ends: killed, or failed
        await terminal.run(f"aks-entra migrate --resume {run}")

    report = tmp_path / "report.json"
    await terminal.run(f"aks-entra report {json.loads(plan.read_text())['digest']} --json {report}")
    verdict = json.loads(report.read_text())["report"]["verdicts"][0]
    assert verdict["outcome"] == "verified", verdict["because"]
    assert len(requests.matching("POST", cluster, ROTATION)) == 1
