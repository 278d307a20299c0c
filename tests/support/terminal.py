"""A person's terminal: the commands that it runs are clients of the sandbox."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

PASSED_ON = ("PYTHONPATH", "AKS_ENTRA_REQUEST_RATE", "AKS_ENTRA_ACTIVITY_LOG_DELAY")
HANGS_AFTER = 300  # seconds; a command takes less than a tenth of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a command line. The line names secrets only by their variables."""

    line: str
    status: int
    out: str
    err: str


class Terminal:
    """A shell inside the sandbox with its own home folder."""

    def __init__(self, environment: Mapping[str, str], home: Path) -> None:
        home.mkdir()
        self.home = home
        self.environment = {
            "PATH": os.environ["PATH"],
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            "LC_ALL": "C.UTF-8",
            **environment,
            "HOME": str(home),
            "AZURE_CONFIG_DIR": str(home / ".azure"),
            "KUBECONFIG": str(home / ".kube" / "config"),
        }

    @classmethod
    def with_changes(cls, other: Terminal, changes: Mapping[str, str]) -> Terminal:
        """Return another shell with the same home folder and some changes of the environment."""
        found = cls.__new__(cls)
        found.home = other.home
        found.environment = {**other.environment, **changes}
        return found

    async def type(self, line: str) -> Outcome:
        process = await asyncio.create_subprocess_shell(
            line,
            cwd=self.home,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(HANGS_AFTER):
                out, err = await process.communicate()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
        return Outcome(line=line, status=process.returncode or 0, out=out.decode().strip(), err=err.decode().strip())

    @asynccontextmanager
    async def waiting(self, line: str, prompt: str) -> AsyncIterator[tuple[re.Match[str], asyncio.subprocess.Process]]:
        """Run a command line that prints a prompt on stderr. Yield the match and the process, which continues."""
        process = await asyncio.create_subprocess_shell(
            line,
            cwd=self.home,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stderr is not None
        try:
            async with asyncio.timeout(HANGS_AFTER):
                said = ""
                while (asked := re.search(prompt, said)) is None:
                    piece = await process.stderr.readline()
                    assert piece, f"{line} ended without asking: {said}"
                    said += piece.decode()
                yield asked, process
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    async def run(self, line: str) -> str:
        """Run a command line that must succeed, and return its output."""
        outcome = await self.type(line)
        assert outcome.status == 0, outcome
        return outcome.out

    async def refused(self, line: str) -> str:
        """Run a command line that must fail, and return its error output."""
        outcome = await self.type(line)
        assert outcome.status != 0, outcome
        return outcome.err

    async def read(self, line: str) -> Any:
        """Run a command line that must print JSON, and return the parsed JSON."""
        return json.loads(await self.run(f"{line} -o json"))

    async def let(self, name: str, line: str) -> str:
        """Run a command line and keep its output as a variable for later lines, as `NAME=$(line)` does."""
        self.environment[name] = await self.run(line)
        return self.environment[name]
