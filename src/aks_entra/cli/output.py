"""How commands print: results on stdout, everything else on stderr, and one clear message when something is wrong.

It knows the errors of the library and their exit codes. It knows nothing about Azure or Prefect.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from aks_entra.cli.deferred import rich_console, rich_text
from aks_entra.errors import AksEntraError, Refused, Rejected, unexpected
from aks_entra.text.safe import LINE_END, for_json, for_terminal, lines_for_terminal
from aks_entra.typed_text import one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_T = TypeVar("_T")

WIDE = 220  # columns if stdout is not a terminal: programs search a table in a pipe, and nobody looks at it


NOTHING_DONE = "nothing was done"
"""What a command says that ends at a question before its first write."""

_END = re.compile(r"(?: |\x1b\[[0-9;]*m)+$")
"""Spaces and codes for colours at the end of a line."""


class ExitCode(IntEnum):
    """What an exit code means. `plan --detailed-exitcode` uses Terraform's meanings instead."""

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
    typer.Option(
        "--subscription",
        metavar="NAME|ID",
        help="Name or id of the subscription. Default: $AZURE_SUBSCRIPTION_ID.",
        show_default=False,
    ),
]
ResourceGroup = Annotated[
    str | None,
    typer.Option("--resource-group", "-g", metavar="NAME", help="Select only this resource group.", show_default=False),
]
Name = Annotated[
    str | None, typer.Option("--name", "-n", metavar="NAME", help="Select only this cluster.", show_default=False)
]
Output = Annotated[Format, typer.Option("--output", "-o", help="Print a table for people, or JSON for programs.")]


Local = Annotated[
    bool, typer.Option("--local", help="Run on this machine, without your Prefect server, until the command ends.")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return at once, and let the work continue.")]


def typed(param: typer.CallbackParam, value: str | None) -> str | None:
    """Check the text of an option that other people will read, as `one_line` does. An error names the option."""
    with guarded():
        return value if value is None else one_line(param.opts[0], value)


Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


def run(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run one command's work. Ctrl-C and every error end it with one message and an exit code."""
    with guarded():
        return asyncio.run(_until_a_signal(coroutine))


async def _until_a_signal(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Treat SIGTERM and SIGHUP like Ctrl-C: stop what the command started, and release what it holds."""
    task = asyncio.current_task()
    if task is not None and sys.platform != "win32":
        for sign in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    return await coroutine


@contextmanager
def guarded() -> Iterator[None]:
    """Turn an exception into one message on stderr and an exit code."""
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
            _unexpected(group)
        fail(located)
    except Exception as error:  # noqa: BLE001 - no command ends with a bare traceback
        _unexpected(error)


def fail(error: AksEntraError) -> NoReturn:
    """Print the error with its remedy, and exit with 2 if it is a refusal, else with 1."""
    say(*f"Error: {error}".split("\n"), style="error")
    raise typer.Exit(exit_code_of(error)) from None


def exit_code_of(error: AksEntraError) -> ExitCode:
    """Return the exit code for an error that ended a command."""
    return ExitCode.REFUSED if isinstance(error, Refused) else ExitCode.FAILED


def usage(message: str, *, remedy: str = "") -> NoReturn:
    """Exit because the command line is wrong."""
    fail(Refused(message, remedy=remedy))


def emit(*renderables: RenderableType) -> None:
    """Print a result for people on stdout. Colour only on a terminal, never with NO_COLOR."""
    _write(_rendered(stdout(), *renderables))


def show(*renderables: RenderableType) -> None:
    """Print something for people on stderr that is not the result, such as a plan before it is approved."""
    sys.stderr.write(_rendered(stderr(), *renderables))


def emit_json(document: object) -> None:
    """Print a result for programs on stdout."""
    emit_document(json.dumps(document, indent=2, ensure_ascii=False))


def emit_document(text: str) -> None:
    """Print a JSON document on stdout. Control characters are printed as JSON escapes."""
    emit_text(for_json(text))


def emit_text(text: str) -> None:
    """Print the text of a whole file on stdout, with its own line ends."""
    safe = "\r\n".join(lines_for_terminal(part) for part in text.split("\r\n"))
    _write(safe if safe.endswith("\n") else f"{safe}\n")


def emit_lines(*lines: str) -> None:
    """Print lines on stdout. Text from outside cannot start a new line."""
    _write("".join(f"{for_terminal(line)}\n" for line in lines))


def _write(text: str) -> None:
    """Write a result, or raise Rejected: a result that is lost is not a success."""
    if sys.stdout is None:  # closed before the start: `>&-`
        raise Rejected("the result cannot be printed: standard output is closed", remedy="redirect it to a file")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Rejected(
            f"the result cannot be printed: {error.strerror}", remedy="redirect standard output to another place"
        ) from None


def say(*lines: str, style: str = "") -> None:
    """Print plain lines on stderr: progress, a warning or an error, never a part of the result.

    Text from outside cannot start a new line.
    """
    styles = {"error": "bold red", "warning": "yellow", "good": "green", "dim": "dim"}
    _tell(stderr(), rich_text.Text("\n".join(_line(line) for line in lines), style=styles.get(style, "")))


def _tell(console: Console, text: RenderableType) -> None:
    """Print on stderr, above what a screen or a spinner draws there. They put themselves in place of `sys.stderr`.

    A console that writes past them would have its lines erased by the next redraw.
    """
    with console.capture() as captured:
        console.print(text, soft_wrap=True)
    if sys.stderr is not None:  # closed before the start: `2>&-`
        sys.stderr.write(captured.get())
        sys.stderr.flush()


def say_json(document: object) -> None:
    """Print progress for programs on stderr, as one line of JSON."""
    sys.stderr.write(f"{for_json(json.dumps(document, ensure_ascii=False))}\n")
    sys.stderr.flush()


@contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """Show on stderr that work is under way; the returned function changes the text.

    A terminal shows one line that changes. Elsewhere only the first text is printed, as a plain line.
    """
    console = stderr()
    if not redraws(console):
        _tell(console, for_terminal(text))
        yield lambda _text: None
        return
    with console.status(for_terminal(text), spinner="dots") as status:
        yield lambda changed: status.update(for_terminal(changed))


async def confirm(question: str, *, yes: bool) -> None:
    """Ask before the first write, unless `--yes` was given. Without a terminal, exit and do nothing."""
    if yes:
        return
    if not interactive():
        usage("this needs a confirmation, but there is no terminal to ask on", remedy="add --yes")
    if not await asked(question, unanswered=NOTHING_DONE):
        usage(f"not confirmed: {NOTHING_DONE}")


async def asked(question: str, *, unanswered: str) -> bool:
    """Ask on a terminal, and return whether the answer is yes. Waiting for it blocks nothing, so Ctrl-C ends it.

    `unanswered` is said if the command ends during the question: what was done until then, and what was not.
    """
    if sys.platform == "win32":
        return typer.confirm(for_terminal(question), err=True)
    try:
        line = await _typed_line(f"{for_terminal(question)} [y/N]: ")
    except asyncio.CancelledError:
        say("", unanswered)
        raise
    if not line:
        say("")
        usage(f"not answered: {unanswered}")
    return line.strip().lower() in {"y", "yes"}


async def _typed_line(prompt: str) -> str:
    """Return the next line from the terminal. Empty: it was closed, or Ctrl-D was pressed."""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    loop, typed_line = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin, typed_line.set)
    try:
        await typed_line.wait()
    finally:
        loop.remove_reader(sys.stdin)
    return sys.stdin.readline()


def redraws(console: Console) -> bool:
    """Whether a console is a terminal that can change what it shows. One with TERM=dumb cannot."""
    return console.is_terminal and not console.is_dumb_terminal


def interactive() -> bool:
    """Whether there is a terminal, so that a person can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def stdout() -> Console:
    """The console for results."""
    return _console(stderr=False)


def stderr() -> Console:
    """The console for progress and errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = rich_console.Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    return console


def _rendered(console: Console, *renderables: RenderableType) -> str:
    """Return what a console would print. Rich fills each cell up to its column's width: no line ends with spaces."""
    with console.capture() as captured:
        for renderable in renderables:
            console.print(for_terminal(renderable) if isinstance(renderable, str) else renderable)
    return "".join(f"{_END.sub(_styles, line)}\n" for line in captured.get().splitlines())


def _styles(end: re.Match[str]) -> str:
    """Return the codes for colours at the end of a line, without its spaces."""
    return end[0].replace(" ", "")


def _line(text: str) -> str:
    """Return one safe line. The text of an error was made safe before, so a backslash is not escaped again."""
    return lines_for_terminal(text).replace("\n", LINE_END)


def _first(group: BaseExceptionGroup[BaseException]) -> AksEntraError | None:
    """Return the first of our own errors in a group. None means that the group has none."""
    for error in group.exceptions:
        found = _first(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, AksEntraError):
            return found
    return None


def _unexpected(error: BaseException) -> NoReturn:
    """Print the class and text of an unexpected error, and its traceback if AKS_ENTRA_TRACEBACK is set."""
    if os.environ.get("AKS_ENTRA_TRACEBACK"):
        traceback.print_exception(error)
    say(
        f"Error: {unexpected(error)}",
        "  → this is a bug in aks-entra: set AKS_ENTRA_TRACEBACK=1, run it again, and report what it prints",
        style="error",
    )
    raise typer.Exit(ExitCode.FAILED) from None
