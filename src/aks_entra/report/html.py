"""A report as one page for people: it has no script, loads nothing, and prints well."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from aks_entra import __version__
from aks_entra.core.doors.model import DoorState
from aks_entra.core.evidence.observations import DoorsSeen
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.report.doors_view import ways_in
from aks_entra.report.evidence_lines import Line, line_of
from aks_entra.report.timeline import NARROWEST, WIDTH, pictures
from aks_entra.text.safe import for_html

NAMED = 10
"""Clusters that are named for one thing that is left to do."""
_CODE = re.compile(r"`([^`]+)`")


def render(report: FleetReport) -> str:
    """Return the page. Text from elsewhere is escaped, and its invisible characters are shown."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters |= {"code": _code, "when": _when}
    source = files("aks_entra.report").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        report=report,
        digest=report.digest,
        counts=report.counts(),
        left=_left(report),
        named=NAMED,
        pictures=pictures(report),
        width=WIDTH,
        narrowest=NARROWEST,
        lines_of=_lines_of,
        ways_in=ways_in,
        states={state: state.name.lower().replace("_", "-") for state in DoorState},
        version=__version__,
        classes={outcome: outcome.name.lower().replace("_", "-") for outcome in Outcome},
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


def _shown(value: object) -> str:
    """Return a value of the template as the page contains it."""
    return value if isinstance(value, Markup) else for_html(str(value))


def _code(text: str) -> Markup:
    """Return the text escaped, with text in backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(for_html(text)))))  # noqa: S704 - the text was escaped


def _when(at: str) -> str:
    """Return a time (ISO 8601, UTC) to the second. The JSON has all of its digits."""
    return at[:19].replace("T", " ")
