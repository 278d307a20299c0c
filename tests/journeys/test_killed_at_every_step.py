"""Kills the process of a flow run at every boundary between two steps; the plan is then resumed and completed.

`test_killed_and_resumed` has one of these moments in every test run. These tests have all of them, and also kill
Prefect's server and its database.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.support.local_installation import (
    FLEET_OF_ONE,
    ROTATION,
    SHOP,
    LocalInstallation,
    coordinator_and_batch,
    kill_run,
    local_installation,
    rotation_runs,
)
from tests.support.patience import SOON

pytestmark = pytest.mark.asyncio(loop_scope="module")

STEPS = (
    *("look", "ensure admin group", "enable Entra", "prove sign-in", "record baseline", "disable local accounts"),
    *("rotate certificates", "verify nodes", "prove old credentials dead"),
)
CREATED = "[{name: made-for-{name}, create: true}]"
QUICK = {"AKS_ENTRA_POLL_INTERVAL": "0.3", "AKS_ENTRA_LOOK_INTERVAL": "0.3", "AKS_ENTRA_GROUP_READ_GAP": "0.1"}


def name_of(step: str) -> str:
    return step.lower().replace(" ", "-")


def world() -> str:
    clusters = "".join(f"          - {{name: {name_of(step)}, nodes: 1, identity: none}}\n" for step in STEPS)
    clusters += "          - {name: server, nodes: 1, identity: managed, adminGroups: [aks-admins]}\n"
    clusters += "          - {name: database, nodes: 1, identity: managed, adminGroups: [aks-admins]}\n"
    return SHOP.replace("GroupMember.Read.All", "Group.ReadWrite.All, Directory.Read.All") + clusters


@contextmanager
def database() -> Iterator[tuple[str, list[str]]]:
    """Start a PostgreSQL server for this test. Yield its address, and the command that restarts it at once.

    PostgreSQL refuses to run as root, and its user cannot read pytest's folders, so it gets a separate folder.
    """
    tool = shutil.which("pg_ctl")
    assert tool is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="aks-entra-pg-"))
    data = folder / "pg"
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    data.mkdir()
    if user:
        for installation in (folder, data):
            os.chown(installation, 65534, 65534)
    initdb = str(Path(tool).resolve().with_name("initdb"))
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data}"
    control = [*user, tool, "-D", str(data), "-w", "-l", str(data / "log"), "-o", options]
    try:
        subprocess.run(
            [*user, initdb, "-D", str(data), "-U", "prefect", "-A", "trust"], check=True, capture_output=True
        )
        subprocess.run([*control, "start"], check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"PostgreSQL does not start here: {error}")
    try:
        yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/postgres", [*control, "-m", "immediate", "restart"]
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, stdout=subprocess.DEVNULL)
        shutil.rmtree(folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory, database: Path) -> AsyncIterator[LocalInstallation]:
    folder = tmp_path_factory.mktemp("installation")
    (folder / "world.yaml").write_text(world())
    async with local_installation(
        folder / "world.yaml", folder, pace=300, settings=QUICK, database=database
    ) as installation:
        yield installation


async def begin(installation: LocalInstallation, name: str, folder: Path, groups: str) -> tuple[str, str]:
    """Plan and start a migration. Returns the run and the plan's digest."""
    fleet, plan = folder / "fleet.yaml", folder / "plan.json"
    fleet.write_text(FLEET_OF_ONE.format(name=name).replace("[{name: aks-admins}]", groups))
    await installation.terminal.run(f"aks-entra plan {fleet} --out {plan}")
    run = json.loads(await installation.terminal.run(f"aks-entra migrate {plan} --no-wait -o json"))["run"]
    return str(run), str(json.loads(plan.read_text())["digest"])


async def until_step(installation: LocalInstallation, step: str, name: str) -> None:
    """Wait until Prefect has the task of a step. Then the step before it is done and stored."""
    wanted = {"task_runs": {"name": {"any_": [f"{step} · shop-weu/{name}"]}}}
    async with installation.prefect() as http, asyncio.timeout(SOON):
        while not (await http.post("/task_runs/filter", json=wanted)).raise_for_status().json():  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.1)


async def verified_with_one_rotation(installation: LocalInstallation, name: str, digest: str, folder: Path) -> None:
    report = folder / "report.json"
    await installation.terminal.run(f"aks-entra report {digest} --json {report}")
    verdict: dict[str, Any] = json.loads(report.read_text())["report"]["verdicts"][0]
    assert verdict["outcome"] == "verified", verdict["because"]
    assert len(installation.requests.matching("POST", name, ROTATION)) == 1


@pytest.mark.long
@pytest.mark.parametrize("step", STEPS)
async def test_killed_where_a_step_begins(installation: LocalInstallation, step: str, tmp_path: Path) -> None:
    name = name_of(step)
    run, digest = await begin(installation, name, tmp_path, CREATED.replace("{name}", name))
    await until_step(installation, step, name)
    _, batch = await coordinator_and_batch(installation, f"plan:{digest[7:19]}")
    kill_run(batch)
    await installation.terminal.type(f"aks-entra migrate --follow {run}")  # it reports that the batch was killed
    await installation.terminal.run(f"aks-entra migrate --resume {run}")
    await verified_with_one_rotation(installation, name, digest, tmp_path)
    made = [
        one
        for one in installation.requests.writes()
        if one.host == "graph.microsoft.com" and one.path.endswith("/groups")
    ]
    assert len(made) <= len(STEPS)  # one group for each cluster, none twice


@pytest.mark.long
async def test_the_server_is_killed_in_mid_rotation_and_the_fleet_goes_on(
    installation: LocalInstallation, tmp_path: Path
) -> None:
    run, digest = await begin(installation, "server", tmp_path, "[{name: aks-admins}]")
    await installation.requests.until(lambda: rotation_runs(installation.requests, "server"))
    installation.kill_server()
    await on_to_the_end(installation, run)
    await verified_with_one_rotation(installation, "server", digest, tmp_path)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("pg_ctl") is None, reason="no PostgreSQL on PATH")
async def test_the_database_restarts_in_mid_rotation_and_the_fleet_goes_on(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("team")
    (folder / "world.yaml").write_text(world())
    with database() as (address, restart):
        settings = {**QUICK, "PREFECT_API_DATABASE_CONNECTION_URL": address}
        async with local_installation(folder / "world.yaml", folder, pace=300, settings=settings) as installation:
            run, digest = await begin(installation, "database", tmp_path, "[{name: aks-admins}]")
            await installation.requests.until(lambda: rotation_runs(installation.requests, "database"))
            again = await asyncio.create_subprocess_exec(*restart, stdout=asyncio.subprocess.DEVNULL)
            assert await again.wait() == 0
            await on_to_the_end(installation, run)
            await verified_with_one_rotation(installation, "database", digest, tmp_path)


async def on_to_the_end(installation: LocalInstallation, run: str) -> None:
    """Follow a run. If it failed, resume it as soon as the server answers again."""
    async with httpx.AsyncClient(base_url=installation.api, trust_env=False) as http, asyncio.timeout(SOON):
        while not await healthy(http):  # noqa: ASYNC110 - another process comes up
            await asyncio.sleep(0.2)
    outcome = await installation.terminal.type(f"aks-entra migrate --follow {run}")
    if outcome.status:
        await installation.terminal.run(f"aks-entra migrate --resume {run}")


async def healthy(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/health")).is_success
    except httpx.HTTPError:
        return False
