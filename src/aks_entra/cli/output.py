"""How every command speaks: results on stdout, everything else on stderr, one clear message when something is wrong.

Knows the errors of the library and their exit codes, and nothing of Azure or Prefect.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from aks_entra.errors import AksEntraError, Refused

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_T = TypeVar("_T")

WIDE = 220  # columns when stdout is no terminal: a table that is piped is searched, not looked at


class ExitCode(IntEnum):
    """What a command's end means to the shell. `plan --detailed-exitcode` has Terraform's meanings instead."""

    OK = 0
    FAILED = 1  # something failed, or is not verified
    REFUSED = 2  # wrong usage, bad input, or refused before anything was written
    INTERRUPTED = 130  # Ctrl-C
    TERMINATED = 143  # SIGTERM, SIGHUP


class Format(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"


Subscription = Annotated[
    str | None,
    typer.Option("--subscription", metavar="NAME|ID", help="Name or id of the subscription.", show_default=False),
]
ResourceGroup = Annotated[
    str | None,
    typer.Option("--resource-group", "-g", metavar="NAME", help="Only this resource group.", show_default=False),
]
Name = Annotated[
    str | None, typer.Option("--name", "-n", metavar="NAME", help="Only this cluster.", show_default=False)
]
Output = Annotated[Format, typer.Option("--output", "-o", help="A table for people, JSON for programs.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run one command's work to its end. Ctrl-C and every error leave as one message and an exit code."""
    with guarded():
        return asyncio.run(_until_told_to_end(coroutine))


async def _until_told_to_end(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """SIGTERM and SIGHUP end a command as Ctrl-C does: what it started is stopped, what it holds is given back."""
    task = asyncio.current_task()
    if task is not None and sys.platform != "win32":
        for sign in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    return await coroutine


@contextmanager
def guarded() -> Iterator[None]:
    """Turn whatever is raised inside into one message on stderr and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        say("interrupted")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except asyncio.CancelledError:
        say("terminated")
        raise typer.Exit(ExitCode.TERMINATED) from None
    except AksEntraError as error:
        fail(error)
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
        raise
    except BaseExceptionGroup as group:
        located = _first(group)
        if located is None:
            _unforeseen(group)
        fail(located)
    except Exception as error:  # noqa: BLE001 - the command line's last line of defence: nothing leaves as a bare stack
        _unforeseen(error)


def fail(error: AksEntraError) -> NoReturn:
    """Print the error with its remedy and leave: 2 when nothing was touched and a person decides, else 1."""
    say(f"Error: {error}", style="error")
    raise typer.Exit(exit_code_of(error)) from None


def exit_code_of(error: AksEntraError) -> ExitCode:
    """The exit code of an error that ended a whole command."""
    return ExitCode.REFUSED if isinstance(error, Refused) else ExitCode.FAILED


def usage(message: str, *, remedy: str = "") -> NoReturn:
    """Refuse what was typed."""
    fail(Refused(message, remedy=remedy))


def emit(*renderables: RenderableType) -> None:
    """Print a result for people on stdout. Colour only on a terminal, never with NO_COLOR."""
    console = stdout()
    with console.capture() as captured:
        for renderable in renderables:
            console.print(renderable)
    text = captured.get()
    sys.stdout.write(text if console.is_terminal else "".join(f"{line.rstrip()}\n" for line in text.splitlines()))


def emit_json(document: object) -> None:
    """Print a result for programs on stdout."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def emit_text(text: str) -> None:
    """Print text on stdout as it is."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def say(text: str, *, style: str = "") -> None:
    """Print a plain line on stderr: progress, a warning, an error. Never a part of the result."""
    from rich.text import Text  # noqa: PLC0415 - `--help` and `version` start without rich

    styles = {"error": "bold red", "warning": "yellow", "good": "green", "dim": "dim"}
    stderr().print(Text(text, style=styles.get(style, "")), soft_wrap=True)


@contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """Show on stderr that work is under way; the returned function changes the text.

    On a terminal one line that moves; elsewhere the first text as a plain line, and nothing after it.
    """
    console = stderr()
    if not console.is_terminal:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
        yield lambda _text: None
        return
    from rich.markup import escape  # noqa: PLC0415 - only where a terminal shows it

    with console.status(escape(text), spinner="dots") as status:
        yield lambda changed: status.update(escape(changed))


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal, unless `--yes` was given; without a terminal nothing is asked and nothing is done."""
    if yes:
        return
    if not interactive():
        usage("this needs a confirmation, and there is no terminal to ask on", remedy="add --yes")
    if not typer.confirm(question, err=True):
        usage("not confirmed: nothing was done")


def interactive() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def stdout() -> Console:
    """The console for results."""
    return _console(stderr=False)


def stderr() -> Console:
    """The console for progress and errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console  # noqa: PLC0415 - `--help` and `version` start without rich

    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    return console


def _first(group: BaseExceptionGroup[BaseException]) -> AksEntraError | None:
    """The first error of ours in a group of simultaneous ones."""
    for error in group.exceptions:
        found = _first(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, AksEntraError):
            return found
    return None


def _unforeseen(error: BaseException) -> NoReturn:
    """An error that no part of the program foresaw: its class and text, and the stack for whoever asks."""
    if os.environ.get("AKS_ENTRA_TRACEBACK"):
        traceback.print_exception(error)
    text = str(error) or "no further text"
    say(
        f"Error: unforeseen {type(error).__name__}: {text}\n"
        "  → this is a fault of aks-entra; AKS_ENTRA_TRACEBACK=1 shows where, for the report",
        style="error",
    )
    raise typer.Exit(ExitCode.FAILED) from None
