"""The metrics that operators watch: what is known has a sample, and what is not known has none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from aks_entra import __version__
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.report import metrics
from aks_entra.report.metrics import Collected, FleetState, Measurements, OpenBreakGlass, WaitingGate, fleet_states
from tests.support.report_samples import cluster

ROOT = Path(__file__).parents[3]
SINCE = datetime(2026, 11, 27, 10, tzinfo=UTC)
LATER = datetime(2026, 11, 27, 11, tzinfo=UTC)
NOBODY = Measurements(gates=None, reports=None, break_glass=None, schedules=None)
EVERYTHING = Measurements(
    gates=Collected(
        read=(
            WaitingGate(fleet="prod", stage="canary", since=LATER),
            WaitingGate(fleet="prod", stage="canary", since=SINCE),
            WaitingGate(fleet="prod", stage="rest", side="after", since=None),
            WaitingGate(since=SINCE),
        )
    ),
    reports=Collected(
        read=(
            FleetState(
                name="prod",
                reported=SINCE,
                outcomes={Outcome.VERIFIED: 3, Outcome.FAILED: 1},
                debts={Debt.NONE: 3, Debt.OWED: 1},
            ),
        )
    ),
    break_glass=Collected(read=(OpenBreakGlass(cluster=cluster("shop-01"), until=LATER),), unreadable=1),
    schedules=Collected(read=(("end-access", True), ("verify-fleet", False))),
)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(found: Measurements) -> Samples:
    """Return what Prometheus reads: the value of each sample, by its name and its labels."""
    shown = [one for family in text_string_to_metric_families(metrics.text(found)) for one in family.samples]
    by_labels = {(one.name, frozenset(one.labels.items())): one.value for one in shown}
    assert len(by_labels) == len(shown), "no two samples have the same labels"
    return by_labels


def of(found: Samples, name: str) -> dict[str, float]:
    """Return the samples of one metric, by the values of their labels in the order of the labels' names."""
    return {
        " ".join(value for _, value in sorted(labels)): number
        for (metric, labels), number in found.items()
        if metric == f"aks_entra_{name}"
    }


def test_everything_that_is_known_is_shown() -> None:
    shown = samples(EVERYTHING)
    assert of(shown, "build_info") == {__version__: 1}
    assert of(shown, "gates_waiting") == {"prod before canary": 2, "prod after rest": 1, " before ": 1}
    assert of(shown, "gate_waiting_since_timestamp_seconds") == {
        "prod before canary": SINCE.timestamp(),  # of the two gates there, the one that has waited longer
        " before ": SINCE.timestamp(),
    }
    assert of(shown, "clusters") == {
        "prod verified": 3,
        "prod not verified": 0,
        "prod failed": 1,
        "prod refused": 0,
        "prod skipped": 0,
    }
    assert of(shown, "rotation_debt") == {"alive prod": 0, "owed prod": 1, "unknown prod": 0, "none prod": 3}
    assert of(shown, "last_report_timestamp_seconds") == {"prod": SINCE.timestamp()}
    opened = f"shop-weu/shop-01 {cluster('shop-01').subscription_id}"
    assert of(shown, "break_glass_open") == {opened: 1}
    assert of(shown, "break_glass_open_until_timestamp_seconds") == {opened: LATER.timestamp()}
    assert of(shown, "schedule_overdue") == {"end-access": 1, "verify-fleet": 0}


def test_a_collector_that_could_not_read_everything_is_not_up() -> None:
    shown = samples(EVERYTHING)
    assert of(shown, "up") == {"gates": 1, "reports": 1, "break_glass": 0, "schedules": 1}
    assert of(shown, "unreadable_records") == {"gates": 0, "reports": 0, "break_glass": 1, "schedules": 0}


def test_what_could_not_be_read_has_no_sample_and_is_never_zero() -> None:
    shown = samples(NOBODY)
    assert {name for name, _ in shown} == {"aks_entra_build_info", "aks_entra_up"}
    assert of(shown, "up") == {"gates": 0, "reports": 0, "break_glass": 0, "schedules": 0}


def test_a_strange_name_cannot_add_a_line_or_a_label() -> None:
    name = 'prod"} 0\naks_entra_up{collector="gates"} 1\n# \u202e\ud800'
    shown = samples(replace(NOBODY, gates=Collected(read=(WaitingGate(fleet=name, since=None),))))
    assert of(shown, "up") == {"gates": 1, "reports": 0, "break_glass": 0, "schedules": 0}
    [labels] = [dict(labels) for metric, labels in shown if metric == "aks_entra_gates_waiting"]
    assert labels["fleet"].startswith('prod"} 0')
    assert not {"\n", "\u202e", "\ud800"} & set(labels["fleet"])


def verdict(name: str, outcome: Outcome = Outcome.VERIFIED, debt: Debt | None = Debt.NONE) -> Verdict:
    old = OldCredentials(debt=debt, because="as read") if debt else None
    return Verdict(cluster=cluster(name), outcome=outcome, because=("as read",), old_credentials=old)


def report(name: str, ended: str, *verdicts: Verdict) -> FleetReport:
    return FleetReport(name=name, plan_digest="sha256:0", started_at=ended, ended_at=ended, verdicts=verdicts)


FIRST = report("prod", "2026-11-27T09:00:00Z", verdict("a", Outcome.FAILED, Debt.OWED), verdict("b", debt=Debt.OWED))
SECOND = report("prod", "2026-11-27T10:00:00+00:00", verdict("a"))
OTHER = report("test", "2026-11-26T09:00:00Z", verdict("c", Outcome.SKIPPED, None))


@pytest.mark.parametrize("reports", [(FIRST, SECOND, OTHER), (OTHER, SECOND, FIRST)])
def test_a_cluster_counts_by_its_newest_verdict_and_a_report_of_a_part_does_not_hide_the_others(
    reports: tuple[FleetReport, ...],
) -> None:
    assert fleet_states(reports, ()) == (
        FleetState(name="prod", reported=SINCE, outcomes={Outcome.VERIFIED: 2}, debts={Debt.NONE: 1, Debt.OWED: 1}),
        FleetState(
            name="test",
            reported=datetime(2026, 11, 26, 9, tzinfo=UTC),
            outcomes={Outcome.SKIPPED: 1},
            debts={Debt.UNKNOWN: 1},  # nobody weighed its old credentials
        ),
    )


def test_a_report_whose_end_cannot_be_read_is_the_oldest() -> None:
    [state] = fleet_states((replace(SECOND, ended_at="yesterday"), replace(FIRST, verdicts=FIRST.verdicts[:1])), ())
    assert state.outcomes == {Outcome.FAILED: 1}
    [alone] = fleet_states((replace(SECOND, ended_at="yesterday"),), ())
    assert alone.reported is None
    assert of(samples(replace(NOBODY, reports=Collected(read=(alone,)))), "last_report_timestamp_seconds") == {}


@pytest.mark.parametrize(
    ("unreadable", "shown"),
    [
        ((), ["prod", "test"]),
        (({cluster("b").key},), ["test"]),
        (({cluster("elsewhere").key}, {cluster("c").key}), ["prod"]),
        (((),), []),  # nobody knows whose report it is
    ],
)
def test_a_fleet_of_which_a_report_cannot_be_read_is_not_shown(unreadable: Any, shown: list[str]) -> None:
    assert [one.name for one in fleet_states((FIRST, SECOND, OTHER), unreadable)] == shown


LABELS = {
    name: {
        label
        for family in metrics.families(EVERYTHING)
        for one in family.samples
        for label in one.labels
        if one.name == name
    }
    for name in (family.name for family in metrics.families(EVERYTHING))
}
VALUES = {
    "collector": {"gates", "reports", "break_glass", "schedules"},
    "verdict": set(map(str, Outcome)),
    "debt": set(map(str, Debt)),
}
RULES: Any = YAML(typ="safe").load(ROOT / "deployments" / "prometheus" / "rules.yaml")
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]


def selectors(expression: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Return the metrics of an expression in PromQL, each with its label matchers."""
    for name, matchers in re.findall(r"\b(aks_entra_\w+)(?:\{([^}]*)\})?", expression):
        yield name, re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"', matchers)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda one: str(one["alert"]))
def test_an_alert_rule_names_metrics_labels_and_values_that_exist(alert: dict[str, Any]) -> None:
    assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[mhd]", alert.get("for", "1m"))
    assert alert["expr"].count("(") == alert["expr"].count(")")
    found = list(selectors(alert["expr"]))
    assert found
    named = {name for text in alert["annotations"].values() for name in re.findall(r"\$labels\.(\w+)", text)}
    for name, matchers in found:
        assert name in LABELS
        assert named <= LABELS[name]
        for label, values in matchers:
            assert label in LABELS[name]
            assert set(values.split("|")) <= VALUES[label]


def test_an_alert_says_that_nothing_is_watched() -> None:
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS) >= 9
    expressions = [alert["expr"] for alert in ALERTS]
    assert "absent(aks_entra_build_info)" in expressions
    assert "aks_entra_up == 0" in expressions


def test_the_reference_page_describes_every_metric_with_its_labels() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(aks_entra_\w+)` \| ([^|]*) \|", page, re.MULTILINE)
    assert {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == LABELS
