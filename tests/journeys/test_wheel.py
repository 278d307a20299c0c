"""A new user installs the wheel into a new environment and runs the demo in an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 900  # seconds; the demo takes two minutes on an idle machine

pytestmark = pytest.mark.long


def installed(folder: Path) -> Path:
    """Install only the wheel, with the dependencies of this environment. Returns the folder of its commands."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (folder / "dist").iterdir()
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    # A path in a .pth file is not a site folder, so the editable installation named there is not used.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python.parent


def test_the_demo_runs_from_the_wheel_in_an_empty_folder(tmp_path: Path) -> None:
    commands = installed(tmp_path)
    here = tmp_path / "here"
    here.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    version = [str(commands / "aks-entra"), "version", "-o", "json"]
    told = subprocess.run(version, cwd=here, env=environment, check=True, capture_output=True, text=True).stdout
    assert Path(json.loads(told)["runbooks"]).is_relative_to(commands.parent)
    ended = subprocess.run(
        [commands / "aks-entra", "demo"],
        cwd=here,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "every verdict is as expected" in ended.stdout
    assert "aks-entra plan .aks-entra/demo/fleet.yaml" in ended.stdout
    assert [path.name for path in here.iterdir()] == [".aks-entra"]
