"""A command that asks ends at one Ctrl-C, in a terminal of its own, and says what was done."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sys
from pathlib import Path

import pytest

from aks_entra import cli
from tests.support.patience import SOON

ASKS = """\
import asyncio, signal, sys, typer
signal.signal(signal.SIGINT, signal.default_int_handler)
from aks_entra.cli import output
async def work():
    await asyncio.to_thread(str)
    await output.confirm("Grant it?", yes=False)
    output.say("granted")
try:
    output.run(work())
except typer.Exit as leaving:
    sys.exit(leaving.exit_code)
"""


def answered(script: str, how: bytes | signal.Signals) -> tuple[int, str]:
    """Run a script in a terminal, answer its question once, and return its exit code and what the terminal showed."""
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - it becomes another program
        os.execv(sys.executable, [sys.executable, "-c", script])  # noqa: S606 - it is this Python
    shown = b""
    try:
        while select.select([terminal], [], [], SOON)[0]:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # the program ended, and nobody has the terminal open any more
                break
            shown += piece
            if b"[y/N]: " in shown and b"[y/N]: " not in shown[: -len(piece)]:
                if isinstance(how, bytes):
                    os.write(terminal, how)
                else:
                    os.kill(child, how)
        else:
            os.kill(child, signal.SIGKILL)
    finally:
        _, status = os.waitpid(child, 0)
        os.close(terminal)
    return os.waitstatus_to_exitcode(status), re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())


@pytest.mark.parametrize(
    ("how", "status", "said"),
    [
        (b"\x03", 130, "nothing was done\ninterrupted\n"),
        (signal.SIGTERM, 143, "nothing was done\nterminated\n"),
        (b"\x04", 2, "Error: not answered: nothing was done\n"),
        (b"n\n", 2, "Error: not confirmed: nothing was done\n"),
        (b"y\n", 0, "granted\n"),
    ],
)
def test_one_answer_or_one_interruption_ends_a_question(how: bytes | signal.Signals, status: int, said: str) -> None:
    code, shown = answered(ASKS, how)
    assert (code, shown.replace("\r\n", "\n").endswith(said)) == (status, True), shown


def test_every_command_asks_in_this_way() -> None:
    """`typer.confirm` and `input` block the event loop, so that the first Ctrl-C changes nothing."""
    folder = Path(cli.__file__).parent
    asking = re.compile(r"\b(typer|click)\.(confirm|prompt)\(|\binput\(")
    found = {
        str(path.relative_to(folder)): len(asking.findall(path.read_text(encoding="utf-8")))
        for path in folder.rglob("*.py")
    }
    # On Windows a terminal cannot be waited for. The address at which a browser ended is read in a thread of its own.
    assert {name: number for name, number in found.items() if number} == {"output.py": 1, "signing.py": 1}
