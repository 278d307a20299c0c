"""The timeline in Prefect, and the course of a rollout in words: what is in the picture is in the table."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from aks_entra.core.verdict.history import UngatedDecision
from aks_entra.report import html, timeline_page, verdict_text
from aks_entra.report.palette import DARK, LIGHT, css
from aks_entra.report.rollout_events import events_of
from tests.support.history_samples import decided, decision, rolled_out, signed
from tests.support.hostile_text import ATTACKS
from tests.support.timeline_samples import at, timed

IMAGE = re.compile(r"!\[(.*?)\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)")


def images(page: str) -> list[tuple[str, str]]:
    """The images of a page: the text of each, and its SVG."""
    return [(words, base64.b64decode(data).decode()) for words, data in IMAGE.findall(page)]


def test_the_course_of_a_rollout_is_told_in_order() -> None:
    history = rolled_out(28).history
    assert history is not None
    found = events_of(history)
    assert [one.at for one in found] == sorted(one.at for one in found)
    said = [one.what for one in found]
    assert said[:3] == [
        "run 1c0ffee1 began",
        "gate before stage canary was reached; it waits for: approval (valid 1d)",
        "gate before stage canary: an approval was asked for",
    ]
    assert "gate before stage prod: approved by dana@contoso.com, a claim (CHG-1042, ticket CHG-1042)" in said
    assert "stage canary began: 2 clusters" in said
    assert "gate after stage prod was passed" in said
    assert [one.what for one in found if one.interruption] == [
        "run 1c0ffee1 ended CRASHED",
        "stage canary: batch 1 ended CRASHED",
    ]
    assert not any("stage rest began" in one for one in said), "it did not begin"


def test_rejections_and_answers_without_a_decision_are_told() -> None:
    history = rolled_out(7).history
    assert history is not None
    stage = history.stages[0]
    assert stage.before is not None
    asked = stage.before.askings[0]
    no = decided(decision("canary", at(0), decision="reject", ticket=""))
    gate = replace(stage.before, askings=(replace(asked, decision=None), replace(asked, decision=no)))
    said = [one.what for one in events_of(replace(history, stages=(replace(stage, before=gate),)))]
    assert "gate before stage canary: the answer has no decision that is recorded" in said
    assert "gate before stage canary: rejected by dana@contoso.com, a claim (CHG-1042)" in said


def test_a_stage_without_a_gate_is_told_and_who_let_it_begin() -> None:
    history = rolled_out(7).history
    assert history is not None
    let = UngatedDecision(by="erin", reason="CHG-7", at=at(-95))
    stages = (replace(history.stages[0], before=None),)
    said = [one.what for one in events_of(replace(history, stages=stages, ungated=(let,)))]
    assert said[0] == "erin, a claim, let stages begin without an approval (CHG-7)"
    assert "stage canary began: 2 clusters; the plan has no gate before it" in said


def test_prefects_page_has_the_pictures_as_images_with_a_text_for_each_and_a_table() -> None:
    page = timeline_page.render(rolled_out(28))
    found = images(page)
    assert [words.partition(",")[0] for words, _ in found] == [
        *("Stages and gates", "Stage canary", "Stage prod", "Stage rest"),
    ]
    for _, text in found:
        root = ET.fromstring(text)  # noqa: S314 - our own text
        assert root.get("role") == "img"
        assert css(LIGHT) in text
        assert css(DARK) in text
        assert not {one.rpartition("}")[2] for one in (part.tag for part in root.iter())} & {"script", "image", "use"}
        assert re.findall(r'(?:href|src)="|url\(|@import', text) == []
    assert "| 2026-11-24 09:12:00 | ⚠ run 1c0ffee1 ended CRASHED |" in page


def test_prefects_page_of_many_clusters_shows_the_stages_alone() -> None:
    page = timeline_page.render(rolled_out(500))
    assert [words.partition(",")[0] for words, _ in images(page)] == ["Stages and gates"]
    assert len(page) < 40_000


def test_a_history_that_nobody_has_is_unknown_and_not_empty() -> None:
    assert "**It is unknown** when gates were reached" in timeline_page.render(timed(3))
    page = html.render(timed(3))
    assert "that is <b>unknown</b> here" in page
    assert "It is <b>unknown</b> here who approved this work" in page
    assert "No decision of a person is recorded" not in page
    history = rolled_out(7).history
    assert history is not None
    nobody = html.render(replace(timed(3), history=replace(history, stages=())))
    assert "No decision of a person is recorded for this plan." in nobody
    assert "unknown</b>" not in nobody


def test_a_terminal_names_who_approved() -> None:
    console = Console(width=200, file=io.StringIO())
    with console.capture() as captured:
        for part in verdict_text.render(rolled_out(7)):
            console.print(part)
    assert "before stage prod: approved by dana@contoso.com, a claim (CHG-1042)" in captured.get()


class Headings(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.elements: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action", "xlink:href"}]
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))


@pytest.mark.parametrize("clusters", [7, 500])
def test_the_page_has_headings_in_order_and_asks_nobody_for_anything(clusters: int) -> None:
    page = Headings()
    text = html.render(rolled_out(clusters))
    page.feed(text)
    assert page.levels[0] == 1
    assert page.levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(page.levels, page.levels[1:], strict=False))
    assert not page.elements & {"script", "img", "iframe", "object", "embed", "link", "use", "image"}
    assert all(one.startswith("#") for one in page.addresses)
    assert "url(" not in text
    assert "@import" not in text


def test_what_many_clusters_have_is_folded_and_what_few_have_is_open() -> None:
    assert "<details>" not in html.render(rolled_out(7))
    assert "<details open>" not in html.render(rolled_out(500))
    assert len(html.render(rolled_out(500))) < 4_000_000


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_name_in_a_signed_document_stays_text(attack: str) -> None:
    def page(name: str) -> Headings:
        report = rolled_out(7)
        assert report.history is not None
        stage = report.history.stages[0]
        assert stage.before is not None
        asked = replace(stage.before.askings[0], decision=decided(signed("canary", at(0), name=name)))
        named = replace(stage, name=f"x{name}", before=replace(stage.before, askings=(asked,)))
        changed = replace(report, history=replace(report.history, stages=(named,)))
        for _, text in images(timeline_page.render(changed)):
            ET.fromstring(text)  # noqa: S314 - it is whole
        found = Headings()
        found.feed(html.render(changed))
        return found

    assert page(attack).elements == page("harmless").elements
