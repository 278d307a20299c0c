"""A report as JUnit XML: one test case for each cluster, so that a pipeline shows them beside its tests."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from aks_entra.core.report import FleetReport
from aks_entra.core.verdict import Outcome, Verdict
from aks_entra.report.evidence_lines import line_of

_LOWEST: Final = " "
"""XML 1.0 has no place for the control characters before it, tab and line ends excepted."""


def render(report: FleetReport) -> str:
    """The whole document. Not verified and failed are failures, refused is an error, skipped is skipped."""
    suite = TestSuite(_clean(report.name))
    suite.timestamp = report.started_at
    suite.time = _seconds(report.started_at, report.ended_at)
    suite.add_property("plan", report.plan_digest)
    suite.add_property("report", report.digest)
    for verdict in report.verdicts:
        suite.add_testcase(_case(verdict))
    document = JUnitXml("aks-entra")
    document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]  # junitparser's own
    return bytes(document.tostring()).decode()  # type: ignore[no-untyped-call]  # as above


def _case(verdict: Verdict) -> TestCase:
    case = TestCase(_clean(str(verdict.cluster)), classname=f"aks-entra.{verdict.cluster.subscription_id}")
    message = _clean("; ".join(verdict.because))
    result = {
        Outcome.VERIFIED: None,
        Outcome.NOT_VERIFIED: Failure(message, "not verified"),
        Outcome.FAILED: Failure(message, "failed"),
        Outcome.REFUSED: Error(message, "refused"),
        Outcome.SKIPPED: Skipped(message, "skipped"),
    }[verdict.outcome]
    if result is not None:
        result.text = _clean(f"{message}\n→ {verdict.next}" if verdict.next else message)
        case.result = [result]
    grade = [f"proof: {verdict.grade}"] if verdict.grade else []
    lines = [*verdict.because, *grade, *(_evidence(verdict))]
    case.system_out = _clean("\n".join(lines))
    return case


def _evidence(verdict: Verdict) -> list[str]:
    found = []
    for one in verdict.evidence:
        line = line_of(one)
        trace = f" [correlation id {line.correlation_id}]" if line.correlation_id else ""
        found.append(f"{line.at} {line.what}: {line.detail}{trace}")
    return found


def _seconds(started: str, ended: str) -> float:
    return max(0.0, (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds())


def _clean(text: str) -> str:
    return "".join(one if one >= _LOWEST or one in "\t\n\r" else "�" for one in text)
