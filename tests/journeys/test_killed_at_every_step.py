"""Each boundary between two steps once through Prefect: the flow run's process is killed there, and the plan goes on.

`test_killed_and_resumed` has four of these moments in every run; here is each of them, and what Prefect itself loses:
its server, and its database.
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

from tests.journeys.office import ROTATION, SHOP, SOON, Office, kill_run, office
from tests.journeys.test_killed_and_resumed import FLEET, rotation_runs, the_two_runs

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
    """A PostgreSQL server of this test's own: its address, and the command that restarts it at once.

    It refuses to run as root, and an ordinary user does not see into pytest's folders: hence a folder of its own.
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
        for place in (folder, data):
            os.chown(place, 65534, 65534)
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
async def at_work(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    (folder / "world.yaml").write_text(world())
    async with office(folder / "world.yaml", folder, pace=300, settings=QUICK) as place:
        yield place


async def begin(place: Office, name: str, folder: Path, groups: str) -> tuple[str, str]:
    """Plan and start; the run, and the plan's digest."""
    fleet, plan = folder / "fleet.yaml", folder / "plan.json"
    fleet.write_text(FLEET.format(name=name).replace("[{name: aks-admins}]", groups))
    await place.terminal.run(f"aks-entra plan {fleet} --out {plan}")
    run = json.loads(await place.terminal.run(f"aks-entra migrate {plan} --no-wait -o json"))["run"]
    return str(run), str(json.loads(plan.read_text())["digest"])


async def until_step(place: Office, step: str, name: str) -> None:
    """Wait until Prefect knows the task of a step: the step before it is done and stored."""
    wanted = {"task_runs": {"name": {"any_": [f"{step} · shop-weu/{name}"]}}}
    async with httpx.AsyncClient(base_url=place.api, trust_env=False) as http, asyncio.timeout(SOON):
        while not (await http.post("/task_runs/filter", json=wanted)).raise_for_status().json():  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.1)


async def verified_with_one_rotation(place: Office, name: str, digest: str, folder: Path) -> None:
    report = folder / "report.json"
    await place.terminal.run(f"aks-entra report {digest} --json {report}")
    verdict: dict[str, Any] = json.loads(report.read_text())["report"]["verdicts"][0]
    assert verdict["outcome"] == "verified", verdict["because"]
    assert len(place.wire.matching("POST", name, ROTATION)) == 1


@pytest.mark.long
@pytest.mark.parametrize("step", STEPS)
async def test_killed_where_a_step_begins(at_work: Office, step: str, tmp_path: Path) -> None:
    name = name_of(step)
    run, digest = await begin(at_work, name, tmp_path, CREATED.replace("{name}", name))
    await until_step(at_work, step, name)
    _, batch = await the_two_runs(at_work, f"plan:{digest[7:19]}")
    kill_run(batch)
    await at_work.terminal.type(f"aks-entra migrate --follow {run}")  # its coordinator says that the batch is dead
    await at_work.terminal.run(f"aks-entra migrate --resume {run}")
    await verified_with_one_rotation(at_work, name, digest, tmp_path)
    made = [one for one in at_work.wire.writes() if one.host == "graph.microsoft.com" and one.path.endswith("/groups")]
    assert len(made) <= len(STEPS)  # one for each cluster, none twice


@pytest.mark.long
async def test_the_server_is_killed_in_mid_rotation_and_the_fleet_goes_on(at_work: Office, tmp_path: Path) -> None:
    run, digest = await begin(at_work, "server", tmp_path, "[{name: aks-admins}]")
    await at_work.wire.until(lambda: rotation_runs(at_work.wire, "server"))
    at_work.kill_server()
    await on_to_the_end(at_work, run)
    await verified_with_one_rotation(at_work, "server", digest, tmp_path)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("pg_ctl") is None, reason="no PostgreSQL on PATH")
async def test_the_database_restarts_in_mid_rotation_and_the_fleet_goes_on(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("team")
    (folder / "world.yaml").write_text(world())
    with database() as (address, restart):
        settings = {**QUICK, "PREFECT_API_DATABASE_CONNECTION_URL": address}
        async with office(folder / "world.yaml", folder, pace=300, settings=settings) as place:
            run, digest = await begin(place, "database", tmp_path, "[{name: aks-admins}]")
            await place.wire.until(lambda: rotation_runs(place.wire, "database"))
            again = await asyncio.create_subprocess_exec(*restart, stdout=asyncio.subprocess.DEVNULL)
            assert await again.wait() == 0
            await on_to_the_end(place, run)
            await verified_with_one_rotation(place, "database", digest, tmp_path)


async def on_to_the_end(place: Office, run: str) -> None:
    """Follow a run; where it broke off, once the server answers again, resume it."""
    async with httpx.AsyncClient(base_url=place.api, trust_env=False) as http, asyncio.timeout(SOON):
        while not await healthy(http):  # noqa: ASYNC110 - another process comes up
            await asyncio.sleep(0.2)
    outcome = await place.terminal.type(f"aks-entra migrate --follow {run}")
    if outcome.status:
        await place.terminal.run(f"aks-entra migrate --resume {run}")


async def healthy(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/health")).is_success
    except httpx.HTTPError:
        return False
