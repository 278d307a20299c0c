"""Core dumps: a crashed process must not leave its memory, and the credentials in it, on a disk."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

if sys.platform != "win32":
    import resource

_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h


def forbid() -> None:
    """Switch core dumps off for this process, and by the limit for all that it starts.

    On Linux the process is also marked as not dumpable: a handler that the kernel pipes dumps to (systemd-coredump,
    apport) gets none, and no other process of the same user can read its memory. The mark does not pass to children.
    """
    if sys.platform == "win32":
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
