"""One word for one thing: rules that every option of every command keeps."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from aks_entra.cli import app
from aks_entra.cli.lazy_group import LazyGroup, with_present_spellings

AZ = {"--resource-group": "-g", "--name": "-n", "--output": "-o", "--yes": "-y", "--file": "-f"}
"""Spellings and short forms that `az aks` has, too."""
METAVARS = {
    "--approver": {"NAME", "USER|GROUP"},  # who decides, and in PIM who approves activations
    "--client-id": {"ID"},
    "--duration": {"TIME"},
    "--out": {"FILE", "PLAN.json"},
    "--reason": {"TEXT"},
    "--subscription": {"NAME|ID"},
    "--ticket": {"ID"},
    "--to": {"USER", "USER|GROUP"},  # only a user can be a member for a time
    "--user": {"USER"},
}
EARLIER = {"--for", "--for-whom", "--here", "--mode", "--of"}


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name in group.commands:
        command = group.load(name) if isinstance(group, LazyGroup) else group.commands[name]
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(get_command(app)))
PARAMETERS = [(name, one) for name, command in COMMANDS.items() for one in command.params]
OPTIONS = [(name, one) for name, one in PARAMETERS if one.param_type_name == "option" and one.name != "help"]


def test_every_command_of_the_list_exists() -> None:
    assert len(COMMANDS) == 46
    assert all(command.help for command in COMMANDS.values())


@pytest.mark.parametrize(("command", "option"), OPTIONS, ids=lambda one: one if isinstance(one, str) else one.opts[0])
def test_an_option_has_one_spelling_and_a_sentence_as_help(command: str, option: Any) -> None:
    name = option.opts[0]
    assert option.help, f"{command} {name} has no help"
    assert option.help[0].isupper(), option.help
    assert option.help.endswith("."), option.help
    assert not EARLIER.intersection(option.opts), f"{command} {name} shows an earlier spelling"
    if name in AZ:
        assert option.opts == [name, AZ[name]], f"az writes {name} as {AZ[name]}, too"
    if name in METAVARS:
        assert option.metavar in METAVARS[name], f"{command} {name} {option.metavar}"
    if option.multiple:
        assert "Can be repeated." in option.help, f"{command} {name} can be repeated"


@pytest.mark.parametrize(("command", "argument"), [one for one in PARAMETERS if one[1].param_type_name == "argument"])
def test_an_argument_has_a_sentence_as_help(command: str, argument: Any) -> None:
    assert argument.help, f"{command} {argument.name} has no help"
    assert argument.help[0].isupper() or argument.help[0] == "`", argument.help
    assert argument.help.endswith("."), argument.help


def test_local_means_the_same_everywhere() -> None:
    assert len({option.help for _, option in OPTIONS if option.name == "local"}) == 1


def test_an_earlier_spelling_works_and_one_note_names_the_present_one(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["pay-weu/pay-01", "--for", "45m", "--for=1h", "--reason=--for", "--", "--for"]
    assert with_present_spellings(words, {"--for": "--duration"}) == [
        *("pay-weu/pay-01", "--duration", "45m", "--duration=1h", "--reason=--for", "--", "--for")
    ]
    assert capsys.readouterr().err == "note: --for is now called --duration\n"


@pytest.mark.parametrize(
    ("words", "renamed"),
    [
        ("access grant x/y --for-whom anna@contoso.com --role view --reason r --for soon", "--for-whom --for"),
        ("access assign crew --to anna@contoso.com --reason r --start now --for 1h", "--for"),
        ("access prove-end crew --of anna@contoso.com --output paper", "--of"),
        ("access conditional-access show crew --of anna@contoso.com --output paper", "--of"),
        ("break-glass x/y --for soon --reason r", "--for"),
        ("break-glass x/y --out k --duration soon --reason r", "--out"),
        ("kubeconfig -g x -n y --mode smile", "--mode"),
        ("rollback plan.json --here --no-wait", "--here"),
    ],
)
def test_each_earlier_spelling_is_still_understood(words: str, renamed: str) -> None:
    ended = CliRunner().invoke(app, words.split())
    assert ended.exit_code == 2
    assert "No such option" not in ended.stderr
    for earlier in renamed.split():
        assert f"note: {earlier} is now called --" in ended.stderr


def test_help_loads_no_client_library() -> None:
    program = (
        "import sys\n"
        "from aks_entra.cli import main\n"
        "sys.argv = ['aks-entra', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit as ended:\n    assert not ended.code\n"
        "heavy = {'prefect', 'azure', 'msgraph', 'kubernetes', 'pydantic', 'aiohttp'}\n"
        "print('loaded:', sorted(heavy.intersection(sys.modules)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "inventory" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "loaded: []"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("aks-entra inv", "inventory"), ("aks-entra access gr", "grant"), ("aks-entra plan --det", "--detailed-exitcode")],
)
def test_the_shell_completes_commands_and_options(typed: str, offered: str) -> None:
    environment = {
        "_AKS_ENTRA_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    ended = CliRunner().invoke(app, [], prog_name="aks-entra", env=environment)
    assert ended.stdout.split() == [offered]
