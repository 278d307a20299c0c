"""`aks-entra up`: the work pool's template, the server's variables, and a warning when a schedule does not run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.settings import Settings
from prefect.workers.process import ProcessJobConfiguration

from aks_entra.cli.local.runbooks import POOL_TEMPLATE
from aks_entra.cli.local.server import POOL, Local, environment, server_environment
from aks_entra.cli.local.server_api import LocalApi
from aks_entra.cli.up import warn_of_records, watch_schedules
from aks_entra.core.schedules import Overdue
from aks_entra.errors import Refused
from aks_entra.host.runbooks import INSTALLATION

TEMPLATE = json.loads((INSTALLATION / POOL_TEMPLATE).read_text())
LATE = Overdue(deployment="end-access", because="has never run", remedy="restart the server")
OTHER = Overdue(deployment="verify-fleet", because="is paused", remedy="resume it")


class Done(Exception):
    """The scripted looks are over."""


async def watched(*looks: tuple[Overdue, ...] | Exception) -> list[float]:
    pauses: list[float] = []
    script = iter(looks)

    async def look() -> tuple[Overdue, ...]:
        found = next(script)
        if isinstance(found, Exception):
            raise found
        return found

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) > len(looks):
            raise Done

    with pytest.raises(Done):
        await watch_schedules(look, pause)
    return pauses


async def test_up_warns_once_about_each_schedule_that_does_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    await watched((LATE,), (LATE, OTHER), (OTHER,))
    said = capsys.readouterr().err
    assert said.count("end-access has never run") == said.count("restart the server") == 1
    assert said.count("verify-fleet is paused") == 1


async def test_up_warns_again_after_the_schedule_has_run(capsys: pytest.CaptureFixture[str]) -> None:
    await watched((LATE,), (), (LATE,))
    assert capsys.readouterr().err.count("end-access has never run") == 2


async def test_a_server_that_is_away_does_not_end_the_watch(capsys: pytest.CaptureFixture[str]) -> None:
    await watched(httpx.ConnectError("refused"), (LATE,))
    said = capsys.readouterr().err
    assert "could not be checked: ConnectError" in said
    assert "end-access has never run" in said


async def test_the_first_check_gives_the_sweeps_time_to_run(capsys: pytest.CaptureFixture[str]) -> None:
    first, *others = await watched((), ())
    assert first > 300
    assert min(others) >= 60
    assert capsys.readouterr().err == ""


class Server:
    """Prefect's server, as far as `up` asks it: with CSRF protection."""

    def __init__(self, pool: dict[str, Any] | None, *, status: int = 201) -> None:
        self.pool, self.status = pool, status
        self.written: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/csrf-token":
            return httpx.Response(200, json={"token": f"for-{request.url.params['client']}"})
        if request.method == "GET":
            return httpx.Response(200, json=self.pool) if self.pool else httpx.Response(404)
        assert request.headers["Prefect-Csrf-Token"] == f"for-{request.headers['Prefect-Csrf-Client']}"
        self.written.append((request.method, json.loads(request.content)))
        return httpx.Response(self.status, json=[])


async def set_pool(server: Server) -> bool:
    async with httpx.AsyncClient(base_url="http://127.0.0.1/api", transport=httpx.MockTransport(server)) as http:
        return await LocalApi(http).set_pool("aks-entra", TEMPLATE)


async def test_a_new_work_pool_gets_our_template() -> None:
    server = Server(None)
    assert await set_pool(server) is False
    assert server.written == [("POST", {"name": "aks-entra", "type": "process", "base_job_template": TEMPLATE})]


async def test_an_old_work_pool_that_takes_commands_gets_our_template() -> None:
    server = Server({"base_job_template": {"job_configuration": {"command": "{{ command }}"}, "variables": {}}})
    assert await set_pool(server) is True
    assert server.written == [("PATCH", {"base_job_template": TEMPLATE})]


async def test_a_work_pool_with_our_template_is_left_alone() -> None:
    server = Server({"base_job_template": TEMPLATE})
    assert await set_pool(server) is False
    assert server.written == []


async def test_a_work_pool_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(Refused, match="work pool aks-entra could not be created: Prefect's server answered 503"):
        await set_pool(Server(None, status=503))


@pytest.mark.parametrize("trouble", [httpx.Response(503), httpx.Response(500), httpx.ReadError("closed")])
async def test_a_server_that_is_busy_is_asked_again_whether_the_worker_is_online(
    trouble: httpx.Response | httpx.ReadError,
) -> None:
    def server(request: httpx.Request) -> httpx.Response:
        if isinstance(trouble, httpx.ReadError):
            raise trouble
        return trouble if request.method == "GET" else httpx.Response(200, json=[{"status": "ONLINE"}])

    async with httpx.AsyncClient(base_url="http://127.0.0.1/api", transport=httpx.MockTransport(server)) as http:
        assert await LocalApi(http).online("aks-entra") is False


def test_the_work_pool_s_template_takes_no_command_environment_or_folder() -> None:
    assert set(TEMPLATE["job_configuration"]) == {"stream_output"}
    assert set(TEMPLATE["variables"]["properties"]) == {"stream_output"}
    assert TEMPLATE["variables"]["additionalProperties"] is False


async def test_the_worker_ignores_a_command_that_a_run_brings_anyway() -> None:
    brought = {"command": "touch x", "env": {"A": "b"}, "env.PATH": "/x", "working_dir": "/", "labels": {"a": "b"}}
    client = PrefectClient("http://127.0.0.1:9/api")  # nothing is asked of it
    found: Any = await ProcessJobConfiguration.from_template_and_values(TEMPLATE, brought, client=client)
    assert (found.command, found.env, found.working_dir, found.labels) == (None, {}, None, {})
    assert found.stream_output is False


def test_only_the_server_gets_the_variables_of_its_authentication(tmp_path: Path) -> None:
    base = "http://127.0.0.1:4200"
    place = Local(
        api=f"{base}/api", page=base, home=tmp_path, checkout=tmp_path, pool=POOL, folder=tmp_path, auth_file=tmp_path
    )
    assert "PREFECT_SERVER_API_AUTH_STRING" not in environment(place, "a:b")
    server = server_environment(place, "a:b")
    assert server["PREFECT_SERVER_API_AUTH_STRING"] == "a:b"
    assert (server["PREFECT_SERVER_API_HOST"], server["PREFECT_SERVER_API_PORT"]) == ("127.0.0.1", "4200")


@pytest.mark.parametrize(
    ("said", "store"),
    [
        (None, "{home}/records"),
        ("", ""),
        ("kept", "{here}/kept"),
        ("az://acme/records", "az://acme/records"),
    ],
)
def test_records_are_kept_beside_the_database_unless_another_store_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, store: str
) -> None:
    monkeypatch.delenv("AKS_ENTRA_RECORDS", raising=False)
    if said is not None:
        monkeypatch.setenv("AKS_ENTRA_RECORDS", said)
    base, home = "http://127.0.0.1:4200", tmp_path / "home"
    place = Local(
        api=f"{base}/api", page=base, home=home, checkout=tmp_path, pool=POOL, folder=tmp_path, auth_file=tmp_path
    )
    assert environment(place, "a:b")["AKS_ENTRA_RECORDS"] == store.format(home=home, here=Path.cwd())


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (False, ""),
        (True, "earlier records are only in Prefect's database\n  → let no run work, then copy them"),
        (Refused("another store", remedy="set it"), "warning: another store\n  → set it"),
        (OSError("reset"), "the records could not be looked at: OSError"),
    ],
)
async def test_up_says_that_records_from_before_the_store_can_be_copied(
    capsys: pytest.CaptureFixture[str], found: bool | Exception, said: str
) -> None:
    async def look() -> bool:
        if isinstance(found, Exception):
            raise found
        return found

    await warn_of_records(look)
    warned = capsys.readouterr().err
    assert said in warned
    assert bool(said) is bool(warned)
    assert ("aks-entra records import --from-prefect" in warned) is (found is True)


@pytest.mark.parametrize(
    "loose",
    [
        {},
        {"PREFECT_SERVER_CORS_ALLOWED_ORIGINS": "*", "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "false"},
        {"PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": "*", "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "false"},
    ],
)
def test_no_variable_of_the_user_opens_the_server_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loose: dict[str, str]
) -> None:
    base = "http://127.0.0.1:4200"
    place = Local(
        api=f"{base}/api", page=base, home=tmp_path, checkout=tmp_path, pool=POOL, folder=tmp_path, auth_file=tmp_path
    )
    for name, value in {**loose, **environment(place, "a:b"), **server_environment(place, "a:b")}.items():
        monkeypatch.setenv(name, value)
    found = Settings().server.api
    assert found.auth_string is not None
    assert found.auth_string.get_secret_value() == "a:b"
    assert (found.cors_allowed_origins, found.csrf_protection_enabled) == (base, True)
    assert (found.host, found.port) == ("127.0.0.1", 4200)
