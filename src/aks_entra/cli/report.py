"""`aks-entra report`: show a report with its evidence, or write it in several formats."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client, wiring
from aks_entra.cli.earlier_reports import read_report, unreachable
from aks_entra.cli.plan_input import read_settings, writable, write_new
from aks_entra.documents import dump_report
from aks_entra.errors import AksEntraError, Refused
from aks_entra.host.file_trust import readable_to_others
from aks_entra.ports.signing import SCHEME, KeyName
from aks_entra.report import attestation, csv_rows, html, junit, sarif, verdict_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aks_entra.core.verdict.report import FleetReport

_DIGEST = re.compile(r"(sha256:)?[0-9a-f]{4,64}", re.IGNORECASE)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def _file(name: str, what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(name, metavar="FILE", help=what, show_default=False)
    return option


def report(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DIGEST|FILE",
            help="A report file, or the digest of a plan (or its beginning) whose report is on the Prefect server.",
            show_default=False,
        ),
    ],
    *,
    html: Annotated[Path | None, _file("--html", "Write a self-contained page for people, which prints well.")] = None,
    junit: Annotated[Path | None, _file("--junit", "Write JUnit XML with one test case for each cluster.")] = None,
    sarif: Annotated[
        Path | None, _file("--sarif", "Write SARIF 2.1.0 with one result for each cluster that is not verified.")
    ] = None,
    csv: Annotated[Path | None, _file("--csv", "Write CSV with one line for each cluster.")] = None,
    json: Annotated[Path | None, _file("--json", "Write the report itself, with all evidence.")] = None,
    attest: Annotated[
        Path | None,
        _file("--attest", "Sign the report: write an in-toto statement in a DSSE envelope. Needs --key."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="FILE|KEY",
            help="What signs: a private key (PEM), whose file only its owner may be able to read, or a key in Azure "
            "Key Vault, azurekms://VAULT.vault.azure.net/KEY.",
            show_default=False,
        ),
    ] = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Show a report, or write it as HTML, JUnit, SARIF, CSV or JSON. Use - as FILE to write to standard output.

    --attest signs the file that --json writes, or else the report file itself. An auditor checks the signature with
    `cosign verify-blob-attestation`, and needs nothing of this program.
    """
    file = Path(source)
    with output.guarded():
        _require_different(file, {"html": html, "junit": junit, "sarif": sarif, "csv": csv, "json": json}, attest, key)
        signed = _Signing.of(attest, key, json, file) if attest or key else None
        found = read_report(file) if file.is_file() else output.run(_kept(source))
    with output.guarded():
        wanted = {"html": html, "junit": junit, "sarif": sarif, "csv": csv, "json": json}
        files = {kind: file for kind, file in wanted.items() if file is not None}
        for kind, file in files.items():
            text = _as(kind, found)
            if str(file) == "-":
                (output.emit_document if kind == "json" else output.emit_text)(text)
            else:
                write_new(file, text, replace=True)
                output.say(f"{kind}: {file}", style="dim")
        if signed is not None:
            output.run(signed.write(found))
    if any(str(file) == "-" for file in (*files.values(), attest)):
        return
    if format_ is output.Format.JSON:
        output.emit_document(_as("json", found))
        return
    output.emit(*verdict_text.render(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signing:
    """What is to be signed: the file that an auditor gets, the envelope's file, and a private key (PEM) or its name."""

    subject: Path
    envelope: Path
    key: bytes | KeyName = field(repr=False)

    @classmethod
    def of(cls, envelope: Path | None, key: str | None, json: Path | None, source: Path) -> _Signing:
        """Check the options. Raises Refused before anything is written."""
        if envelope is None or key is None:
            missing, there = ("--key", "--attest") if key is None else ("--attest", "--key")
            output.usage(f"{there} needs {missing} too", remedy=f"add {missing} FILE")
        subject = json or source
        if str(subject) == "-" or (json is None and not source.is_file()):
            output.usage(
                "--attest signs a file, and there is none",
                remedy="add --json FILE: the auditor needs that file beside the signature",
            )
        if str(envelope) != "-":
            writable(envelope, replace=True)
        found = KeyName.parse(key) if key.startswith(SCHEME) else _private(Path(key))
        if isinstance(found, bytes):
            attestation.signer_of(found)  # refuses a key that cannot sign
        return cls(subject=subject, envelope=envelope, key=found)

    async def write(self, report: FleetReport) -> None:
        """Write the envelope for the subject as it is on disk."""
        statement = attestation.statement(report, self.subject.name, self.subject.read_bytes())
        if isinstance(self.key, KeyName):
            async with wiring.open_signing_key(read_settings(), self.key) as key:
                signed = await attestation.sign_remotely(statement, key)
        else:
            signed = attestation.sign(statement, self.key)
        if str(self.envelope) == "-":
            output.emit_document(signed)
            return
        write_new(self.envelope, signed, replace=True)
        output.say(f"attestation of {self.subject}: {self.envelope}", style="dim")


def _require_different(source: Path, formats: Mapping[str, Path | None], attest: Path | None, key: str | None) -> None:
    """Raise Refused if two options name one file: the second would replace the first, or the private key.

    --json may name the report that is read: it writes the same report.
    """
    taken = {} if key is None or key.startswith(SCHEME) else {Path(key).resolve(): "--key"}
    if formats["json"] is None or formats["json"].resolve() != source.resolve():
        taken |= {source.resolve(): "the report that is read"}
    for name, file in (*((f"--{kind}", file) for kind, file in formats.items()), ("--attest", attest)):
        if file is None:
            continue
        if (place := file.resolve()) in taken:
            output.usage(f"{name} names the same file as {taken[place]}: {file}", remedy="name another file")
        taken[place] = name


def _private(key: Path) -> bytes:
    """Read the private key. Raises Refused if somebody else can read the file too."""
    try:
        if readable_to_others(key.stat()):
            raise Refused(f"{key}: other users can read this private key", remedy=f"chmod 600 {key}", field="--key")
        return key.read_bytes()
    except OSError as error:
        raise Refused(f"{key}: {error.strerror}", remedy="name the file with the private key", field="--key") from None


async def _kept(source: str) -> FleetReport:
    """Return the report that Prefect's server has stored under a plan's digest."""
    if not _DIGEST.fullmatch(source):
        raise Refused(f"{source}: no such file, and not a digest", remedy="name a report's file, or a plan's digest")
    if not os.environ.get("PREFECT_API_URL"):
        raise Refused(
            f"{source}: no such file, and PREFECT_API_URL names no server to look up a digest",
            remedy="export PREFECT_API_URL=…, or name a report's file",
        )
    try:
        found = await prefect_client.load_report(source)
    except AksEntraError:
        raise
    except Exception as error:
        raise unreachable(error) from error
    if found is None:
        raise Refused(
            f"this Prefect server has no report of plan {source}",
            remedy="check the digest; a report is stored when a run of the plan ends",
        )
    return found


def _as(kind: str, found: FleetReport) -> str:
    """Return the report in one of its formats."""
    match kind:
        case "html":
            return html.render(found)
        case "junit":
            return junit.render(found)
        case "sarif":
            return sarif.render(found)
        case "csv":
            return csv_rows.render(found)
        case _:
            return dump_report(found)
