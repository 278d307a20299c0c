"""Without its authentication string, `aks-entra up` gives other users and foreign web pages no access."""

from __future__ import annotations

import asyncio
import json
import re
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from ruamel.yaml import YAML
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.support.local_installation import ROOT, SHOP, LocalInstallation, local_installation
from tests.support.patience import SOON
from tests.support.terminal import Terminal

in_the_modules_loop = pytest.mark.asyncio(loop_scope="module")

WORLD = f"{SHOP}          - {{name: one, nodes: 1, identity: none}}\n"
SWEEP = "/deployments/name/sweep-break-glass/sweep-break-glass"
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def scheduled() -> list[str]:
    """Return the deployments of prefect.yaml that have a schedule."""
    declared = YAML(typ="safe").load(ROOT / "prefect.yaml")["deployments"]
    return [one["name"] for one in declared if one.get("schedules")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalInstallation]:
    folder = tmp_path_factory.mktemp("installation")
    (folder / "world.yaml").write_text(WORLD)
    settings = {"PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5"}
    async with local_installation(folder / "world.yaml", folder, pace=1000, settings=settings) as installation:
        yield installation


@pytest_asyncio.fixture(loop_scope="module")
async def stranger(installation: LocalInstallation) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of another user of this machine, who can reach the port but cannot read the string."""
    async with httpx.AsyncClient(base_url=installation.api, trust_env=False, timeout=SOON) as http:
        yield http


async def count_of_runs(installation: LocalInstallation) -> int:
    async with installation.prefect() as http:
        asked = {"flow_runs": {"name": {"like_": "stranger"}}}
        return int((await http.post("/flow_runs/count", json=asked)).raise_for_status().text)


@in_the_modules_loop
@pytest.mark.parametrize("string", ["", "aks-entra:guessed", "admin:pass"])
async def test_a_stranger_reads_nothing_and_starts_nothing(
    installation: LocalInstallation, stranger: httpx.AsyncClient, string: str
) -> None:
    if string:
        stranger.auth = httpx.BasicAuth(*string.split(":"))
    for path in (SWEEP, "/admin/version", "/admin/settings", "/csrf-token?client=x", "/work_pools/aks-entra", "/docs"):
        assert (await stranger.get(path)).status_code == 401, path
    async with installation.prefect() as http:
        deployment = (await http.get(SWEEP)).raise_for_status().json()["id"]
        tokens = {name: http.headers[name] for name in ("Prefect-Csrf-Token", "Prefect-Csrf-Client")}
    start, body = f"/deployments/{deployment}/create_flow_run", {"name": "stranger", "job_variables": {}}
    assert (await stranger.post(start, json=body)).status_code in {401, 403}
    assert (await stranger.post(start, json=body, headers=tokens)).status_code == 401  # a CSRF token is not enough
    assert (await stranger.post("/flow_runs/filter", json={}, headers=tokens)).status_code == 401
    assert await count_of_runs(installation) == 0


@in_the_modules_loop
@pytest.mark.parametrize("path", ["/events/in", "/events/out", "/logs/out", "/work_pools/aks-entra/workers/connect"])
@pytest.mark.parametrize("string", [None, "admin:pass"])
async def test_a_stranger_gets_no_websocket(installation: LocalInstallation, path: str, string: str | None) -> None:
    with pytest.raises((ConnectionClosed, InvalidStatus)):
        await first_answer(f"{installation.api.replace('http', 'ws', 1)}{path}", {"type": "auth", "token": string})


async def first_answer(address: str, said: Mapping[str, Any]) -> Any:
    """Return the first answer of a websocket."""
    async with asyncio.timeout(SOON), connect(address, subprotocols=[Subprotocol("prefect")], proxy=None) as socket:
        await socket.send(json.dumps(said))
        return json.loads(await socket.recv())


@in_the_modules_loop
async def test_a_client_with_the_string_gets_the_websockets(installation: LocalInstallation) -> None:
    address = f"{installation.api.replace('http', 'ws', 1)}/events/in"
    assert await first_answer(address, {"type": "auth", "token": installation.auth}) == {"type": "auth_success"}


@in_the_modules_loop
async def test_another_user_s_command_is_refused_with_the_remedy(
    installation: LocalInstallation, tmp_path: Path
) -> None:
    other = Terminal(
        {name: installation.terminal.environment[name] for name in ("PREFECT_API_URL", "PATH")}, tmp_path / "other"
    )
    for line in ("aks-entra gates", "aks-entra approve 0000 --plan 111111111111 --reason x"):
        said = await other.refused(line)
        assert "asks for authentication" in said
        assert "export the server's string" in said
        assert "Traceback" not in said


@in_the_modules_loop
async def test_the_same_user_s_command_needs_the_address_alone_in_any_folder(
    installation: LocalInstallation, tmp_path: Path
) -> None:
    terminal = Terminal.with_changes(installation.terminal, {"AKS_ENTRA_HOME": str(tmp_path)})
    assert "PREFECT_API_AUTH_STRING" not in terminal.environment
    assert (await terminal.read("aks-entra gates"))["gates"] == []
    await terminal.run("cd / && aks-entra gates")


@in_the_modules_loop
@pytest.mark.parametrize(
    "variables",
    [
        {"command": "touch {marker}"},
        {"env": {"PYTHONSTARTUP": "{marker}"}},
        {"env.PATH": "{marker}"},
        {"working_dir": "{marker}"},
        {"stream_output": True, "command": "touch {marker}"},
    ],
    ids="+".join,
)
async def test_no_run_and_no_deployment_can_add_a_command(
    installation: LocalInstallation, tmp_path: Path, variables: Mapping[str, Any]
) -> None:
    given = json.loads(json.dumps(variables).replace("{marker}", str(tmp_path / "marker")))
    async with installation.prefect() as http:
        sweep = (await http.get(SWEEP)).raise_for_status().json()
        start = f"/deployments/{sweep['id']}/create_flow_run"
        assert (await http.post(start, json={"job_variables": given})).status_code == 422
        later = {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": "2999-01-01T00:00:00Z"}}}
        run = (await http.post(start, json=later)).raise_for_status().json()["id"]
        assert (await http.patch(f"/flow_runs/{run}", json={"job_variables": given})).status_code == 422
        await http.delete(f"/flow_runs/{run}")

        new = {"name": tmp_path.name, "flow_id": sweep["flow_id"], "work_pool_name": "aks-entra"}
        assert (await http.post("/deployments/", json={**new, "job_variables": given})).status_code == 422
        made = (await http.post("/deployments/", json=new)).raise_for_status().json()["id"]
        await http.patch(f"/deployments/{made}", json={"job_variables": given})  # Prefect does not check a change
        assert (await http.post(f"/deployments/{made}/create_flow_run", json={})).status_code == 422


@in_the_modules_loop
async def test_a_command_that_the_server_does_not_check_is_not_executed(
    installation: LocalInstallation, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    async with installation.prefect() as http, asyncio.timeout(SOON):
        flow = (await http.get(SWEEP)).raise_for_status().json()["flow_id"]
        given = {"command": f"touch {marker}", "env": {"PYTHONPATH": str(tmp_path)}, "working_dir": str(tmp_path)}
        wanted = {
            "flow_id": flow,
            "work_pool_name": "aks-entra",
            "job_variables": given,
            "state": {"type": "SCHEDULED", "state_details": {"scheduled_time": "2026-01-01T00:00:00Z"}},
        }
        run = (await http.post("/flow_runs/", json=wanted)).raise_for_status().json()
        assert run["job_variables"] == given  # it is stored, because Prefect checks job variables of deployments only
        while run["state"]["type"] not in ENDED:
            await asyncio.wait([asyncio.ensure_future(installation.up.wait())], timeout=0.3)
            run = (await http.get(f"/flow_runs/{run['id']}")).raise_for_status().json()
    assert run["state"]["type"] in {"FAILED", "CRASHED"}
    assert not marker.exists()


@in_the_modules_loop
async def test_a_page_of_another_site_cannot_ask(installation: LocalInstallation) -> None:
    async with installation.prefect() as http:
        page = installation.api.removesuffix("/api")
        for origin, allowed in ((page, page), ("http://evil.example", None), ("null", None)):
            answer = await http.get("/health", headers={"Origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            assert (await http.options("/flow_runs/filter", headers=asked)).status_code == (200 if allowed else 400)
        del http.headers["Prefect-Csrf-Token"]
        answer = await http.post("/flow_runs/filter", json={})
        assert (answer.status_code, answer.json()["detail"]) == (403, "Missing CSRF token.")


@in_the_modules_loop
async def test_a_host_name_that_an_attacker_points_at_this_machine_is_refused(installation: LocalInstallation) -> None:
    async with installation.prefect() as http:
        for path in ("/health", "/admin/version", installation.api.removesuffix("api")):
            assert (await http.get(path, headers={"Host": "evil.example"})).status_code == 400


def test_what_up_writes_is_readable_to_its_user_alone(installation: LocalInstallation) -> None:
    files = [path for path in installation.home.rglob("*") if not path.is_symlink() and "runbooks" not in path.parts]
    assert {path.name for path in files} >= {"logs", "server.log", "worker.log", "deploy.log", "prefect.db", "auth"}
    loose = [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert loose == []
    assert stat.S_IMODE(installation.home.stat().st_mode) == 0o700


def test_the_string_is_in_no_command_line_and_in_nothing_that_is_said(installation: LocalInstallation) -> None:
    secret = installation.auth.partition(":")[2]
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in lines if secret.encode() in line]
    said = [installation.home.parent / "up.log", *(installation.home / "logs").iterdir()]
    assert not [path for path in said if secret in path.read_text()]
    assert "auth/127.0.0.1-" in (installation.home.parent / "up.log").read_text()


def test_processes_start_where_no_settings_are_and_leave_no_core(installation: LocalInstallation) -> None:
    children = [
        int(it) for it in Path(f"/proc/{installation.up.pid}/task/{installation.up.pid}/children").read_text().split()
    ]
    named = {pid: Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") for pid in children}
    ours = [pid for pid, words in named.items() if b"start" in words]
    assert len(ours) == 2  # server and worker
    for pid in ours:
        assert Path(f"/proc/{pid}/cwd").readlink() == installation.home / "runbooks"
    for pid in (installation.up.pid, *ours):
        limit = re.search(r"Max core file size +(\d+) +(\d+)", Path(f"/proc/{pid}/limits").read_text())
        assert limit is not None
        assert limit.groups() == ("0", "0")


@in_the_modules_loop
async def test_the_scheduler_itself_makes_runs_for_each_deployment_with_a_schedule(
    installation: LocalInstallation,
) -> None:
    names = scheduled()
    assert sorted(names) == ["end-access", "review-access", "sweep-break-glass", "verify-fleet"]
    async with installation.prefect() as http, asyncio.timeout(SOON):
        for name in names:
            asked = {
                "deployments": {"name": {"any_": [name]}},
                "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
            }
            while not [run for run in await listed(http, asked) if run["auto_scheduled"]]:
                await asyncio.wait([asyncio.ensure_future(installation.up.wait())], timeout=0.3)


async def listed(http: httpx.AsyncClient, asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = (await http.post("/flow_runs/filter", json=asked)).raise_for_status().json()
    return found


@in_the_modules_loop
async def test_a_string_that_was_set_by_hand_is_used(tmp_path: Path, database: Path, python: Path) -> None:
    (tmp_path / "world.yaml").write_text(WORLD)
    settings = {"PREFECT_SERVER_API_AUTH_STRING": "ops:by-hand-0815", "PREFECT_API_AUTH_STRING": "ops:of-yesterday"}
    async with local_installation(
        tmp_path / "world.yaml", tmp_path, pace=1000, settings=settings, database=database, python=python
    ) as installation:
        assert installation.auth == "ops:by-hand-0815"
        async with installation.prefect() as http:
            assert (await http.get(SWEEP)).status_code == 200
        said = await installation.terminal.refused("aks-entra gates")  # the terminal still has the previous string
        assert "refuses PREFECT_API_AUTH_STRING" in said
        await installation.terminal.run("unset PREFECT_API_AUTH_STRING; aks-entra gates")
