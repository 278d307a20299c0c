"""Our own evidence from before: reports in files and folders, and on Prefect's server where one is named.

An unreadable report is an error and never skipped: without a sighting of open accounts, credentials that live could be
taken for dead.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from aks_entra.errors import AksEntraError, Refused

if TYPE_CHECKING:
    from aks_entra.core.debt import Record
    from aks_entra.core.report import FleetReport
    from aks_entra.settings import Settings

EvidenceFrom = Annotated[
    list[Path] | None,
    typer.Option(
        "--evidence",
        metavar="FILE|FOLDER",
        help="Reports of ours (JSON) to weigh old credentials by; repeat for several. Default: ./evidence, if there.",
        show_default=False,
    ),
]


async def gather(paths: list[Path] | None, settings: Settings) -> tuple[Record, ...]:
    """Everything that our reports say about accounts and CAs. Raises Refused for what cannot be read."""
    from aks_entra.core.report import records_of  # noqa: PLC0415 - startup is quick without it

    found = [record for path, report in reports_in(paths, settings) for record in records_of(report, path.name)]
    if os.environ.get("PREFECT_API_URL"):
        from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

        try:
            found += await prefect_client.records()
        except AksEntraError:
            raise
        except Exception as error:
            raise unreachable(error) from error
    return tuple(found)


def reports_in(paths: list[Path] | None, settings: Settings) -> tuple[tuple[Path, FleetReport], ...]:
    """The reports in the files and folders that were named, or else in the settings' folder for evidence."""
    found: list[tuple[Path, FleetReport]] = []
    for path in dict.fromkeys(paths or [settings.evidence_dir]):
        if path.is_dir():
            files = [file for file in sorted(path.glob("*.json")) if _is_report(file)]
        elif path.exists():
            files = [path]
        elif paths:
            raise Refused(f"{path}: no such file or folder", remedy="name a report of ours, or a folder of them")
        else:
            files = []
        found += [(file, read_report(file)) for file in files]
    return tuple(found)


def read_report(file: Path) -> FleetReport:
    """A report of ours in a file. Raises Refused when it is none, or was changed since."""
    from aks_entra.documents import load_report  # noqa: PLC0415 - startup is quick without it

    try:
        return load_report(_text(file))
    except AksEntraError as error:
        raise Refused(f"{file}: {error.message}", remedy=error.remedy or "restore it, or take it away") from error


def unreachable(error: Exception) -> Refused:
    """Prefect's server does not answer: nothing is concluded without the evidence that is kept there."""
    url = os.environ.get("PREFECT_API_URL", "")
    shown = urlsplit(url)._replace(netloc=url.partition("//")[2].partition("/")[0].rpartition("@")[2]).geturl()
    return Refused(
        f"the evidence on Prefect's server ({shown}) cannot be read: {type(error).__name__}",
        remedy="start the server, or unset PREFECT_API_URL to go without its evidence",
    )


def _is_report(file: Path) -> bool:
    """Whether a file in a folder says that it is a report of ours (others may lie beside it)."""
    try:
        document = json.loads(_text(file))
    except ValueError as error:
        raise Refused(f"{file}: not JSON ({error})", remedy="restore it, or take it out of the folder") from None
    return isinstance(document, dict) and document.get("kind") == "aks-entra/report"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Refused(f"{file}: not UTF-8 text", remedy="restore it, or take it away") from None
    except OSError as error:
        raise Refused(f"{file}: cannot be read: {error.strerror}", remedy="check its permissions") from None
