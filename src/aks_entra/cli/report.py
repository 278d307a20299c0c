"""`aks-entra report`: a report with its evidence, in the form that somebody asks for."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.planning import write_new
from aks_entra.cli.records import read_report, unreachable
from aks_entra.errors import AksEntraError, Refused

if TYPE_CHECKING:
    from aks_entra.core.report import FleetReport

_DIGEST = re.compile(r"(sha256:)?[0-9a-f]{4,64}", re.IGNORECASE)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Show a report; write it as HTML, JUnit, SARIF, CSV.")(report)


def _file(name: str, what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(name, metavar="FILE", help=what, show_default=False)
    return option


def report(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DIGEST|FILE",
            help="Digest of a plan (or its beginning) whose report Prefect's server keeps, or a report's file.",
            show_default=False,
        ),
    ],
    *,
    html: Annotated[Path | None, _file("--html", "A page for people: self-contained, prints well.")] = None,
    junit: Annotated[Path | None, _file("--junit", "JUnit XML: one test case for each cluster.")] = None,
    sarif: Annotated[Path | None, _file("--sarif", "SARIF 2.1.0: one result for each cluster not verified.")] = None,
    csv: Annotated[Path | None, _file("--csv", "CSV: one line for each cluster.")] = None,
    json: Annotated[Path | None, _file("--json", "The report itself, with all evidence.")] = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Show a report, and write it as HTML, JUnit, SARIF, CSV or JSON. `-` as a file writes to standard output."""
    file = Path(source)
    with output.guarded():
        found = read_report(file) if file.is_file() else output.run(_kept(source))
    with output.guarded():
        wanted = {"html": html, "junit": junit, "sarif": sarif, "csv": csv, "json": json}
        files = {kind: file for kind, file in wanted.items() if file is not None}
        for kind, file in files.items():
            text = _as(kind, found)
            if str(file) == "-":
                output.emit_text(text)
            else:
                write_new(file, text, replace=True)
                output.say(f"{kind}: {file}", style="dim")
    if any(str(file) == "-" for file in files.values()):
        return
    if format_ is output.Format.JSON:
        output.emit_text(_as("json", found))
        return
    from aks_entra.report.verdict_text import render  # noqa: PLC0415 - startup is quick without it

    output.emit(*render(found))


async def _kept(source: str) -> FleetReport:
    """The report that Prefect's server keeps under a plan's digest."""
    if not _DIGEST.fullmatch(source):
        raise Refused(f"{source}: no such file, and not a digest", remedy="name a report's file, or a plan's digest")
    if not os.environ.get("PREFECT_API_URL"):
        raise Refused(
            f"{source}: no such file, and PREFECT_API_URL names no server that could keep its report",
            remedy="export PREFECT_API_URL=…, or name a report's file",
        )
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    try:
        found = await prefect_client.load_report(source)
    except AksEntraError:
        raise
    except Exception as error:
        raise unreachable(error) from error
    if found is None:
        raise Refused(f"no report of plan {source} is kept at this Prefect server", remedy="check the digest")
    return found


def _as(kind: str, found: FleetReport) -> str:
    """The report in one of its forms."""
    match kind:
        case "html":
            from aks_entra.report.html import render as html  # noqa: PLC0415 - only what is asked for

            return html(found)
        case "junit":
            from aks_entra.report.junit import render as junit  # noqa: PLC0415 - as above

            return junit(found)
        case "sarif":
            from aks_entra.report.sarif import render as sarif  # noqa: PLC0415 - as above

            return sarif(found)
        case "csv":
            from aks_entra.report.csv_rows import render as csv  # noqa: PLC0415 - as above

            return csv(found)
        case _:
            from aks_entra.documents import dump_report  # noqa: PLC0415 - as above

            return dump_report(found)
