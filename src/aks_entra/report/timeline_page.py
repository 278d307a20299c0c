"""The timeline of a rollout as Markdown for Prefect's page: pictures inside of it, and the same in words.

Prefect's two pages (3.8.8) remove inline SVG from Markdown, and show an image whose address is a `data:` URL.
"""

from __future__ import annotations

import base64

from aks_entra.core.verdict.report import FleetReport
from aks_entra.report.rollout_events import events_of
from aks_entra.report.templates import CLASSES, COLOURS, template, to_the_second
from aks_entra.report.timeline import IN_ONE, Picture, overview, pictures
from aks_entra.text.markdown import for_markdown, for_markdown_table_cell


def render(report: FleetReport) -> str:
    """Return the page. The clusters are in it one by one only if there are at most `IN_ONE`."""
    whole = overview(report)
    shown = [*([whole] if whole else []), *(pictures(report) if len(report.verdicts) <= IN_ONE else ())]
    parts = [f"# Timeline of {for_markdown(report.name)}"]
    until = for_markdown(to_the_second(report.ended_at))
    parts.append(f"Times are UTC, until {until}. The page is written again when a stage ends.")
    parts += [f"![{for_markdown(one.words)}]({_address(one)})" for one in shown]
    if report.history is None:
        parts.append("**It is unknown** when gates were reached, who approved and when stages ran.")
    else:
        rows = [
            f"| {for_markdown_table_cell(to_the_second(one.at))} | {sign}{for_markdown_table_cell(one.what)} |"
            for one in events_of(report.history)
            for sign in ["⚠ " if one.interruption else ""]
        ]
        parts.append("\n".join(["| when (UTC) | what |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def svg(picture: Picture) -> str:
    """Return a picture as an SVG document with colours of its own, light and dark."""
    return template("picture.svg.j2").render(picture=picture, classes=CLASSES, colours=COLOURS).strip()


def _address(picture: Picture) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg(picture).encode()).decode('ascii')}"
