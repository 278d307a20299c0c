"""The page for a change board: what is left and who needs it first, then a timeline as pictures with words."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from aks_entra.core.verdict.verdict import Outcome
from aks_entra.report import html
from aks_entra.report.timeline import IN_ONE, NARROWEST, WIDTH, pictures
from tests.support.report_samples import every_verdict, report
from tests.support.timeline_samples import evidence, timed

SVG = "{http://www.w3.org/2000/svg}"


def svgs(page: str) -> list[ET.Element]:
    """The timelines of a page, as XML."""
    found = re.findall(r'<svg class="timeline".*?</svg>', page, re.DOTALL)
    return [ET.fromstring(one.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)) for one in found]  # noqa: S314 - our own text


def test_a_bar_goes_from_the_look_before_a_write_to_its_end() -> None:
    (picture,) = pictures(timed(7))
    first = picture.rows[0]
    assert (picture.began, picture.ended) == ("2026-11-24 09:00", "2026-11-24 09:40")
    assert [(bar.kind, bar.start, bar.width) for bar in first.bars] == [
        ("entra", 0.0, 100.0),
        ("accounts", 125.0, 75.0),
        ("rotation", 200.0, 550.0),
    ]
    assert first.end == 800.0
    assert first.words == (
        "shop-weu/shop-001: verified; Microsoft Entra ID set 09:00 to 09:04; local accounts disabled 09:05 to 09:08; "
        "certificates rotated, with an interruption 09:08 to 09:30"
    )
    refused = picture.rows[5]
    assert (refused.bars, refused.end, refused.words) == ((), 0.0, "shop-weu/shop-006: refused; nothing was written")


def test_a_picture_says_in_words_what_it_shows() -> None:
    assert pictures(timed(7))[0].words == (
        "Timeline of clusters 1 to 7, from 2026-11-24 09:00 to 2026-11-24 09:40 UTC: "
        "4 verified, 1 not verified, 1 failed, 1 refused; 4 rotations with an interruption."
    )
    assert pictures(timed(1))[0].words.endswith("1 verified; 1 rotation with an interruption.")


def test_five_hundred_clusters_are_several_pictures_on_one_time_axis() -> None:
    found = pictures(timed(500))
    assert [len(one.rows) for one in found] == [IN_ONE] * 10
    assert [row.place for one in found for row in one.rows] == list(range(1, 501))
    assert len({(one.began, one.ended) for one in found}) == 1
    for bar in (bar for one in found for row in one.rows for bar in row.bars):
        assert 0 <= bar.start <= WIDTH - NARROWEST
        assert bar.start + bar.width <= WIDTH + 0.2


def test_writes_of_an_earlier_run_and_those_that_took_no_time_are_seen() -> None:
    (verdict,) = timed(1).verdicts
    early = replace(verdict, evidence=evidence(-120, Outcome.VERIFIED))
    (picture,) = pictures(replace(timed(1), verdicts=(early,)))
    assert picture.began == "2026-11-24 07:04"
    only = replace(verdict, evidence=verdict.evidence[3:4])
    ((bar,),) = [row.bars for row in pictures(replace(timed(1), verdicts=(only,)))[0].rows]
    assert bar.width == NARROWEST


def test_there_is_no_picture_without_writes_or_without_times() -> None:
    assert pictures(report()) == ()
    assert pictures(replace(timed(3), started_at="yesterday")) == ()
    (verdict,) = timed(1).verdicts
    unreadable = tuple(replace(one, at="yesterday") for one in verdict.evidence)
    assert pictures(replace(timed(1), verdicts=(replace(verdict, evidence=unreadable),))) == ()
    assert "Timeline" not in html.render(replace(timed(1), verdicts=(replace(verdict, evidence=unreadable),)))


@pytest.mark.parametrize("clusters", [7, 500])
def test_the_page_shows_every_cluster_in_a_picture_with_a_text_for_each(clusters: int) -> None:
    page = html.render(timed(clusters))
    found = svgs(page)
    groups = [group for svg in found for group in svg.findall(f"{SVG}g")]
    assert len(groups) == clusters
    assert all((group.findtext(f"{SVG}title") or "").startswith("shop-weu/shop-") for group in groups)
    for svg in found:
        assert svg.get("role") == "img"
        title = svg.find(f"{SVG}title")
        assert title is not None
        assert title.get("id") == svg.get("aria-labelledby")
        assert f'<figcaption class="soft">{title.text}</figcaption>' in page
    assert len({svg.get("aria-labelledby") for svg in found}) == len(found)


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
    assert [text.text for text in svg.iter(f"{SVG}text")][-1] == f"shop-weu/{named.name}"[:35] + "…"
