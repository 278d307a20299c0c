"""A report as one page for people: it has no script, loads nothing, and prints well."""

from __future__ import annotations

from dataclasses import dataclass

from aks_entra import __version__
from aks_entra.core.doors.model import DoorState
from aks_entra.core.evidence.observations import DoorsSeen
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.report.doors_view import ways_in
from aks_entra.report.evidence_lines import Line, line_of
from aks_entra.report.rollout_events import events_of
from aks_entra.report.templates import CLASSES, COLOURS, template
from aks_entra.report.timeline import IN_ONE, overview, pictures

NAMED = 10
"""Clusters that are named for one thing that is left to do."""


def render(report: FleetReport) -> str:
    """Return the page. Text from elsewhere is escaped, and its invisible characters are shown.

    Of more than `IN_ONE` clusters, the evidence and the pictures of each are folded, and print only if they are opened.
    """
    return template("report.html.j2").render(
        report=report,
        digest=report.digest,
        counts=report.counts(),
        left=_left(report),
        named=NAMED,
        overview=overview(report),
        events=events_of(report.history) if report.history else (),
        decisions=report.history.decisions if report.history else (),
        pictures=pictures(report),
        few=len(report.verdicts) <= IN_ONE,
        lines_of=_lines_of,
        ways_in=ways_in,
        states={state: state.name.lower().replace("_", "-") for state in DoorState},
        version=__version__,
        classes=CLASSES,
        colours=COLOURS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One thing that is left to do, and the clusters (each with its place in the report, from 1) that need it."""

    what: str
    clusters: tuple[tuple[int, Verdict], ...]


def _left(report: FleetReport) -> tuple[Left, ...]:
    """Return what is left to do, what most clusters need first. Verified clusters, and those left out, need nothing."""
    found: dict[str, list[tuple[int, Verdict]]] = {}
    for place, verdict in enumerate(report.verdicts, 1):
        if verdict.outcome not in {Outcome.VERIFIED, Outcome.SKIPPED} or verdict.next:
            found.setdefault(verdict.next or "read the reasons of the cluster", []).append((place, verdict))
    ordered = sorted(found.items(), key=lambda one: -len(one[1]))
    return tuple(Left(what=what, clusters=tuple(clusters)) for what, clusters in ordered)


def _lines_of(verdict: Verdict) -> list[Line]:
    """Return the evidence in words. The last look at the doors has a table of its own, with all that it says."""
    looks = [place for place, one in enumerate(verdict.evidence) if isinstance(one, DoorsSeen)]
    return [line_of(one) for place, one in enumerate(verdict.evidence) if place not in looks[-1:]]
