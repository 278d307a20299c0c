"""Every process that `up` started is ended, even if its parent died or its environment is hidden."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in Linux's /proc")
LEFT_BEHIND = """
import asyncio, os, resource, signal, sys
from aks_entra.cli.local import processes
from aks_entra.host import core_dumps
processes.adopt_orphans()
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)  # root sees everything
core_dumps.forbid()
reading, writing = os.pipe()
parent = os.fork()
if parent == 0:
    child = os.fork()
    if child == 0:
        signal.pause()  # holds credentials, hides its environment
    os.write(writing, str(child).encode())
    os._exit(0)
os.waitpid(parent, 0)
orphan = int(os.read(reading, 20))
try:
    open(f"/proc/{orphan}/environ", "rb").read()
except PermissionError:
    print("hidden")
asyncio.run(processes.stop_marked("MARK=ours"))
print(os.WTERMSIG(os.waitpid(orphan, 0)[1]))
"""


def test_a_hidden_process_that_lost_its_parent_is_ended() -> None:
    told = subprocess.run([sys.executable, "-c", LEFT_BEHIND], capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 0, told.stderr
    assert told.stdout.split() == ["hidden", "15"]
