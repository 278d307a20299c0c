"""A process that holds credentials leaves no core dump, and hides its memory from others of the same user."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="core dumps are switched off by Linux's means here")
BEFORE_AND_AFTER = """
import ctypes, json, resource, subprocess, sys
from aks_entra.host import core_dumps
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
def dumpable():
    return ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
def look():
    return [list(resource.getrlimit(resource.RLIMIT_CORE)), dumpable()]
before = look()
core_dumps.forbid()
child = "import resource; print(list(resource.getrlimit(resource.RLIMIT_CORE)))"
inherited = json.loads(subprocess.run([sys.executable, "-c", child], capture_output=True, check=True).stdout)
print(json.dumps({"before": before, "after": look(), "inherited": inherited}))
"""
SESSION = """
import asyncio, ctypes, resource
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
async def main():
    async with open_session(Settings()):
        print(list(resource.getrlimit(resource.RLIMIT_CORE)), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
asyncio.run(main())
"""
HELD = """
import os, resource, threading
from aks_entra.host import core_dumps
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)  # root sees everything
core_dumps.forbid()
descriptor = os.memfd_create("", os.MFD_CLOEXEC)
os.write(descriptor, b"certificate")
reading = threading.Thread(target=lambda: print(open(f"/proc/self/fd/{descriptor}").read()))
reading.start()
reading.join()
"""


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_core_dumps_are_off_here_and_in_what_is_started() -> None:
    told = json.loads(run(BEFORE_AND_AFTER))
    assert told["before"][1] == 1
    assert told["after"] == [[0, 0], 0]
    assert told["inherited"] == [0, 0]


def test_a_session_with_credentials_has_them_off() -> None:
    assert run(SESSION).strip() == "[0, 0] 0"


def test_a_certificate_in_memory_can_still_be_presented() -> None:
    assert run(HELD).strip() == "certificate"
