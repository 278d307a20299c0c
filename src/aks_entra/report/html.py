"""A report as one page for people: no script, nothing loaded from elsewhere, prints well."""

from __future__ import annotations

import re
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from aks_entra import __version__
from aks_entra.core.report import FleetReport
from aks_entra.core.verdict import Outcome
from aks_entra.report.evidence_lines import line_of

_CODE = re.compile(r"`([^`]+)`")


def render(report: FleetReport) -> str:
    """The whole page. Everything from elsewhere is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"code": _code, "when": _when}
    source = files("aks_entra.report").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        report=report,
        digest=report.digest,
        counts=report.counts(),
        line_of=line_of,
        version=__version__,
        classes={outcome: outcome.name.lower().replace("_", "-") for outcome in Outcome},
    )


def _code(text: str) -> Markup:
    """The text, escaped, with what stands in backticks shown as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped in the same breath


def _when(at: str) -> str:
    """A moment (ISO 8601, UTC) to the second; the JSON has it whole."""
    return at[:19].replace("T", " ")
