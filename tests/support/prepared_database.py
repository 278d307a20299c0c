"""An empty database of Prefect's server with its tables, made once for a test run.

Prefect makes its tables by a long chain of migrations: ten seconds of CPU for each server that starts from nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

NAME = "prefect.db"


def make(shared: Path) -> Path:
    """Return the database in a folder that all test processes share. The first one to ask makes it."""
    shared.mkdir(parents=True, exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = shared / NAME
        if not made.exists():
            draft = shared / "draft.db"
            clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
            environment = {
                **clean,
                "PREFECT_HOME": str(shared / "home"),
                "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{draft}",
            }
            command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
            subprocess.run(command, env=environment, check=True, capture_output=True)
            assert not draft.with_name(f"{draft.name}-wal").exists(), "the migrations are not all in the file yet"
            draft.rename(made)
    return made


def put(made: Path, home: Path) -> None:
    """Copy the database to where `aks-entra up` keeps its own (`home` is AKS_ENTRA_HOME)."""
    there = path(home)
    there.parent.mkdir(mode=0o700, parents=True)
    home.chmod(0o700)
    shutil.copyfile(made, there)


def path(home: Path) -> Path:
    """Return where `aks-entra up` keeps its database."""
    return home / "prefect" / NAME
