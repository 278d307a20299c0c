"""`aks-entra plan`: what would happen to each cluster. Reads only; planning is the dry run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand
from typer.exceptions import TyperException

from aks_entra.cli import output
from aks_entra.cli.planning import located, read_fleet, read_settings, teller, with_skips, writable, write_new
from aks_entra.cli.records import EvidenceFrom, gather
from aks_entra.errors import AksEntraError

if TYPE_CHECKING:
    from aks_entra.core.callers import AuditedCallers
    from aks_entra.core.fleet import Fleet
    from aks_entra.core.plan import FleetPlan
    from aks_entra.wiring import Session

_FILES = 30  # days of a log that was handed in, where none is to be asked
CHANGES = 2  # Terraform's: 0 nothing to do, 1 error, 2 there are changes


class PlanFormat(StrEnum):
    """How a plan is printed."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


class PlanCommand(TyperCommand):
    """Wrong usage is Terraform's 1 where the exit code is detailed: 2 would be taken for "there are changes"."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options."""
        detailed = "--detailed-exitcode" in args
        try:
            return super().parse_args(ctx, args)
        except TyperException as error:
            error.exit_code = output.ExitCode.FAILED if detailed else error.exit_code
            raise


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(cls=PlanCommand, short_help="Show what would happen: the dry run.")(plan)


def plan(
    fleet: Annotated[
        Path, typer.Argument(metavar="FLEET.yaml", help="The fleet file; - reads standard input.", show_default=False)
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PLAN.json", help="Save the plan: what `migrate` takes.", show_default=False),
    ] = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help="As Terraform: exit 0 nothing to do, 1 error, 2 there are changes."),
    ] = False,
    evidence: EvidenceFrom = None,
    skip_rule: Annotated[
        list[str] | None,
        typer.Option(
            "--skip-rule",
            metavar="ID=REASON",
            help="Pass over a preflight rule; the reason stands in plan, digest and report. Repeatable.",
            show_default=False,
        ),
    ] = None,
    audit_log: Annotated[
        list[str] | None,
        typer.Option(
            "--audit-log",
            metavar="[CLUSTER=]FILE",
            help="An exported audit log (kube-audit): names who will break. CLUSTER: resource-group/name. Repeatable.",
            show_default=False,
        ),
    ] = None,
    audit_days: Annotated[
        int | None,
        typer.Option(
            "--audit-days",
            min=0,
            max=730,
            help="How many days of the audit log count; 0: Log Analytics is not asked. Default: the fleet file's.",
            show_default=False,
        ),
    ] = None,
    format_: Annotated[
        PlanFormat, typer.Option("--output", "-o", help="A table for people, Markdown for a ticket, JSON for programs.")
    ] = PlanFormat.TABLE,
) -> None:
    """Show what would happen to each cluster, what it costs, and who gains and loses access.

    Nothing is written to Azure. The digest at the end is what an approval names.
    """
    try:
        audit = Audit(files=tuple(audit_log or ()), days=audit_days)
        made = output.run(_plan(fleet, out, evidence, skip_rule or [], audit))
        _save(made, out)
        _show(made, format_)
    except typer.Exit as leaving:
        if detailed_exitcode and leaving.exit_code == output.ExitCode.REFUSED:
            raise typer.Exit(output.ExitCode.FAILED) from None
        raise
    if detailed_exitcode and made.step_count:
        raise typer.Exit(CHANGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Audit logs that say who will break, and how many of their days count; None: as many as the fleet file says."""

    files: tuple[str, ...] = ()
    days: int | None = None


async def _plan(
    path: Path, out: Path | None, evidence: list[Path] | None, skip_rules: list[str], audit: Audit
) -> FleetPlan:
    fleet = with_skips(read_fleet(path), skip_rules)
    if out is not None:
        writable(out, replace=True)
    with located(path):
        return await plan_of(fleet, evidence, audit)


async def plan_of(fleet: Fleet, evidence: list[Path] | None, audit: Audit | None = None) -> FleetPlan:
    """Read everything that a plan of the fleet rests on, and decide. Raises the four errors."""
    from aks_entra import survey  # noqa: PLC0415 - startup is quick without it
    from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

    settings = read_settings()
    if audit is not None and audit.days is not None:
        fleet = replace(fleet, audit_days=audit.days)
    with output.progress(f"planning {fleet.name} (reading only)") as tell:
        records = await gather(evidence, settings)
        async with open_session(settings, prover=fleet.prover) as session:
            return await survey.plan_fleet(
                session.ports,
                fleet,
                records,
                on_progress=teller(tell),
                callers=await _callers(session, audit, fleet.audit_days),
            )


async def _callers(session: Session, audit: Audit | None, days: int) -> dict[str, AuditedCallers]:
    """Who will break, by cluster, as the audit logs have it."""
    if audit is None or not audit.files:
        return {}
    from aks_entra.audit_log import read_audit_logs  # noqa: PLC0415 - startup is quick without it

    since = session.ports.clock.now() - timedelta(days=days or _FILES)
    return await asyncio.to_thread(read_audit_logs, audit.files, since)


def _save(made: FleetPlan, out: Path | None) -> None:
    from aks_entra.documents import dump_plan  # noqa: PLC0415 - as above

    if out is None:
        return
    try:
        write_new(out, dump_plan(made), replace=True)
    except AksEntraError as error:
        output.fail(error)
    output.say(f"plan saved to {out}", style="dim")


def _show(made: FleetPlan, format_: PlanFormat) -> None:
    if format_ is PlanFormat.JSON:
        from aks_entra.documents import dump_plan  # noqa: PLC0415 - startup is quick without it

        output.emit_text(dump_plan(made))
        return
    from aks_entra.report.plan_view import view_of  # noqa: PLC0415 - startup is quick without it

    if format_ is PlanFormat.MARKDOWN:
        from aks_entra.report.plan_markdown import render as markdown  # noqa: PLC0415 - as above

        output.emit_text(markdown(view_of(made)))
        return
    from aks_entra.report.plan_text import render  # noqa: PLC0415 - as above

    output.emit(*render(view_of(made)))
