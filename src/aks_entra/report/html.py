"""A report as one page for people: it has no script, loads nothing, and prints well."""

from __future__ import annotations

import re
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from aks_entra import __version__
from aks_entra.core.doors.model import DoorState
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.report.doors_view import ways_in
from aks_entra.report.evidence_lines import line_of
from aks_entra.text.safe import for_html

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
        line_of=line_of,
        ways_in=ways_in,
        states={state: state.name.lower().replace("_", "-") for state in DoorState},
        version=__version__,
        classes={outcome: outcome.name.lower().replace("_", "-") for outcome in Outcome},
    )


def _shown(value: object) -> str:
    """Return a value of the template as the page contains it."""
    return value if isinstance(value, Markup) else for_html(str(value))


def _code(text: str) -> Markup:
    """Return the text escaped, with text in backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(for_html(text)))))  # noqa: S704 - the text was escaped


def _when(at: str) -> str:
    """Return a time (ISO 8601, UTC) to the second. The JSON has all of its digits."""
    return at[:19].replace("T", " ")
