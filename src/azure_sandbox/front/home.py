"""The folder of a running sandbox: the public CA bundle and the files of clients. It is removed with the sandbox.

A killed process cannot clean up. So a small watcher process waits on a pipe for our end and removes the folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WATCHER = (
    "import os,shutil,signal,sys,time\n"
    "for n in (1,2,15): signal.signal(n, signal.SIG_IGN)\n"
    "os.read(0,1)\n"
    "for _ in range(50):\n"
    "    shutil.rmtree(sys.argv[1], ignore_errors=True)\n"
    "    if not os.path.exists(sys.argv[1]): break\n"
    "    time.sleep(0.1)\n"
)


class HomeFolder:
    """A temporary folder, or a permanent one inside a state folder."""

    def __init__(self, lasting: Path | None = None) -> None:
        self._watcher: subprocess.Popen[bytes] | None = None
        self._lasting = lasting is not None
        if lasting is not None:
            self.path = lasting / "home"
            self.path.mkdir(mode=0o700, exist_ok=True)
            return
        self.path = Path(tempfile.mkdtemp(prefix="azure-sandbox-"))
        if sys.platform == "linux":
            self._watch()

    def _watch(self) -> None:
        """Start the watcher in a session of its own, so that it survives signals to our process group."""
        self._watcher = subprocess.Popen(  # noqa: S603  # our own interpreter and text
            [sys.executable, "-S", "-E", "-c", WATCHER, str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": os.environ.get("PATH", "")},
            start_new_session=True,
        )

    @property
    def watcher(self) -> int | None:
        """Return the process ID of the watcher. Returns None if no watcher runs."""
        return None if self._watcher is None else self._watcher.pid

    def close(self) -> None:
        """Remove a temporary folder. A permanent folder stays."""
        if self._lasting:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        if self._watcher is not None and self._watcher.stdin is not None:
            self._watcher.stdin.close()
            self._watcher.wait()
            self._watcher = None
