"""How every command prints: one message on stderr, an exit code, no question without a terminal."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from aks_entra.cli import app, main, output
from aks_entra.errors import AksEntraError, Diverged, Refused, Rejected, TryLater
from aks_entra.report.terminal import safe_line, table

ERRORS: dict[str, tuple[Callable[[], BaseException], int, str]] = {
    "refused": (lambda: Refused("no such thing", remedy="name another"), 2, "Error: no such thing\n  → name another\n"),
    "try later": (lambda: TryLater("throttled", after=3), 1, "Error: throttled\n"),
    "rejected": (
        lambda: Rejected("no quota", cluster="shop-weu/shop-01", step="rotate", code="Quota", correlation_id="1"),
        1,
        "Error: shop-weu/shop-01 · rotate: no quota (Quota, correlation id 1)\n",
    ),
    "diverged": (lambda: Diverged("otherwise"), 1, "Error: otherwise\n"),
    "several at once": (
        lambda: ExceptionGroup("at once", [ValueError("b"), ExceptionGroup("c", [Refused("no such thing")])]),
        2,
        "Error: no such thing\n",
    ),
    "unexpected": (lambda: KeyError("x"), 1, "Error: unexpected error: KeyError: 'x'\n"),
    "unexpected, without text": (RuntimeError, 1, "Error: unexpected error: RuntimeError: no further text\n"),
    "unexpected group": (lambda: ExceptionGroup("at once", [ValueError("b")]), 1, "Error: unexpected error: Exception"),
    "interrupted": (KeyboardInterrupt, 130, "interrupted\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_one_message_and_an_exit_code(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    raised, code, message = ERRORS[name]

    async def work() -> None:
        raise raised()

    with pytest.raises(typer.Exit) as leaving:
        output.run(work())

    assert leaving.value.exit_code == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(message)
    assert "Traceback" not in printed.err


def test_a_traceback_is_printed_if_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AKS_ENTRA_TRACEBACK", "1")

    with pytest.raises(typer.Exit), output.guarded():
        raise KeyError("x")

    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("passing", [typer.Exit(3), typer.BadParameter("no"), BrokenPipeError()])
def test_errors_that_typer_handles_are_raised_again(passing: Exception) -> None:
    with pytest.raises(type(passing)), output.guarded():
        raise passing


def test_run_returns_what_the_work_returns() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert output.run(work()) == 7


def test_results_go_to_stdout_and_the_rest_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit("a [b]table[/b]   ")
    output.emit_json({"é": 1})
    output.emit_text("text")
    output.emit_text("line\n")
    output.say("[red]said[/red]", style="warning")
    with output.progress("working [1]") as tell:
        tell("going on")

    printed = capsys.readouterr()
    assert printed.out == 'a [b]table[/b]\n{\n  "é": 1\n}\ntext\nline\n'
    assert printed.err == "[red]said[/red]\nworking [1]\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_no_line_ends_with_spaces(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    cells = table(("NAME", "WHY"), [("a", "short"), ("b", "a longer cell")])
    output.emit(cells, safe_line("in red   ", "bold red"))
    output.show(cells)

    printed = capsys.readouterr()
    assert ("\x1b[1;31min red" in printed.out) is terminal
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in (printed.out + printed.err).splitlines()]
    assert lines == [*(shown := ["NAME  WHY", "a     short", "b     a longer cell"]), "in red", *shown]


def test_colour_is_printed_only_if_it_is_forced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output.say("plain", style="error")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    output.say("loud", style="error")
    with output.progress("working") as tell:
        tell("going on")
    monkeypatch.setenv("NO_COLOR", "1")
    output.say("quiet", style="error")

    plain, loud, *_, quiet = capsys.readouterr().err.splitlines()
    assert plain == "plain"
    assert "\x1b[1;31mloud" in loud
    assert "31m" not in quiet


def test_lines_are_as_wide_as_they_need_to_be_in_a_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert output.stdout().width == output.WIDE
    monkeypatch.setenv("COLUMNS", "40")
    assert output.stdout().width == 40
    output.say("x" * 300)

    assert capsys.readouterr().err == "x" * 300 + "\n"


async def test_nothing_is_asked_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    await output.confirm("sure?", yes=True)
    with pytest.raises(typer.Exit) as leaving:
        await output.confirm("sure?", yes=False)

    assert leaving.value.exit_code == 2
    assert capsys.readouterr().err == (
        "Error: this needs a confirmation, but there is no terminal to ask on\n  → add --yes\n"
    )


def test_help_names_every_command_and_exit_code() -> None:
    result = CliRunner().invoke(app, ["--help"])

    assert result.exit_code == 0
    for word in ("inventory", "plan", "migrate", "approve", "verify", "report", "provision", "up", "version"):
        assert f"\n  {word} " in result.stdout
    for line in (
        "  0    done, or verified\n",
        "  1    something failed, or a cluster is not verified\n",
        "  2    wrong usage, bad input, or refused before anything was written\n",
        "  130  interrupted with Ctrl-C (143 with SIGTERM)\n",
        "`plan --detailed-exitcode`: 0 nothing to do, 1 error, 2 there are changes\n",
    ):
        assert line in result.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["inventory"],
        ["plan"],
        ["verify"],
        ["report"],
        ["version"],
        ["migrate"],
        ["provision"],
        ["up"],
        ["gates"],
        ["skip"],
        ["stop"],
    ],
)
def test_every_command_explains_itself(words: list[str]) -> None:
    result = CliRunner().invoke(app, [*words, "-h"])

    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: aks-entra {words[0]} ") or result.stdout.startswith("Usage: ")
    assert "None" not in result.stdout


def test_version() -> None:
    assert CliRunner().invoke(app, ["version"]).stdout.startswith("aks-entra 0.")
    assert '"aks-entra": "0.' in CliRunner().invoke(app, ["version", "-o", "json"]).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["inventry"], "No such command 'inventry'. Did you mean 'inventory'?"),
        (["plan"], "Missing argument 'FLEET.yaml'"),
        (["plan", "a", "-o", "yaml"], "Invalid value for '--output'"),
        (["inventory", "--prob"], "No such option: --prob (Possible options: --by, --probe)"),
        (["verify"], "Missing argument 'FLEET.yaml|PLAN.json'"),
        (["report"], "Missing argument 'DIGEST|FILE'"),
        (["skip", "4f1c"], "Missing argument 'CLUSTER'"),
        (["skip", "4f1c", "shop-01"], "Missing option '--reason'"),
        (["migrate", "plan.json", "--skip", "shop-01"], "--skip and --retry need a run to resume"),
        (["migrate", "--resume", "4f1c", "--skip", "shop-01"], "skipping a cluster needs a reason"),
    ],
)
def test_wrong_usage_is_exit_code_2(words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, words)

    assert result.exit_code == 2
    assert message.casefold() in result.stderr.casefold()
    assert result.stdout == ""


def test_main_leaves_with_the_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for words, code in ((["version"], 0), (["inventory", "nowhere.yaml"], 2), (["plan", "--detailed-exitcode"], 1)):
        monkeypatch.setattr(sys, "argv", ["aks-entra", *words])
        with pytest.raises(SystemExit) as leaving:
            main()
        assert leaving.value.code == code
    assert "nowhere.yaml: no such file" in capsys.readouterr().err


def test_starting_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['aks-entra', '--help']\n"
        "from aks_entra.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'azure', 'prefect', 'msgraph_core', 'kubernetes', 'pydantic', 'rich', 'ruamel', 'jinja2'}\n"
        "heavy |= {'aiohttp', 'httpx'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.endswith("HEAVY []\n")


def test_errors_of_the_library_have_exit_codes() -> None:
    kinds: list[AksEntraError] = [Refused("a"), TryLater("b"), Rejected("c"), Diverged("d")]

    assert [output.exit_code_of(error) for error in kinds] == [2, 1, 1, 1]


FULL = ("-c", "from aks_entra.cli import output\nwith output.guarded(): output.emit_json({'a': 1})")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this machine has no /dev/full")
def test_a_result_that_cannot_be_printed_is_an_error() -> None:
    """A short result stays in the buffer until the end of the process, where nobody would say that it is lost."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ended = subprocess.run([sys.executable, *FULL], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode != 0
    assert ended.stderr.startswith("Error: the result cannot be printed: No space left on device\n  → ")
    assert "bug" not in ended.stderr


def test_a_closed_standard_output_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(Rejected, match="standard output is closed"):
        output.emit_lines("a")


def test_a_closed_standard_error_loses_messages_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    output.say("a note")
    output.emit_lines("the result")
    assert capsys.readouterr().out == "the result\n"
