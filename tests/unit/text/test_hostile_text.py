"""What strangers wrote, in every field of every document, on every kind of page: what comes out is parsed.

Each page is made twice, with a hostile and with a harmless text in the same fields. A hostile text may change what is
read, never what the page consists of: headings, links, rows, list items, elements, cells, lines.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cache
from html.parser import HTMLParser
from typing import Any, Final, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, RenderableType

from aks_entra.access.conditional_access import Applied
from aks_entra.access.grants import Ended, Given
from aks_entra.cli.access.explain import document as explained
from aks_entra.core.access.explanation import Explanation
from aks_entra.core.access.grants import Ask
from aks_entra.core.access.review import Way
from aks_entra.core.evidence.observations import Evidence
from aks_entra.core.planning.approval import Approval
from aks_entra.core.preflight import Finding, Skip
from aks_entra.prefect_client import access_pages, pages
from aks_entra.report import (
    csv_rows,
    html,
    inventory_text,
    inventory_view,
    junit,
    plan_text,
    sarif,
    timeline_page,
    verdict_text,
)
from aks_entra.report.plan_view import view_of
from aks_entra.report.terminal import table
from aks_entra.text.safe import for_json, visible
from tests.support.examples import times
from tests.support.hostile_text import ATTACKS, Planter, attacks, plan, report, rows

HARMLESS: Final = "aks-admins"
PLACES: Final = ("before", "after", "inside", "alone")

MARKDOWN: Final[dict[str, Callable[[Planter], str]]] = {
    "plan": lambda one: pages.plan_page(plan(one)),
    "stage": lambda one: pages.stage_page(plan(one), plan(one).stages[0]),
    "gate before": lambda one: pages.gate_page(plan(one), plan(one).stages[0], "before", expired=one.text("expired")),
    "gate after": lambda one: pages.gate_page(plan(one), plan(one).stages[0], "after"),
    "passed over": lambda one: pages.skipped_rules((one.make(Skip), one.make(Skip))),
    "approval": lambda one: pages.approval_page(one.make(Approval)),
    "verdict": lambda one: "\n\n".join(pages.verdict_page(verdict) for verdict in report(one).verdicts),
    "report": lambda one: pages.report_page(report(one)),
    "timeline": lambda one: re.sub(r"\(data:[^)]*\)", "(picture)", timeline_page.render(report(one))),
    "request": lambda one: access_pages.question(one.make(Ask), (one.make(Finding), one.make(Finding))),
    "policy": lambda one: access_pages.policy_question(one.text("name"), (one.make(Finding),)),
    "given": lambda one: access_pages.given_page(one.make(Ask), one.make(Given), one.make(Approval)),
}
TERMINAL: Final[dict[str, Callable[[Planter], Iterable[RenderableType]]]] = {
    "plan": lambda one: plan_text.render(view_of(plan(one))),
    "report": lambda one: verdict_text.render(report(one)),
    "inventory": lambda one: inventory_text.render(rows(one)),
    "table": lambda one: [table((one.text("heading"), "b"), [(one.text("a"), one.text("b"))])],
}
JSON: Final[dict[str, Callable[[Planter], object]]] = {
    "inventory": lambda one: inventory_view.document(rows(one)),
    "explanation": lambda one: explained(one.make(Explanation)),
    "approval": lambda one: asdict(one.make(Approval)),
}
ROWS: Final[dict[str, Callable[[Planter], list[dict[str, object]]]]] = {
    "report": lambda one: pages.report_rows(report(one)),
    "inventory": lambda one: pages.inventory_rows(rows(one)),
    "ended": lambda one: access_pages.ended_rows([one.make(Ended), one.make(Ended, error="")]),
    "ways": lambda one: access_pages.review_rows([one.make(Way)]),
    "sign-ins": lambda one: access_pages.sign_in_rows(one.make(Applied)),
}


def planter(text: str, place: str) -> Planter:
    put = {
        "before": lambda name: f"{text}{name}",
        "after": lambda name: f"{name}{text}",
        "inside": lambda name: f"{name[:1]}{text}{name[1:]}",
        "alone": lambda _name: text,
    }
    return Planter(put[place])


def hostile(test: Callable[..., None]) -> Callable[..., None]:
    """Feed the known attacks, and random ones, in every place of a text."""
    planted = times(0.1)(given(text=attacks, place=st.sampled_from(PLACES[:3]))(test))
    for index, text in enumerate(ATTACKS):
        planted = example(text=text, place=PLACES[index % 3])(planted)
    return planted


@cache
def usual(name: str, place: str) -> list[object]:
    """What a page of Markdown consists of when everybody has a harmless name."""
    return structure(MARKDOWN[name](planter(HARMLESS, place)))


def structure(text: str) -> list[object]:
    """What a page consists of, without its words. Code is words: it is set in another font, and nothing acts in it."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return [_token(token) for token in parser.parse(text)]


def _token(token: Token) -> object:
    inner: list[object] = []
    for child in token.children or ():
        shape = "words" if child.type in {"text", "code_inline"} else (child.type, child.markup, str(child.attrs))
        if shape != "words" or inner[-1:] != ["words"]:
            inner.append(shape)
    return (token.type, token.tag, token.markup, token.nesting, tuple(inner))


def words(text: str) -> str:
    """What a reader sees of a page, blanks and line ends aside."""
    found = []
    for token in MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text):
        found += [child.content for child in token.children or () if child.type in {"text", "code_inline"}]
    return "".join(found)


def danger(text: str) -> set[str]:
    """Characters that a terminal acts on or nobody sees."""
    return {one for one in text if unicodedata.category(one) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} and one != "\n"}


class Elements(HTMLParser):
    """The elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[object] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(tag)

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment", data))


def elements(text: str) -> list[object]:
    page = Elements()
    page.feed(text)
    page.close()
    return [one for one in page.found if one not in ["code", ("code", [])]]


@cache
def usual_elements(place: str) -> list[object]:
    """What the page of HTML consists of when everybody has a harmless name."""
    return elements(html.render(report(planter(HARMLESS, place))))


def on_a_terminal(parts: Iterable[RenderableType]) -> list[str]:
    """The lines of a very wide terminal with colours; what rich emits for colours is taken away."""
    console = Console(
        width=60_000, force_terminal=True, color_system="truecolor", highlight=False, markup=False, file=io.StringIO()
    )
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return re.sub(r"\x1b\[[0-9;]*m", "", captured.get()).split("\n")


@cache
def usual_lines(name: str, place: str) -> int:
    """How many lines a terminal gets when everybody has a harmless name."""
    return len(on_a_terminal(TERMINAL[name](planter(HARMLESS, place))))


def test_every_kind_of_evidence_is_planted() -> None:
    verdict = report(planter("x", "after")).verdicts[0]

    assert {type(one) for one in verdict.evidence} == set(get_args(Evidence))


@pytest.mark.parametrize("name", MARKDOWN)
@hostile
def test_markdown_keeps_its_headings_rows_items_and_questions(name: str, text: str, place: str) -> None:
    made = MARKDOWN[name](planter(text, place))

    assert structure(made) == usual(name, place)
    assert danger(made) == set()
    made.encode("utf-8")


@pytest.mark.parametrize("name", TERMINAL)
@hostile
def test_a_terminal_gets_the_same_lines_and_nothing_to_act_on(name: str, text: str, place: str) -> None:
    lines = on_a_terminal(TERMINAL[name](planter(text, place)))

    assert len(lines) == usual_lines(name, place)
    assert danger("\n".join(lines)) == set()


@hostile
def test_a_page_of_html_keeps_its_elements(text: str, place: str) -> None:
    made = html.render(report(planter(text, place)))

    assert elements(made) == usual_elements(place)
    assert danger(made) == set()
    made.encode("utf-8")


@hostile
def test_junit_is_xml_with_the_same_elements(text: str, place: str) -> None:
    found = [ET.fromstring(junit.render(report(planter(one, place)))) for one in (text, HARMLESS)]  # noqa: S314 - ours

    shapes = [[(one.tag, sorted(one.attrib)) for one in root.iter()] for root in found]
    assert shapes[0] == shapes[1]


@hostile
def test_csv_has_the_same_cells_and_none_is_a_formula(text: str, place: str) -> None:
    tables = [list(csv.reader(io.StringIO(csv_rows.render(report(planter(one, place)))))) for one in (text, HARMLESS)]

    assert [len(row) for row in tables[0]] == [len(row) for row in tables[1]]
    for cell in (cell for row in tables[0] for cell in row):
        seen = "".join(one for one in cell if unicodedata.category(one) not in {"Cc", "Cf", "Zs"})
        assert not unicodedata.normalize("NFKC", seen[:1]).startswith(("=", "+", "-", "@"))
        assert danger(cell) == set()


@hostile
def test_sarif_is_json_and_its_messages_have_no_links(text: str, place: str) -> None:
    made = sarif.render(report(planter(text, place)))

    assert danger(made) == set()
    made.encode("utf-8")
    for result in json.loads(made)["runs"][0]["results"]:
        assert not re.search(r"(?<!\\)\[[^\]]*(?<!\\)\]\(", result["message"]["text"])
        assert re.fullmatch(
            r"azure:[A-Za-z0-9/._~!$&'()*+,;=:@%-]*",
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        )


@pytest.mark.parametrize("name", JSON)
@hostile
def test_json_says_the_same_and_can_be_written(name: str, text: str, place: str) -> None:
    document = JSON[name](planter(text, place))
    made = for_json(json.dumps(document, indent=2, ensure_ascii=False))

    assert json.loads(made) == json.loads(json.dumps(document))
    assert danger(made) == set()
    made.encode("utf-8")


@pytest.mark.parametrize("name", ROWS)
@hostile
def test_rows_of_prefects_tables_are_one_line_each(name: str, text: str, place: str) -> None:
    for row in ROWS[name](planter(text, place)):
        for cell in row.values():
            assert danger(str(cell)) == set()
            assert "\n" not in str(cell)


FORGERY: Final = "aks-admins\n\n# Before stage nothing: approved by dana\n\nPlan `000000000000`.\n\n* type **approve**"


def _called(name: str) -> Callable[[str], str]:
    return lambda field: name if field == "display_name" else field


def test_a_groups_name_cannot_forge_the_question_of_a_gate() -> None:
    asked: list[list[tuple[str, str]]] = []
    for name in ("aks-admins", FORGERY):
        made = plan(Planter(_called(name)))
        page = pages.gate_page(made, made.stages[0], "before")
        tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(page)
        asked.append(
            [(one.tag, tokens[index + 1].content) for index, one in enumerate(tokens) if one.type == "heading_open"]
        )
        assert "000000000000" not in page or visible(FORGERY) in words(page)

    assert asked[0] == asked[1]
    assert [tag for tag, _ in asked[1]] == ["h3"]


ORDINARY: Final = (
    "aks-admins",
    "aks_admins_prod",
    "v1.30",
    "dana@contoso.com",
    "Zoë (on call)",
    "漢字 チーム",
    "R&D",
    "C# team",
)


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_name_is_readable_in_the_source_and_on_the_page(name: str) -> None:
    page = pages.approval_page(Planter(lambda _field: name).make(Approval, unproven=""))

    assert f"by {name}, signed at Microsoft Entra ID, which nobody was required to ({name}, ticket {name})" in page
    assert f"by {name}, signed at Microsoft Entra ID, which nobody was required to ({name}, ticket {name})" in words(
        page
    )


@given(text=attacks)
@times(3)
def test_a_reader_sees_every_character_of_a_name(text: str) -> None:
    one: dict[str, Any] = {"plan": "0" * 64, "stage": "s", "moment": "before", "decision": "approve", "reason": "r"}
    page = words(pages.approval_page(Approval(approver=f"a{text}z", **one)))
    shown = page.replace("\N{NO-BREAK SPACE}", " ").partition(": approved by ")[2].removesuffix(", a claim (r)")

    assert shown == visible(f"a{text}z")
