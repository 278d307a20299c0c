"""`aks-entra-sandbox record` and `replay`: a recording of the sandbox itself replays whole, and tells nothing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from azure_sandbox.cli import app
from azure_sandbox.front.tunnel import Passage
from azure_sandbox.recordings.recorder import Recorder

SANDBOX = (sys.executable, "-m", "azure_sandbox.cli")
PYTHON_PATH = os.pathsep.join(it for it in sys.path if it)
COMMAND = """
import os
from azure.identity import DefaultAzureCredential
from azure.mgmt.containerservice import ContainerServiceClient
from azure.mgmt.resource.resources import ResourceManagementClient
from kubernetes import client, config

subscription = os.environ["AZURE_SUBSCRIPTION_ID"]
credential = DefaultAzureCredential()
print(credential.get_token("https://management.azure.com/.default").token)
groups = ResourceManagementClient(credential, subscription).resource_groups
groups.create_or_update("Payroll", {"location": "westeurope"})
aks = ContainerServiceClient(credential, subscription)
wanted = {
    "location": "westeurope",
    "tags": {"owner": "zoebaker@fabrikam.example"},
    "identity": {"type": "SystemAssigned"},
    "properties": {
        "dnsPrefix": "salaries",
        "agentPoolProfiles": [{"name": "pool1", "count": 1, "vmSize": "Standard_D4s_v5", "mode": "System"}],
    },
}
aks.managed_clusters.begin_create_or_update("Payroll", "salaries", wanted, polling_interval=0.01).result()
try:
    aks.managed_clusters.get("Payroll", "absent")
except Exception as error:
    print(type(error).__name__)
held = aks.managed_clusters.list_cluster_admin_credentials("Payroll", "salaries").kubeconfigs[0].value
with open(os.environ["HELD"], "wb") as file:
    file.write(held)
config.load_kube_config(os.environ["HELD"])
print(len(client.CoreV1Api().list_node().items))
aks.managed_clusters.begin_rotate_cluster_certificates("Payroll", "salaries", polling_interval=0.01).result()
print([it.name for it in aks.managed_clusters.list()])
"""


async def recorded(
    folder: Path, *options: str, command: tuple[str, ...] = (), answer: bytes = b""
) -> tuple[int, str, str]:
    """Run `record` inside a sandbox, which is the Azure that it reaches."""
    (folder / "tmp").mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *(*SANDBOX, "exec", "--pace", "instant", "--"),
        *(*SANDBOX, "record", "--output", str(folder / "recording.json"), *options, "--"),
        *(command or (sys.executable, "-c", COMMAND)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": PYTHON_PATH,
            "TMPDIR": str(folder / "tmp"),
            "HELD": str(folder / "held"),
        },
    )
    out, err = await process.communicate(answer)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def secrets_of(folder: Path, out: str) -> list[str]:
    """What the command got from Azure and what it named: token, keys of the kubeconfig, names, mail address."""
    kubeconfig = (folder / "held").read_text()
    return [
        *out.splitlines()[:1],
        *re.findall(r"[A-Za-z0-9+/=]{40,}", kubeconfig),
        "Payroll",
        "salaries",
        "zoebaker",
        "fabrikam",
    ]


async def test_a_recording_of_the_sandbox_replays_whole_and_holds_nothing_secret(tmp_path: Path) -> None:
    code, out, err = await recorded(tmp_path, "--yes")
    assert code == 0, err
    assert out.splitlines()[1:] == ["ResourceNotFoundError", "1", "['salaries']"]
    file = tmp_path / "recording.json"
    text = file.read_text()

    assert file.stat().st_mode & 0o777 == 0o600
    assert [it for it in secrets_of(tmp_path, out) if it.lower() in text.lower()] == []
    assert "encrypted: 1 connections to *.azmk8s.io" in err
    assert list((tmp_path / "tmp").iterdir()) == []
    result = await asyncio.to_thread(CliRunner().invoke, app, ["replay", "-o", "json", str(file)])
    shown = json.loads(result.stdout)[str(file)]
    assert [it for it in shown if it["result"] not in {"same", "not compared"}] == []
    assert result.exit_code == 0
    assert {it["method"] for it in shown if it["result"] == "same"} == {"GET", "PUT", "POST"}
    assert all("login.microsoftonline.com" in it["url"] for it in shown if it["result"] == "not compared")


ONE = ("sh", "-c", "curl -sS https://management.azure.com/subscriptions?api-version=2022-12-01 >/dev/null; exit 7")


@pytest.mark.parametrize(("answer", "kept"), [(b"n\n", False), (b"", False), (b"s\ny\n", True)])
async def test_a_recording_is_shown_and_kept_only_if_a_person_says_so(
    tmp_path: Path, answer: bytes, kept: bool
) -> None:
    code, out, err = await recorded(tmp_path, command=ONE, answer=answer)

    assert code == 7
    assert "1 x GET https://management.azure.com/subscriptions: 401" in err
    assert (tmp_path / "recording.json").exists() == kept, err
    assert ("x-ms-" in out or '"status": 401' in out) == (b"s" in answer)


async def test_other_hosts_are_refused_and_named(tmp_path: Path) -> None:
    code, _, err = await recorded(tmp_path, "--yes", command=("curl", "-sS", "https://example.com/"))

    assert code != 0
    assert "refused: 1 connections to example.com" in err
    assert not (tmp_path / "recording.json").exists()


async def test_api_servers_are_reached_through_the_proxy_of_the_machine_or_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    host = "a-1.hcp.westeurope.azmk8s.io"
    async with Recorder() as recorder:
        direct = recorder.target(host, 443)
        monkeypatch.setenv("https_proxy", "http://me:p%40ss@proxy.example:3128")
        through = recorder.target(host, 443)
        monkeypatch.setenv("no_proxy", ".azmk8s.io")
        spared = recorder.target(host, 443)
        environment = recorder.environment

    assert isinstance(direct, Passage)
    assert isinstance(through, Passage)
    assert isinstance(spared, Passage)
    assert (direct.host, direct.port, direct.opening) == (spared.host, spared.port, spared.opening) == (host, 443, b"")
    assert (through.host, through.port) == ("proxy.example", 3128)
    assert through.opening.endswith(b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n")
    assert environment["https_proxy"].startswith("http://127.0.0.1:")
    assert environment["no_proxy"] == ".azmk8s.io,127.0.0.1,localhost,::1"


def exchange(**changed: Any) -> dict[str, Any]:
    url = "https://management.azure.com/subscriptions/5f0c3c1e-0000-4000-8000-000000000000?api-version=2022-12-01"
    made = {"method": "GET", "url": url, "request": None, "status": 200, "headers": {}, "response": {"x": 1}}
    return {**made, **changed}


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (json.dumps([exchange()]), 1, "only recorded: .x number"),
        (json.dumps([exchange(status=409)]), 1, "recorded 409, the sandbox answers 200"),
        (json.dumps([exchange(url="https://management.azure.com/nothing")]), 1, "the sandbox does not model it"),
        (
            json.dumps([exchange(url="https://login.microsoftonline.com/x")]),
            0,
            "0 of 0 answers are as recorded (1 were",
        ),
        (json.dumps([{"method": "GET"}]), 2, "exchange 0 lacks one of"),
        (json.dumps([exchange(status="x")]), 2, "has a wrong type"),
        ("{}", 2, "it is no list of exchanges"),
        ("x", 2, "this is not a recording"),
    ],
)
def test_replay_says_where_the_sandbox_answers_otherwise(tmp_path: Path, content: str, code: int, words: str) -> None:
    (tmp_path / "it.json").write_text(content)
    result = CliRunner().invoke(app, ["replay", str(tmp_path / "it.json")])

    assert (result.exit_code, words in result.output) == (code, True), result.output


def test_wrong_usage_is_refused_before_the_command_runs(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("")
    marker = tmp_path / "ran"
    for output, words in (("there", "exists"), ("no/such", "is not a folder")):
        result = CliRunner().invoke(app, ["record", "-o", str(tmp_path / output), "--", "touch", str(marker)])
        assert (result.exit_code, words in result.output) == (2, True), result.output
    assert CliRunner().invoke(app, ["replay", str(tmp_path / "absent")]).exit_code == 2
    trusting = {"SSL_CERT_FILE": str(tmp_path / "no.pem")}
    result = CliRunner().invoke(app, ["record", "-o", str(tmp_path / "new"), "--", "touch", str(marker)], env=trusting)
    assert (result.exit_code, f"SSL_CERT_FILE={tmp_path / 'no.pem'}: " in result.output) == (2, True), result.output
    assert not marker.exists()
