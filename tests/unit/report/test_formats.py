# ruff: noqa: E501 - what is printed reads best as it is printed
"""A report as HTML, JUnit, SARIF, CSV and on a terminal: each names both digests, and runs no text of others."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from dataclasses import fields, replace
from html.parser import HTMLParser
from typing import get_args

import pytest
from junitparser import JUnitXml
from rich.console import Console

from aks_entra.core.doors.registry import IDS, KINDS
from aks_entra.core.evidence.observations import Evidence
from aks_entra.core.preflight import Skip
from aks_entra.core.verdict.report import FleetReport
from aks_entra.documents import dump_report, load_report
from aks_entra.prefect_client import pages
from aks_entra.report import csv_rows, html, junit, sarif, verdict_text
from aks_entra.report.evidence_lines import line_of
from tests.support.report_samples import AT, EVIDENCE, NEW_CA, OLD_CA, every_verdict, report

FORMATS = {"html": html.render, "junit": junit.render, "sarif": sarif.render, "csv": csv_rows.render}


def on_a_terminal(found: FleetReport) -> str:
    console = Console(width=200, no_color=True)
    with console.capture() as captured:
        for renderable in verdict_text.render(found):
            console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


@pytest.mark.parametrize("name", FORMATS)
def test_each_names_the_plan_the_report_and_every_cluster(name: str) -> None:
    found = every_verdict()
    text = FORMATS[name](found)

    for part in (
        found.plan_digest,
        found.digest,
        *(verdict.cluster.name for verdict in found.verdicts),
        "rotation owed",
    ):
        assert part in text


@pytest.mark.parametrize("name", ["html", "junit", "sarif"])
def test_evidence_is_there_with_times_correlation_ids_and_fingerprints(name: str) -> None:
    text = FORMATS[name](every_verdict())

    at = "2026-11-24 09:00:00" if name == "html" else AT
    for part in (at, "arm-1", "arm-2", "arm-3", "arm-4", "arm-5", "g-1", OLD_CA, NEW_CA, "credential refused"):
        assert part in text


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_report(name: str) -> None:
    assert report().digest in FORMATS[name](report()) or name == "csv"


def test_every_kind_of_evidence_has_a_line() -> None:
    assert {type(one) for one in EVIDENCE} == set(get_args(Evidence))
    for one in EVIDENCE:
        line = line_of(one)
        assert line.at == AT
        assert line.what
        assert line.detail
        if "correlation_id" in {field.name for field in fields(one)}:
            assert line.correlation_id == getattr(one, "correlation_id")  # noqa: B009 - not every kind has it


def test_every_way_in_is_shown_with_its_state() -> None:
    found = every_verdict()
    page = html.render(found)
    assert page.count("<summary>Ways in</summary>") == len(found.verdicts)
    for kind in KINDS:
        assert page.count(f"<code>{kind.id}</code>") >= len(found.verdicts)
    assert "system: everyone with a private key of its local user" in page
    seen, *others = (one["properties"]["waysIn"] for one in json.loads(sarif.render(found))["runs"][0]["results"])
    assert (seen["node-ssh"], seen["jwt-authenticators"]) == ("open", "closed")
    assert all(set(one.values()) == {"not looked at"} and set(one) == IDS for one in others)
    first, second, *_ = csv.DictReader(io.StringIO(csv_rows.render(found)))
    assert (first["open_doors"], "managed-namespaces" in first["doors_not_looked_at"]) == ("node-ssh", True)
    assert (second["open_doors"], set(second["doors_not_looked_at"].split())) == ("", set(IDS))


def test_evidence_in_words() -> None:
    lines = [f"{line.what}: {line.detail}" for line in map(line_of, EVIDENCE)]

    assert (
        f"certificates rotated: CA {OLD_CA} → {NEW_CA} (valid from {AT}); a rotation that was already running was followed"
        in lines
    )
    assert (
        f"static token tried alone: HTTP 401; after rotation; trusting CA {NEW_CA}; issued under CA {OLD_CA}" in lines
    )
    assert f"client certificate tried alone: no answer; after rotation; trusting CA {NEW_CA}; timed out" in lines
    assert "nodes: 2 Ready, 3 to 3 wanted; missing: pool system: 1 of 3" in lines
    assert f"workloads: 4 compared with the baseline of {AT}; less available: Deployment pay/ledger" in lines
    assert "cluster created (already done): local accounts off from its first day" in lines
    assert "Rejected: at rotate-certificates: no quota (Quota)" in lines


class Page(HTMLParser):
    """The elements and texts of a page, as a browser reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "action"}]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_a_page_runs_nothing_and_loads_nothing() -> None:
    page = Page()
    page.feed(html.render(every_verdict()))

    assert "script" not in page.tags
    assert all(link.startswith("#c") for link in page.links)
    assert "<script>alert(1)</script>" in page.words
    assert "set rotation: at-once and plan again" in page.words
    assert "`" not in page.words.partition("</style>")[0].split("set ")[1]


def test_junit_has_a_case_for_each_cluster() -> None:
    text = junit.render(every_verdict())
    suite = next(iter(JUnitXml.fromstring(text.encode())))

    assert (suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) == ("prod", 5, 2, 1, 1)
    root = ET.fromstring(text)  # noqa: S314 - our own text
    assert {one.get("name"): one.get("value") for one in root.iter("property")} == {
        "plan": every_verdict().plan_digest,
        "report": every_verdict().digest,
    }
    results = {case.get("name"): [(one.tag, one.get("type")) for one in case] for case in root.iter("testcase")}
    assert results["shop-weu/shop-01"] == [("system-out", None)]
    assert results["shop-weu/shop-02"][0] == ("failure", "not verified")
    assert results["shop-weu/shop-03"][0] == ("failure", "failed")
    assert results["shop-weu/shop-04"][0] == ("error", "refused")
    assert results["shop-weu/shop-05"][0] == ("skipped", "skipped")
    assert "\x07" not in text


def test_sarif_has_the_shape_that_2_1_0_asks_for() -> None:
    log = json.loads(sarif.render(every_verdict()))
    run = log["runs"][0]

    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-2.1.0.json")
    assert set(run["tool"]["driver"]) >= {"name", "semanticVersion", "rules"}
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["AKS-ENTRA-1"]
    assert run["properties"] == {"planDigest": every_verdict().plan_digest, "reportDigest": every_verdict().digest}
    assert [(one["kind"], one["level"]) for one in run["results"]] == [
        ("pass", "none"),
        ("fail", "warning"),
        ("fail", "error"),
        ("fail", "error"),
        ("notApplicable", "none"),
    ]
    for one in run["results"]:
        assert one["ruleId"] == "AKS-ENTRA-1"
        assert one["ruleIndex"] == 0
        assert one["message"]["text"]
        assert one["locations"][0]["logicalLocations"][0]["fullyQualifiedName"].startswith("/subscriptions/")
        assert one["partialFingerprints"]["aksEntraCluster/v1"].startswith("/subscriptions/")


def test_a_cell_never_begins_a_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_rows.render(every_verdict()))))

    assert rows[2]["because"] == "'=cmd|' /C calc'!A0; <script>alert(1)</script>"
    assert (rows[0]["ca_before"], rows[0]["ca_after"]) == (OLD_CA, NEW_CA)
    assert (rows[1]["ca_before"], rows[1]["ca_after"]) == ("", "")
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]


def test_a_report_lists_the_rules_that_were_skipped() -> None:
    whole = every_verdict()
    found = replace(whole, skip_rules=(Skip(rule="W127", reason="CHG-1042 & <more>"),))

    assert found.digest != whole.digest
    assert "preflight rule W127 was skipped: CHG-1042 & <more>\n" in on_a_terminal(found)
    assert "<dt>skipped</dt><dd>preflight rule W127: CHG-1042 &amp; &lt;more&gt;</dd>" in html.render(found)
    assert load_report(dump_report(found)) == found
    assert pages.skipped_rules(found.skip_rules) == r"Skipped preflight rules: **W127** (CHG-1042 & \<more\>)."
    assert "**W127**" in pages.report_page(found)
    assert "passed over" not in pages.report_page(whole)


def test_on_a_terminal() -> None:
    found = every_verdict()

    assert on_a_terminal(found) == (
        "CLUSTER           VERDICT       BECAUSE\n"
        "shop-weu/shop-01  verified      admin credentials refused by Azure · 3 nodes Ready\n"
        "                                proof: credential refused\n"
        "shop-weu/shop-02  not verified  rotation owed\n"
        "                                → set `rotation: at-once` and plan again\n"
        "shop-weu/shop-03  failed        =cmd|' /C calc'!A0 · <script>alert(1)</script>\n"
        "shop-weu/shop-04  refused       B003 no Kubernetes RBAC \\u0007\n"
        "shop-weu/shop-05  skipped       B010 stopped\n"
        "stage canary: 1 failed, 0 allowed\n"
        "5 clusters · 1 verified · 1 not verified · 1 failed · 1 refused · 1 skipped\n"
        f"plan {found.plan_digest}\n"
        f"report {found.digest}"
    )
