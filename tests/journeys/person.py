"""A person at a terminal: a line that shows a device code is typed, and the code is entered elsewhere as somebody."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from dataclasses import dataclass, field

from azure_sandbox.sign_in import NotSignedIn, sign_in
from tests.journeys.terminal import HANGS_AFTER, Outcome, Terminal

CODE = re.compile(r"enter the code (\S+)")


@dataclass(slots=True)
class Person:
    """Somebody with a terminal of their own. `codes`: the sign-ins asked of them; `told`: the page's refusals."""

    name: str
    terminal: Terminal
    port: int
    codes: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    async def type(self, line: str, *, signs_in: bool = True) -> Outcome:
        """Type a line; whenever it shows a code, enter it (or, without `signs_in`, fail)."""
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
                    except NotSignedIn as refusal:  # the page says so; the terminal hears of it in its own words
                        self.told.append(str(refusal))
        return said
