"""Where the runbooks of this installation are, and the pull step with which each flow run enters them.

The runbooks are prefect.yaml, flows/ and tasks/, with deployments/ and demo/. The wheel carries them as data of this
package; an editable installation has them in its checkout.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parents[1]
_PACKAGED: Final = _PACKAGE / "_runbooks"
INSTALLATION: Final = _PACKAGED if _PACKAGED.is_dir() else _PACKAGE.parents[1]
"""The folder with the runbooks that belong to this program. Anyone who can write there can write the program."""
CHECKOUT: Final = "AKS_ENTRA_CHECKOUT"
"""In the environment of a worker: another folder to take the runbooks from."""


def enter() -> dict[str, str]:
    """Make the folder with the runbooks the present one, and import from there. The pull step of each deployment.

    The folder is read from the environment of the process that runs the flow, so a deployment holds no path of the
    machine that made it. Returns the folder as Prefect wants it from a pull step.

    Raises FileNotFoundError if AKS_ENTRA_CHECKOUT names no folder with runbooks.
    """
    folder = Path(os.environ.get(CHECKOUT) or INSTALLATION).absolute()
    if not (folder / "flows").is_dir():
        raise FileNotFoundError(
            f"{folder} holds no flows/: unset {CHECKOUT} in the worker's environment to use the installed runbooks"
        )
    os.chdir(folder)
    sys.path.insert(0, str(folder))  # Prefect takes it away after the import of the flow, too early for later imports
    return {"directory": str(folder)}
