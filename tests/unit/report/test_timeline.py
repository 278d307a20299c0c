"""The page for a change board: what is left and who needs it first, then a timeline as pictures with words."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from aks_entra.core.verdict.history import (
    Asking,
    BatchHistory,
    CoordinatorHistory,
    GateHistory,
    RolloutHistory,
    StageHistory,
)
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.report import html
from aks_entra.report.timeline import IN_ONE, NARROWEST, WIDTH, overview, pictures
from tests.support.history_samples import DANA, FIRST, decided, decision, rolled_out
from tests.support.report_samples import EVIDENCE, cluster, every_verdict, report
from tests.support.timeline_samples import at, evidence, timed

SVG = "{http://www.w3.org/2000/svg}"


def svgs(page: str) -> list[ET.Element]:
    """The timelines of a page, as XML."""
    found = re.findall(r'<svg class="timeline".*?</svg>', page, re.DOTALL)
    return [ET.fromstring(one.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)) for one in found]  # noqa: S314 - our own text


def test_a_bar_goes_from_the_look_before_a_write_to_its_end() -> None:
    (picture,) = pictures(timed(7))
    first = picture.rows[0]
    assert [tick.words for tick in picture.ticks] == ["2026-11-24 09:00", "09:09", "09:18", "09:27", "09:36"]
    assert [(bar.kind, bar.start, bar.width) for bar in first.bars] == [
        ("entra", 0.0, 111.1),
        ("accounts", 138.9, 83.3),
        ("rotation", 222.2, 611.1),
    ]
    assert (first.end, first.marks) == (888.9, ())
    assert first.words == (
        "shop-weu/shop-001: verified; Microsoft Entra ID set 11-24 09:00 to 09:04; "
        "local accounts disabled 11-24 09:05 to 09:08; "
        "certificates rotated, with an interruption 11-24 09:08 to 09:30"
    )
    refused = picture.rows[5]
    assert (refused.bars, refused.end, refused.words) == ((), None, "shop-weu/shop-006: refused; nothing was written")


def test_a_picture_of_a_few_minutes_shows_seconds() -> None:
    (picture,) = pictures(replace(timed(1), verdicts=timed(3).verdicts[2:]))
    assert [tick.words for tick in picture.ticks] == [
        "2026-11-24 09:02:00",
        "09:04:00",
        "09:06:00",
        "09:08:00",
        "09:10:00",
    ]


def test_a_picture_says_in_words_what_it_shows() -> None:
    assert pictures(timed(7))[0].words == (
        "Clusters, from 2026-11-24 09:00 to 2026-11-24 09:36 UTC: clusters 1 to 7; "
        "4 verified, 1 not verified, 1 failed, 1 refused; 4 rotations with an interruption."
    )
    assert pictures(timed(1))[0].words.endswith("cluster 1; 1 verified; 1 rotation with an interruption.")


def test_five_hundred_clusters_are_several_pictures_each_with_its_own_time_axis() -> None:
    found = pictures(timed(500))
    assert [len(one.rows) for one in found] == [IN_ONE] * 10
    assert [row.place for one in found for row in one.rows] == list(range(1, 501))
    assert [one.ticks[0].words for one in found][:3] == ["2026-11-24 09:00", "2026-11-24 10:20", "2026-11-24 12:20"]
    for bar in (bar for one in found for row in one.rows for bar in row.bars):
        assert 0 <= bar.start <= WIDTH - NARROWEST
        assert bar.start + bar.width <= WIDTH + 0.2


def test_writes_of_an_earlier_run_and_those_that_took_no_time_are_seen() -> None:
    (verdict,) = timed(1).verdicts
    early = replace(verdict, evidence=evidence(-120, Outcome.VERIFIED))
    (picture,) = pictures(replace(timed(1), verdicts=(early,)))
    assert picture.ticks[0].words == "2026-11-24 07:00"
    only = replace(verdict, evidence=verdict.evidence[3:4])
    ((bar,),) = [row.bars for row in pictures(replace(timed(1), verdicts=(only,)))[0].rows]
    assert bar.width == NARROWEST


def test_there_is_no_picture_without_writes_or_without_times() -> None:
    assert pictures(report()) == ()
    assert pictures(replace(timed(3), started_at="yesterday")) == ()
    (verdict,) = timed(1).verdicts
    unreadable = tuple(replace(one, at="yesterday") for one in verdict.evidence)
    assert pictures(replace(timed(1), verdicts=(replace(verdict, evidence=unreadable),))) == ()
    assert "<svg" not in html.render(replace(timed(1), verdicts=(replace(verdict, evidence=unreadable),)))


@pytest.mark.parametrize("clusters", [7, 500])
def test_the_page_shows_every_cluster_in_a_picture_with_a_text_for_each(clusters: int) -> None:
    page = html.render(timed(clusters))
    found = svgs(page)
    groups = [group for svg in found for group in svg.findall(f"{SVG}g")]
    assert len(groups) == clusters
    assert all((group.findtext(f"{SVG}title") or "").startswith("shop-weu/shop-") for group in groups)
    for row in (row for picture in pictures(timed(clusters)) for row in picture.rows):
        assert f"<li>{row.words}</li>" in page


@pytest.mark.parametrize("clusters", [7, 500])
def test_each_picture_has_a_title_and_a_description_that_say_what_it_shows(clusters: int) -> None:
    page = html.render(rolled_out(clusters))
    found = svgs(page)
    assert len(found) == len(pictures(rolled_out(clusters))) + 1
    for svg in found:
        assert svg.get("role") == "img"
        title, description = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
        assert title is not None
        assert description is not None
        assert svg.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
        assert title.text
        assert description.text
        assert page.count(description.text) > 1, "the page says it too"
    assert len({svg.get("aria-labelledby") for svg in found}) == len(found)
    assert page.count("<svg") == len(found) + page.count('aria-hidden="true"'), "the others are only the key"


def test_the_first_picture_shows_runs_gates_and_stages() -> None:
    found = overview(rolled_out(28))
    assert found is not None
    assert [row.name for row in found.rows] == [
        *("runs", "gate before canary", "stage canary (2)", "gate before prod", "stage prod (25)", "gate after prod"),
        *("gate before rest", "stage rest (1)"),
    ]
    assert found.words == (
        "Stages and gates, from 2026-11-24 07:30 to 2026-11-24 10:20 UTC: "
        "3 stages; 2 approvals, 0 rejections, 2 interruptions."
    )
    runs, gate, stage, *_, last, rest = found.rows
    assert [mark.kind for mark in runs.marks] == ["interruption"]
    assert runs.words == (
        "runs: run 1c0ffee1 11-24 07:30 to 11-24 09:12; run 2c0ffee2 11-24 09:15 to 11-24 10:20; "
        "run 1c0ffee1 ended CRASHED, and another run resumed it"
    )
    assert [(mark.kind, mark.at) for mark in gate.marks] == [("asked", 11.8), ("approved", 523.5)]
    assert gate.words == (
        "gate before canary: waited 11-24 07:32 to 11-24 09:00; an approval was asked for 11-24 07:32; "
        f"approved by dana@contoso.com (object id {DANA}), signed at Microsoft Entra ID 11-24 08:59"
    )
    assert [bar.kind for bar in stage.bars] == ["stage", "stage"]
    assert "batch 1 ended CRASHED 11-24 09:12" in stage.words
    assert last.words == "gate before rest: waits since 11-24 10:20; an approval was asked for 11-24 10:20"
    assert (rest.bars, rest.words) == ((), "stage rest (1): not reached")


def test_rejections_and_answers_without_a_decision_have_marks_of_their_own() -> None:
    no = decided(decision("canary", at(2), "erin", decision="reject"))
    asked = (Asking(asked_at=at(0), answered_at=at(1)), Asking(asked_at=at(1), answered_at=at(2), decision=no))
    gate = GateHistory(side="before", conditions=(), askings=(Asking(asked_at="last night"), *asked))
    batch = BatchHistory(number=1, began_at="last night")
    run = CoordinatorHistory(run=FIRST, began_at="last night")
    stage = StageHistory(name="canary", clusters=(), before=gate, batches=(batch,))
    found = overview(replace(timed(1), history=RolloutHistory(runs=(run,), stages=(stage,))))
    assert found is not None
    assert [mark.kind for mark in found.rows[1].marks] == ["asked", "answered", "asked", "rejected"]
    assert "answered, without a decision that is recorded 11-24 09:01" in found.rows[1].words
    assert "rejected by erin, a claim 11-24 09:02" in found.rows[1].words


def test_clusters_that_nobody_looked_at_fill_no_picture_of_their_own() -> None:
    (verdict,) = timed(1).verdicts
    silent = replace(verdict, evidence=())
    found = pictures(replace(timed(1), verdicts=(*timed(IN_ONE).verdicts, silent)))
    assert [len(one.rows) for one in found] == [IN_ONE]


def test_there_is_no_picture_of_a_rollout_that_nobody_knows() -> None:
    assert overview(timed(3)) is None
    assert overview(replace(timed(3), history=RolloutHistory(runs=(), stages=()))) is None
    assert overview(replace(rolled_out(7), ended_at="yesterday")) is None


def test_the_clusters_of_a_stage_have_a_time_axis_of_their_own() -> None:
    found = pictures(rolled_out(28))
    assert [(one.title, len(one.rows)) for one in found] == [
        *(("Stage canary", 2), ("Stage prod", 25), ("Stage rest", 1)),
    ]
    assert found[0].ticks != found[1].ticks
    shorter = rolled_out(28)
    assert shorter.history is not None
    few = replace(shorter, history=replace(shorter.history, stages=shorter.history.stages[:1]))
    assert [(one.title, len(one.rows)) for one in pictures(few)] == [("Stage canary", 2), ("Clusters", 26)]
    gone = replace(shorter, verdicts=shorter.verdicts[2:])
    assert [one.title for one in pictures(gone)] == ["Stage prod", "Stage rest"]


def test_what_went_wrong_at_a_cluster_is_marked_with_its_time() -> None:
    verdict = Verdict(cluster=cluster("shop-01"), outcome=Outcome.FAILED, because=(), evidence=EVIDENCE)
    (row,) = pictures(replace(timed(1), verdicts=(verdict,)))[0].rows
    assert [mark.words for mark in row.marks] == [
        "a rotation that was already running was followed",
        "the API server did not answer",
        "Rejected at rotate-certificates",
    ]
    assert row.words.endswith("the API server did not answer 11-24 09:00; Rejected at rotate-certificates 11-24 09:00")


def test_the_page_says_first_what_is_left_and_for_which_clusters() -> None:
    page = html.render(timed(28))
    before = page.partition("<h2>Timeline</h2>")[0]
    assert "16 of 28 clusters are verified.\nSomething is left to do for 12:" in before
    rows = re.findall(r"<tr>\n<td>(.*?)</td>\n<td>(\d+)</td>", before)
    assert [number for _, number in rows] == ["4", "4", "4"]
    assert ("set <code>rotation: at-once</code> and plan again", "4") in rows
    assert '<a href="#c4">shop-weu/shop-004</a>' in before
    assert "and 61 more" in html.render(timed(500))
    done = replace(timed(1), verdicts=timed(1).verdicts)
    assert "1 of 1 cluster is verified.\nNothing is left to do.</p>" in html.render(done)


def test_a_cluster_whose_verdict_names_nothing_to_do_is_left_too() -> None:
    assert "read the reasons of the cluster" in html.render(every_verdict())


def test_the_ways_in_are_said_once_for_each_cluster() -> None:
    page = html.render(every_verdict())
    assert page.count("system: everyone with a private key of its local user") == 1
    assert "<td>ways in</td>" not in page


def test_names_of_strangers_stay_text_in_a_picture() -> None:
    (verdict,) = timed(1).verdicts
    named = replace(verdict.cluster, name='x"><script>alert(1)</script>' + "y" * 40)
    page = html.render(replace(timed(1), verdicts=(replace(verdict, cluster=named),)))
    assert "<script" not in page
    (svg,) = svgs(page)
    label = f"shop-weu/{named.name}"  # groups often begin alike, and clusters end with their number
    assert [text.text for text in svg.iter(f"{SVG}text")][-1] == f"{label[:18]}…{label[-19:]}"


def test_a_long_name_breaks_in_its_cell_instead_of_pushing_the_others_out_of_the_page() -> None:
    style = html.render(timed(1)).partition("</style>")[0]
    (breaking,) = [line for line in style.splitlines() if line.endswith("{ overflow-wrap: anywhere; }")]
    assert {"td", "li", "dd", "h3"} <= set(breaking.partition(" {")[0].split(", "))
    (unbroken,) = [line for line in style.splitlines() if line.endswith("{ white-space: nowrap; }")]
    assert "first-child" not in unbroken, "the first cell has the name"
