"""Makes the folder in which Prefect's processes run the runbooks (prefect.yaml, flows/, tasks/).

Prefect trusts `.env`, `prefect.toml` and `pyproject.toml` in the folder in which a process starts. So its processes
start in a folder of our own that holds only links to the runbooks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aks_entra.errors import Refused
from aks_entra.host.file_trust import private_folder
from aks_entra.host.runbooks import INSTALLATION

POOL_TEMPLATE: Final = Path("deployments", "work-pools", "process.json")
_RUNBOOKS: Final = ("prefect.yaml", "flows", "tasks")


def find_checkout(installation: Path = INSTALLATION) -> Path:
    """Return the folder with the runbooks of this installation. Raises Refused if they are not there.

    Runbooks of the present folder are never used: somebody else could have written them.
    """
    if missing := [name for name in (*_RUNBOOKS, POOL_TEMPLATE) if not (installation / name).exists()]:
        raise Refused(
            f"{installation} lacks {missing[0]}: the runbooks are not complete", remedy="install aks-entra again"
        )
    return installation


def run_folder(home: Path, checkout: Path) -> Path:
    """Create the folder in which server, worker and runs start, with links to the runbooks."""
    folder = private_folder(home / "runbooks")
    for name in _RUNBOOKS:
        link, target = folder / name, checkout / name
        if link.is_symlink() and link.readlink() == target:
            continue
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    if others := sorted(path.name for path in folder.iterdir() if path.name not in {*_RUNBOOKS, "__pycache__"}):
        raise Refused(
            f"{folder} holds more than the runbooks: {', '.join(others)}", remedy=f"remove {others[0]} from it"
        )
    return folder
