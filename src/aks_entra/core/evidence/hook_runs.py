"""What came of the hooks that run after a rotation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class HookStatus(StrEnum):
    """What a hook after a rotation came to."""

    DONE = "done"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class HookRan:
    """A hook of the fleet file after the rotation that left the CA `ca`. It proves nothing about the cluster.

    `place` is the hook's place in `after`, from 0, and `hook` its name for people. `remedy` says what to do if it is
    not done.
    """

    at: str
    place: int
    hook: str
    status: HookStatus
    ca: str
    detail: str = ""
    remedy: str = ""
    kind: Literal["hook-ran"] = "hook-ran"
