"""Earlier reports as evidence: from files and folders, and from Prefect's server if one is named.

If a report in a folder or on the server cannot be read, a warning says so and its clusters become unknown: it may be
the report that saw accounts open. A file that was named itself must be readable.
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client
from aks_entra.core.evidence.rotation_debt import Sighting
from aks_entra.core.rollout.own_calls import recorded_in
from aks_entra.core.verdict.report import records_of
from aks_entra.documents import load_report
from aks_entra.documents.unreadable import Found, read_each
from aks_entra.errors import AksEntraError, Refused

if TYPE_CHECKING:
    from collections.abc import Collection

    from aks_entra.core.cluster import ClusterId
    from aks_entra.core.evidence.rotation_debt import Record
    from aks_entra.core.rollout.own_calls import OwnCall
    from aks_entra.core.verdict.report import FleetReport
    from aks_entra.documents.unreadable import Unread
    from aks_entra.settings import Settings

EvidenceFrom = Annotated[
    list[Path] | None,
    typer.Option(
        "--evidence",
        metavar="FILE|FOLDER",
        help="Judge old credentials by these reports (JSON). Can be repeated. Default: ./evidence, if it exists.",
        show_default=False,
    ),
]


async def gather(paths: list[Path] | None, settings: Settings, *, way_back: bool = False) -> tuple[Record, ...]:
    """Return what our reports say about accounts and CAs. A report that cannot be read becomes a record that says so.

    Raises Refused if a file that was named cannot be read, or if Prefect's server does not answer. With `way_back` the
    server's silence is only a warning, because a rollback never depends on records.
    """
    found = evidence_in(paths, settings)
    records = [record for key, report in found.read for record in records_of(report, Path(key).name)]
    records += [record for lost in found.unread for record in lost.records]
    say_unread(found.unread)
    if os.environ.get("PREFECT_API_URL"):
        try:
            kept = await prefect_client.records()
        except Exception as error:
            problem = error if isinstance(error, AksEntraError) else unreachable(error)
            if not way_back:
                raise problem from error
            output.say(f"{problem.message}: continuing without it", style="warning")
            kept = ()
        records += kept
        for key in sorted({one.source for one in kept if one.sighting is Sighting.UNREADABLE}):
            output.say(f"{key} on Prefect's server cannot be read", _UNKNOWN, style="warning")
    return tuple(records)


async def own_calls(
    paths: list[Path] | None, settings: Settings, clusters: Collection[ClusterId]
) -> dict[str, tuple[OwnCall, ...]]:
    """Return what was recorded of our own calls to clusters, by `ClusterId.key`: in our reports, and at the server.

    Raises Refused if Prefect's server does not answer.
    """
    found = recorded_in(clusters, [one for _, report in evidence_in(paths, settings).read for one in report.verdicts])
    if os.environ.get("PREFECT_API_URL"):
        try:
            kept = await prefect_client.recorded_calls(clusters)
        except Exception as error:
            raise (error if isinstance(error, AksEntraError) else unreachable(error)) from error
        found = {key: tuple(dict.fromkeys((*calls, *kept[key]))) for key, calls in found.items()}
    return found


_UNKNOWN = "  → restore it or delete it; until then it is unknown whether old credentials open its clusters"


def say_unread(unread: tuple[Unread, ...]) -> None:
    """Print a warning for each report that could not be read."""
    for lost in unread:
        output.say(str(lost), _UNKNOWN, style="warning")


def evidence_in(paths: list[Path] | None, settings: Settings) -> Found[FleetReport]:
    """Return the reports in the named files and folders, by file. Default: the settings' folder for evidence.

    Raises Refused if a named file does not exist, or is not a report.
    """
    named: list[tuple[str, FleetReport]] = []
    texts = []
    for path in dict.fromkeys(paths or [settings.evidence_dir]):
        if path.is_dir():
            texts += [(str(file), partial(_text, file)) for file in sorted(path.glob("*.json")) if _may_be_ours(file)]
        elif path.exists():
            named.append((str(path), read_report(path)))
        elif paths:
            raise Refused(f"{path}: no such file or folder", remedy="name a report, or a folder with reports")
    found = read_each(texts, load_report)
    return Found(read=(*named, *found.read), unread=found.unread)


def read_report(file: Path) -> FleetReport:
    """Return the report in a file. Raises Refused if the file is not a report, or was changed."""
    try:
        return load_report(_text(file))
    except AksEntraError as error:
        raise Refused(f"{file}: {error.message}", remedy=error.remedy or "restore it, or remove it") from error


def unreachable(error: Exception) -> Refused:
    """Return the error for a Prefect server that does not answer: no conclusion is drawn without its evidence."""
    url = os.environ.get("PREFECT_API_URL", "")
    shown = urlsplit(url)._replace(netloc=url.partition("//")[2].partition("/")[0].rpartition("@")[2]).geturl()
    return Refused(
        f"the evidence on Prefect's server ({shown}) cannot be read: "
        + ("it asks for authentication" if _unauthenticated(error) else type(error).__name__),
        remedy=("export its PREFECT_API_AUTH_STRING" if _unauthenticated(error) else "start the server")
        + ", or unset PREFECT_API_URL to continue without its evidence",
    )


def _unauthenticated(error: Exception) -> bool:
    """Whether the server refused a request without authentication. The HTTP client's error has the response."""
    return getattr(getattr(error, "response", None), "status_code", 0) in {401, 403}


def _may_be_ours(file: Path) -> bool:
    """Whether a JSON file is a report of ours, or is damaged and may have been one. Other files are ignored."""
    try:
        document = json.loads(_text(file))
    except (ValueError, RecursionError, Refused):
        return True
    return isinstance(document, dict) and document.get("kind") == "aks-entra/report"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Refused(f"{file}: not UTF-8 text", remedy="restore it, or remove it") from None
    except OSError as error:
        raise Refused(f"{file}: cannot be read: {error.strerror}", remedy="check its permissions") from None
