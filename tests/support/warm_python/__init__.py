"""A Python interpreter for tests that has Prefect and this program imported already.

`aks-entra up` starts an interpreter for the server, the deployments and the worker, and the worker starts two for each
flow run; each needs seconds of CPU for its imports. So does `aks-entra` itself, for most commands. Here they are given
another interpreter: `launcher.py`. It hands their commands to one warm process (`parent.py`), which forks a child for
each; every other command becomes the real interpreter. The child is a process of its own with the environment, folder,
arguments, standard streams and limits that its starter chose. Signals sent to the launcher reach the child, and the
launcher ends as the child ended.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]


@contextmanager
def warm_python(folder: Path) -> Iterator[Path]:
    """Start the warm process; yields the interpreter to use. Where there is no Linux it is the real one.

    `folder` becomes a virtual environment that shares its packages with the present one.
    """
    if sys.platform != "linux":
        yield Path(sys.executable)
        return
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    (folder / "lib").symlink_to(Path(sys.prefix) / "lib")
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", folder / "pyvenv.cfg")
    python.write_text(f"#!{sys.executable} -ISE\n" + (HERE / "launcher.py").read_text())
    python.chmod(0o755)
    (folder / "real").symlink_to(sys.executable)
    told = {name: os.environ[name] for name in ("PATH", "HOME", "LC_ALL", "TZ") if name in os.environ}
    with socket.socket(socket.AF_UNIX) as door, (folder / "log").open("wb") as log:
        door.bind(str(folder / "socket"))
        door.listen()
        parent = subprocess.Popen(
            [python, HERE / "parent.py", str(door.fileno())],
            executable=sys.executable,
            pass_fds=[door.fileno()],
            cwd=HERE,  # holds nothing that Prefect reads settings from
            env={**told, "PREFECT_HOME": str(folder / "prefect"), "DO_NOT_TRACK": "1"},
            stdin=subprocess.PIPE,  # the warm process ends when this end is closed
            stdout=log,
            stderr=log,
        )
    try:
        yield python
    finally:
        parent.communicate()
