"""A person at a terminal, who enters the device codes that commands show on the sign-in page."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from dataclasses import dataclass, field

from azure_sandbox.cli.device_sign_in import NotSignedIn, sign_in
from tests.support.terminal import HANGS_AFTER, Outcome, Terminal

CODE = re.compile(r"enter the code (\S+)")


@dataclass(slots=True)
class Person:
    """A person with a terminal. `codes` are the codes they were asked to enter, and `told` are the page's refusals."""

    name: str
    terminal: Terminal
    port: int
    codes: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    async def type(self, line: str, *, signs_in: bool = True) -> Outcome:
        """Run a command line, and enter every code that it shows. With `signs_in=False`, a code is an error."""
        process = await asyncio.create_subprocess_shell(
            line,
            cwd=self.terminal.home,
            env=self.terminal.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async with asyncio.timeout(HANGS_AFTER):
                out, err = await asyncio.gather(process.stdout.read(), self._read(process.stderr, signs_in=signs_in))
                await process.wait()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return Outcome(line=line, status=process.returncode or 0, out=out.decode().strip(), err=err.strip())

    async def run(self, line: str, *, signs_in: bool = True) -> str:
        outcome = await self.type(line, signs_in=signs_in)
        assert outcome.status == 0, outcome
        return outcome.out

    async def refused(self, line: str) -> str:
        outcome = await self.type(line)
        assert outcome.status != 0, outcome
        return outcome.err

    async def _read(self, stream: asyncio.StreamReader, *, signs_in: bool) -> str:
        said = ""
        while chunk := await stream.read(4096):
            said += chunk.decode()
            for code in CODE.findall(said):
                if code not in self.codes:
                    assert signs_in, f"a sign-in was asked for: {said}"
                    self.codes.append(code)
                    try:
                        await asyncio.to_thread(sign_in, code, self.name, self.port)
                    except NotSignedIn as refusal:  # the page says so; the command at the terminal gets its own error
                        self.refusals.append(str(refusal))
        return said
