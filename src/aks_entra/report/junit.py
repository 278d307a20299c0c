"""A report as JUnit XML: one test case for each cluster, so that a pipeline shows them with its tests."""

from __future__ import annotations

from datetime import datetime

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.report.evidence_lines import line_of
from aks_entra.text.safe import for_xml


def render(report: FleetReport) -> str:
    """Return the document. A cluster that is not verified, failed, or has a hook that is not done is a failure.

    A refused one is an error.
    """
    suite = TestSuite(for_xml(report.name))
    suite.timestamp = for_xml(report.started_at)
    suite.time = _seconds(report.started_at, report.ended_at)
    suite.add_property("plan", for_xml(report.plan_digest))
    suite.add_property("report", report.digest)
    for verdict in report.verdicts:
        suite.add_testcase(_case(verdict))
    document = JUnitXml("aks-entra")
    document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]  # junitparser's own
    return bytes(document.tostring()).decode()  # type: ignore[no-untyped-call]  # as above


def _case(verdict: Verdict) -> TestCase:
    case = TestCase(for_xml(str(verdict.cluster)), classname=for_xml(f"aks-entra.{verdict.cluster.subscription_id}"))
    message = "; ".join(map(for_xml, verdict.because))
    result = {
        Outcome.VERIFIED: None,
        Outcome.NOT_VERIFIED: Failure(message, "not verified"),
        Outcome.FAILED: Failure(message, "failed"),
        Outcome.REFUSED: Error(message, "refused"),
        Outcome.SKIPPED: Skipped(message, "skipped"),
    }[verdict.outcome]
    if result is None and verdict.hooks_left:
        result = Failure(message, "hook not done")
    if result is not None:
        result.text = f"{message}\n→ {for_xml(verdict.next)}" if verdict.next else message
        case.result = [result]
    grade = [f"proof: {verdict.grade}"] if verdict.grade else []
    lines = [*verdict.because, *grade, *(_evidence(verdict))]
    case.system_out = "\n".join(map(for_xml, lines))
    return case


def _evidence(verdict: Verdict) -> list[str]:
    return [f"{line.at} {line.text}" for line in map(line_of, verdict.evidence)]


def _seconds(started: str, ended: str) -> float:
    return max(0.0, (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds())
