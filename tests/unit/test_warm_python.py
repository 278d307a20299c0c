from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.warm_python import launcher

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the warm interpreter is the real one there")
ABOUT = """\
import json, os, resource, sys, threading
from prefect.settings import get_current_settings
settings = get_current_settings()
print(json.dumps({
    "pid": os.getpid(), "folder": os.getcwd(), "argv": sys.argv[1:], "executable": sys.executable, "path": sys.path,
    "environment": dict(os.environ), "api": settings.api.url, "home": str(settings.home),
    "core": resource.getrlimit(resource.RLIMIT_CORE), "session": os.getsid(0), "threads": threading.active_count(),
}), flush=True)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script of the one name that the warm process runs as a file."""
    file = tmp_path / "prefect" / "runner" / "_workspace_runtime_bootstrap.py"
    file.parent.mkdir(parents=True)
    return file


def start(python: Path, script: Path, text: str, **environment: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Start a script that first tells about itself."""
    script.write_text(ABOUT + text)
    process = subprocess.Popen(
        [python, script, "one", "two words"],
        cwd=script.parent,
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()
    return process, json.loads(line)


def test_a_child_has_what_its_starter_chose_and_nothing_of_another(python: Path, script: Path) -> None:
    first, one = start(python, script, "", PREFECT_API_URL="http://127.0.0.1:1/api", ONLY_HERE="yes")
    first.communicate()
    second, other = start(
        python,
        script,
        "",
        PREFECT_API_URL="http://127.0.0.1:2/api",
        PREFECT_HOME=str(script.parent),
        PYTHONPATH="/more",
    )
    second.communicate()
    assert (one["api"], other["api"]) == ("http://127.0.0.1:1/api", "http://127.0.0.1:2/api")
    assert one["environment"]["ONLY_HERE"] == "yes"
    assert "ONLY_HERE" not in other["environment"]
    assert other["home"] == other["folder"] == str(script.parent)
    assert other["path"][:2] == [str(script.parent), "/more"]
    assert "/more" not in one["path"]
    assert other["argv"] == ["one", "two words"]
    assert other["executable"] == str(python)
    assert other["session"] == other["pid"] != one["pid"]
    assert other["threads"] == 1


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 0),
        ("sys.exit(7)", 7),
        ("raise ValueError('at the end')", 1),
        ("os.kill(os.getpid(), 9)", -9),
        ("os.kill(os.getpid(), 15)", -15),
    ],
)
def test_a_launcher_ends_as_its_child_ended(python: Path, script: Path, text: str, status: int) -> None:
    process, _ = start(python, script, text)
    _, said = process.communicate()
    assert process.returncode == status
    assert ("ValueError: at the end" in said) == (status == 1)


def test_a_killed_child_takes_its_launcher_along(python: Path, script: Path) -> None:
    process, about = start(python, script, "import signal; signal.pause()")
    os.kill(about["pid"], signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_a_killed_launcher_takes_its_child_along(python: Path, script: Path) -> None:
    process, about = start(python, script, "import signal; signal.pause()")
    ended = os.pidfd_open(about["pid"])
    process.kill()
    readable, _, _ = select.select([ended], [], [], 60)
    os.close(ended)
    assert readable
    process.communicate()


def test_a_signal_to_the_launcher_reaches_the_child(python: Path, script: Path) -> None:
    process, _ = start(
        python,
        script,
        "import signal\nsignal.signal(15, lambda *_: sys.exit(3))\nprint('ready', flush=True)\nsignal.pause()",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    process.communicate()
    assert process.returncode == 3


def test_any_other_command_is_the_real_interpreter(python: Path) -> None:
    command = [str(python), "-c", "import os, sys; print(os.getpid(), sys.executable, sys.flags.isolated)"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    out, _ = process.communicate()
    assert out.split() == [str(process.pid), str(python), "0"]


@pytest.mark.parametrize(
    ("setting", "warm"),
    [
        ("PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS", False),
        ("PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE", True),
        ("PREFECT_WORKER_QUERY_SECONDS", True),
    ],
)
def test_a_server_with_a_setting_that_is_read_at_import_is_the_real_interpreter(
    setting: str, warm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, "5")
    assert launcher.is_warm(["-m", "aks_entra.prefect_client", "server", "start"]) == warm
    assert launcher.is_warm(["-m", "aks_entra.prefect_client", "worker", "start"])


@pytest.mark.parametrize(
    ("words", "warm"),
    [
        (["gates"], True),
        (["migrate", "plan.json", "--no-wait"], True),
        (["migrate", "plan.json", "--local"], False),
        (["rollback", "plan.json", "--here"], False),
        (["up", "--port", "1"], False),
        (["demo"], False),
    ],
)
def test_a_command_that_sets_settings_of_prefect_is_the_real_interpreter(words: list[str], warm: bool) -> None:
    assert launcher.is_warm([*launcher.COMMAND, *words]) == warm


def test_a_command_finds_the_server_of_its_environment_and_no_settings_in_its_folder(
    python: Path, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PREFECT_API_URL=http://127.0.0.1:2/api\n")
    for api in ("http://127.0.0.1:1/api", ""):
        process = subprocess.run(
            [python, *launcher.COMMAND, "gates"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **({"PREFECT_API_URL": api} if api else {})},
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 2, process
        assert (f"no Prefect server answers at {api}" if api else "no Prefect API is configured") in process.stderr
