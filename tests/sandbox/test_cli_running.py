"""Commands for a running sandbox, and the cleanup after `kill -9`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

import pytest
from typer.testing import CliRunner

from azure_sandbox.cli import app

PYTHON = [sys.executable, "-m", "azure_sandbox.cli"]
SELF = " ".join(f"'{it}'" for it in PYTHON)
GROUP = "/subscriptions/0b7d5c1e-3f2a-4e89-9c64-d8a1b5e7f302/resourcegroups/g/providers"
CLUSTER = {
    "id": f"{GROUP}/Microsoft.ContainerService/managedClusters/mine",
    "location": "westeurope",
    "agentPoolProfiles": [{"name": "system", "count": 1, "mode": "System"}],
    "dnsPrefix": "mine",
}


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join(it for it in sys.path if it)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": path, "TMPDIR": str(folder)}


async def start(folder: Path, *arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *PYTHON, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment(folder)
    )


async def run(folder: Path, *arguments: str) -> tuple[int | None, str, str]:
    process = await start(folder, *arguments)
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def gone(pid: int) -> None:
    """Wait until a process has ended, if it exists."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    await ended.wait()
    asyncio.get_running_loop().remove_reader(descriptor)
    os.close(descriptor)


def children(pid: int) -> list[int]:
    return [int(it) for it in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def entries(folder: Path) -> list[str]:
    return [it.name for it in folder.iterdir()]


async def test_nothing_is_left_after_kill_9(tmp_path: Path) -> None:
    process = await start(tmp_path, "exec", "--", "sh", "-c", "echo $$; exec sleep 1000")
    assert process.stdout is not None
    command = int(await process.stdout.readline())
    assert len(entries(tmp_path)) == 1
    others = children(process.pid)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    for pid in {command, *others}:
        await gone(pid)
    assert entries(tmp_path) == []


async def test_clock_fault_report_and_world_work_from_inside_the_sandbox(tmp_path: Path) -> None:
    script = (
        f"{SELF} clock advance 10m && {SELF} clock show >&2 && {SELF} fault add fails --operation rotate"
        f" --cluster 'pay-*' >&2 && {SELF} fault list && {SELF} fault clear >&2 && {SELF} report"
        f" && {SELF} report --json >&2 && {SELF} world export -o $TMPDIR/../out.yaml; {SELF} fault add odd;"
        f" echo rc=$?; {SELF} clock advance soon"
    )
    inner = tmp_path / "tmp"
    inner.mkdir()
    code, out, err = await run(inner, "exec", "--world", "demo", "--pace", "by-hand", "--", "sh", "-c", script)
    assert code == 2, err
    assert '"pace": "by-hand"' in out
    assert '"left": 1' in out
    assert "faults: 1 injected, 0 consumed, 0 left over" in out
    assert "rc=2" in out
    assert "unknown kind of fault 'odd'" in err
    assert "'soon' is not a duration" in err
    assert (tmp_path / "out.yaml").read_text().startswith("version: 1\n")
    assert entries(inner) == []


async def test_a_sandbox_starts_from_imported_output_of_az(tmp_path: Path) -> None:
    mine, inner = tmp_path / "mine.json", tmp_path / "tmp"
    inner.mkdir()
    mine.write_text(json.dumps([CLUSTER]))
    code, out, err = await run(inner, "exec", "--import", str(mine), "--", "sh", "-c", f"{SELF} world export")
    assert (code, err) == (0, "")
    assert "name: mine" in out
    assert entries(inner) == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("world", "import", "{mine}"), 0, "version: 1\n"),
        (("world", "import", "none.json"), 2, "No such file"),
        (("up", "--import", "{mine}", "--world", "demo"), 2, "exclude each other"),
        (("up", "--pace", "brisk"), 2, "brisk"),
        (("up", "--world", "{world}"), 2, "aks-entra-sandbox: {world}:2: clusters: unknown key; allowed here: "),
        (("world", "list"), 0, "situations: "),
        (("report", "--port", "1"), 1, "no sandbox is up on port 1"),
        (
            ("sign-in", "ABCDEFGHJ", "--as", "alice", "--port", "1"),
            1,
            "no sandbox is up on port 1 ([Errno 111]",
        ),
    ],
)
def test_a_command_ends_with_its_exit_code_and_message(
    arguments: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    files = {"mine": tmp_path / "mine.json", "world": tmp_path / "world.yaml"}
    files["mine"].write_text(json.dumps([CLUSTER]))
    files["world"].write_text("version: 1\nclusters: []\n")
    outcome = CliRunner().invoke(app, [it.format(**files) for it in arguments])
    assert (outcome.exit_code, said.format(**files) in outcome.output) == (code, True), outcome.output
