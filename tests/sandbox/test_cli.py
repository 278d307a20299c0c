"""`aks-entra-sandbox`: a command inside sees only the sandbox, and nothing is left when it ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

SANDBOX = (sys.executable, "-m", "azure_sandbox.cli")
PYTHON_PATH = os.pathsep.join(it for it in sys.path if it)
TOKEN = (
    "curl -sS https://login.microsoftonline.com/$AZURE_TENANT_ID/oauth2/v2.0/token -d grant_type=client_credentials "
    '-d client_id=$AZURE_CLIENT_ID --data-urlencode "client_secret=$AZURE_CLIENT_SECRET" '
    "-d scope=https://graph.microsoft.com/.default"
)


def left(folder: Path) -> list[str]:
    return sorted(it.name for it in folder.iterdir())


async def start(folder: Path, *arguments: str, **environment: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *SANDBOX,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": PYTHON_PATH, "TMPDIR": str(folder), **environment},
    )


async def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    process = await start(folder, *arguments, **environment)
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def inside(folder: Path, script: str, *options: str, **environment: str) -> tuple[int, str, str]:
    return await run(folder, "exec", *options, "--", "sh", "-c", script, **environment)


async def test_a_command_signs_in_and_leaves_nothing_behind(tmp_path: Path) -> None:
    code, out, err = await inside(tmp_path, TOKEN)
    assert (code, err) == (0, "")
    assert json.loads(out)["token_type"] == "Bearer"
    assert left(tmp_path) == []


async def test_arguments_and_exit_code_are_passed_through(tmp_path: Path) -> None:
    code, out, _ = await run(tmp_path, "exec", "--", "sh", "-c", 'echo "$0"; exit 7', "--help")
    assert (code, out) == (7, "--help\n")
    assert (await inside(tmp_path, "kill -TERM $$"))[0] == 128 + signal.SIGTERM
    code, _, err = await run(tmp_path, "exec", "--", "no-such-command")
    assert (code, err) == (127, "aks-entra-sandbox: no-such-command: command not found\n")
    assert (await run(tmp_path, "exec", "--", str(tmp_path)))[0] == 126
    assert left(tmp_path) == []


async def test_azure_settings_of_the_machine_are_hidden_from_the_command(tmp_path: Path) -> None:
    real = {
        "AZURE_AUTHORITY_HOST": "https://login.example/",
        "ARM_CLIENT_ID": "x",
        "ARM_USE_CLI": "x",
        "HTTPS_PROXY": "http://p:1",
    }
    code, out, _ = await inside(tmp_path, "env", **real, SSL_CERT_FILE="/etc/x", KEEP="me")
    assert code == 0
    seen = dict(line.partition("=")[::2] for line in out.splitlines())
    assert not {"AZURE_AUTHORITY_HOST", "ARM_USE_CLI"} & set(seen)
    assert seen["ARM_CLIENT_ID"] == seen["AZURE_CLIENT_ID"]
    assert seen["KEEP"] == "me"
    assert seen["SSL_CERT_FILE"].startswith(str(tmp_path))
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", seen["HTTPS_PROXY"])
    assert seen["AZURE_CONFIG_DIR"].startswith(str(tmp_path))


async def test_the_temporary_folder_holds_only_the_public_certificate(tmp_path: Path) -> None:
    code, out, _ = await inside(tmp_path, 'find "$TMPDIR" -type f ! -name ca.p12 -exec cat {} +')
    assert code == 0
    assert out.count("-----BEGIN") == out.count("-----BEGIN CERTIFICATE-----") == 1


async def test_requests_are_logged_without_secrets(tmp_path: Path) -> None:
    log = tmp_path / "log"
    (tmp_path / "tmp").mkdir()
    code, out, _ = await inside(tmp_path / "tmp", f'{TOKEN}; echo; echo "$AZURE_CLIENT_SECRET"', "--log", str(log))
    assert code == 0
    (line,) = [json.loads(it) for it in log.read_text().splitlines()]
    assert (line["host"], line["method"], line["status"]) == ("login.microsoftonline.com", "POST", 200)
    assert (line["query"], line["caller"], line["milliseconds"] >= 0) == ("", "", True)
    assert out.splitlines()[-1] not in log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_reach_the_command(tmp_path: Path, number: signal.Signals) -> None:
    script = f"trap 'echo caught; exit 3' {number.name[3:]}; echo ready; while :; do sleep 0.05; done"
    process = await start(tmp_path, "exec", "--", "sh", "-c", script)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    assert b"caught" in await process.stdout.read()
    assert await process.wait() == 3
    assert left(tmp_path) == []


async def ended(pid: int) -> None:
    """Wait until a process has ended."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(process, gone.set)
    await gone.wait()
    asyncio.get_running_loop().remove_reader(process)
    os.close(process)


async def test_processes_that_the_command_left_running_are_ended(tmp_path: Path) -> None:
    code, out, _ = await inside(tmp_path, "setsid sleep 1000 >/dev/null 2>&1 & echo $!")
    assert code == 0
    await ended(int(out))


async def test_the_sandbox_ends_with_its_parent(tmp_path: Path) -> None:
    command = " ".join(f"'{it}'" for it in (*SANDBOX, "exec", "--", "sh", "-c", "echo $PPID $$; sleep 1000"))
    parent = await asyncio.create_subprocess_shell(
        f"{command} & wait",
        stdout=PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": PYTHON_PATH, "TMPDIR": str(tmp_path)},
    )
    assert parent.stdout is not None
    pids = [int(it) for it in (await parent.stdout.readline()).split()]
    parent.kill()
    await parent.wait()
    for pid in pids:
        await ended(pid)
    assert left(tmp_path) == []


async def test_up_serves_until_a_signal_ends_it(tmp_path: Path) -> None:
    process = await start(tmp_path, "up", "--port", "0", "--world", "demo", "--pace", "10")
    assert process.stderr is not None
    first = (await process.stderr.readline()).decode()
    match = re.search(r"proxy http://127\.0\.0\.1:(\d+), pace 10", first)
    assert match is not None, first
    port = match[1]
    code, out, _ = await run(tmp_path, "env", "--port", port)
    assert code == 0
    exports = tmp_path / "exports"
    exports.write_text(out)
    shell = await asyncio.create_subprocess_shell(f". {exports}; {TOKEN}", stdout=PIPE)
    assert json.loads((await shell.communicate())[0])["token_type"] == "Bearer"
    code, _, err = await run(tmp_path, "up", "--port", port)
    assert (code, "choose another port with --port" in err) == (1, True)
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    assert left(tmp_path) == ["exports"]
    code, _, err = await run(tmp_path, "env", "--port", port)
    assert (code, f"no sandbox is up on port {port}" in err) == (1, True)


async def test_a_user_signs_in_from_inside_the_sandbox(tmp_path: Path) -> None:
    world = tmp_path / "world.yaml"
    world.write_text("version: 1\nusers:\n  - {name: Alice Adams, upn: alice@contoso.onmicrosoft.com}\n")
    (tmp_path / "tmp").mkdir()
    sandbox = f"{SANDBOX[0]} -m azure_sandbox.cli"
    script = (
        "curl -sS https://login.microsoftonline.com/organizations/oauth2/v2.0/devicecode "
        "-d client_id=80faf920-1908-4b52-b5ef-a8e7bedfc67a "
        "-d scope=6dae42f8-4368-4678-94ff-3960e28e3630/.default > begun; "
        'code=$(sed \'s/.*"user_code": "\\([A-Z0-9]*\\)".*/\\1/\' begun); '
        f"{sandbox} sign-in $code --as alice; {sandbox} sign-in $code --as alice; "
        'curl -sSL -o /dev/null -w "%{http_code}\\n" https://microsoft.com/devicelogin; echo "[$AZURE_CLIENT_ID]"'
    )
    code, out, err = await inside(
        tmp_path / "tmp", f"cd {tmp_path}; {script}", "--person", "--world", str(world), PYTHONPATH=PYTHON_PATH
    )
    assert code == 0, err
    assert out.splitlines() == ["alice@contoso.onmicrosoft.com has signed in", "200", "[]"]
    assert "AADSTS70019" in err
