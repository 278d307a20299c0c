"""A report as one page for people: no script, nothing loaded from elsewhere, prints well."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from aks_entra import __version__
from aks_entra.core.report import FleetReport
from aks_entra.core.verdict import Outcome
from aks_entra.report.evidence_lines import line_of


def render(report: FleetReport) -> str:
    """The whole page. Everything from elsewhere is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = files("aks_entra.report").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        report=report,
        digest=report.digest,
        counts=report.counts(),
        line_of=line_of,
        version=__version__,
        classes={outcome: outcome.name.lower().replace("_", "-") for outcome in Outcome},
    )
