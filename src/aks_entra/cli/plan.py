"""`aks-entra plan`: show what a migration would do to each cluster. It only reads: the plan is the dry run."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand
from typer.exceptions import TyperException

from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client, wiring
from aks_entra.cli.earlier_reports import EvidenceFrom, gather, own_calls
from aks_entra.cli.plan_input import located, read_fleet, read_settings, teller, with_skips, writable, write_new
from aks_entra.core.durations import moment
from aks_entra.core.estimate.durations import recorded
from aks_entra.core.estimate.expected import expected_time
from aks_entra.core.planning.fleet import ReadAs
from aks_entra.documents import dump_plan
from aks_entra.errors import AksEntraError
from aks_entra.planning import planner
from aks_entra.planning.audit_log_file import read_audit_logs
from aks_entra.report.plan_markdown import render as markdown
from aks_entra.report.plan_text import render
from aks_entra.report.plan_view import view_of

if TYPE_CHECKING:
    from aks_entra.core.estimate.durations import Durations
    from aks_entra.core.evidence.rotation_debt import Record
    from aks_entra.core.planning.fleet import Fleet
    from aks_entra.core.planning.parts import FleetPart
    from aks_entra.core.planning.plan import FleetPlan
    from aks_entra.core.preflight.audit_callers import AuditedCallers
    from aks_entra.planning.audit_logs import OwnCalls
    from aks_entra.settings import Settings
    from aks_entra.wiring import Session

_FILES = 30  # days of an exported log that count if Log Analytics is not asked
CHANGES = 2  # Terraform's: 0 nothing to do, 1 error, 2 there are changes


class PlanFormat(StrEnum):
    """How a plan is printed."""

    TABLE = "table"
    JSON = "json"
    MARKDOWN = "markdown"


class PlanCommand(TyperCommand):
    """Exits with Terraform's 1 on wrong usage if the exit code is detailed: 2 would mean "there are changes"."""

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
    app.command(cls=PlanCommand)(plan)


def plan(
    fleet: Annotated[
        Path,
        typer.Argument(metavar="FLEET.yaml", help="The fleet file. Use - to read standard input.", show_default=False),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="PLAN.json", help="Save the plan in this file, for `migrate`.", show_default=False
        ),
    ] = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option(
            "--detailed-exitcode", help="Exit as Terraform does: 0 nothing to do, 1 error, 2 there are changes."
        ),
    ] = False,
    evidence: EvidenceFrom = None,
    skip_rule: Annotated[
        list[str] | None,
        typer.Option(
            "--skip-rule",
            metavar="ID=REASON",
            help="Skip a preflight rule. Plan, digest and report contain the reason. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    audit_log: Annotated[
        list[str] | None,
        typer.Option(
            "--audit-log",
            metavar="[CLUSTER=]FILE",
            help="Read an exported kube-audit log to find who will lose access. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    audit_days: Annotated[
        int | None,
        typer.Option(
            "--audit-days",
            min=0,
            max=730,
            help="Use this many days of the audit log. With 0, do not ask Log Analytics. Default: the fleet file's.",
            show_default=False,
        ),
    ] = None,
    read_with_admin: Annotated[
        bool,
        typer.Option(
            "--read-with-admin",
            help="Where the prover cannot read the workloads, let Azure hand out the admin credential for one read.",
        ),
    ] = False,
    format_: Annotated[
        PlanFormat,
        typer.Option("--output", "-o", help="Print a table for people, Markdown for a ticket, or JSON for programs."),
    ] = PlanFormat.TABLE,
) -> None:
    """Show what a migration would change in each cluster, what it costs, and who gains or loses access.

    Nothing is written to Azure. An approval names the digest that is printed at the end.
    """
    try:
        audit = Audit(files=tuple(audit_log or ()), days=audit_days)
        read = ReadAs.ADMIN_CREDENTIAL if read_with_admin else None
        made, durations = output.run(_plan(fleet, out, evidence, skip_rule or [], audit, read))
        _save(made, out)
        _show(made, durations, format_)
    except typer.Exit as leaving:
        if detailed_exitcode and leaving.exit_code == output.ExitCode.REFUSED:
            raise typer.Exit(output.ExitCode.FAILED) from None
        raise
    if detailed_exitcode and made.step_count:
        raise typer.Exit(CHANGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Exported audit logs, and how many of their days count. None: as many as the fleet file says."""

    files: tuple[str, ...] = ()
    days: int | None = None


async def _plan(
    path: Path,
    out: Path | None,
    evidence: list[Path] | None,
    skip_rules: list[str],
    audit: Audit,
    read: ReadAs | None,
) -> tuple[FleetPlan, Durations]:
    fleet = with_skips(read_fleet(path), skip_rules)
    fleet = replace(fleet, read=read or fleet.read)
    if out is not None:
        writable(out, replace=True)
    with located(path):
        return await _with_durations(fleet, evidence, audit)


async def plan_of(fleet: Fleet, evidence: list[Path] | None) -> FleetPlan:
    """Read everything that a plan of the fleet needs, and plan it."""
    plan, _ = await _with_durations(fleet, evidence, None)
    return plan


async def _with_durations(
    fleet: Fleet, evidence: list[Path] | None, audit: Audit | None
) -> tuple[FleetPlan, Durations]:
    """Return a plan of the fleet, and how long its steps take, as earlier reports tell."""
    settings = read_settings()
    if audit is not None and audit.days is not None:
        fleet = replace(fleet, audit_days=audit.days)
    with output.progress(f"planning {fleet.name} (reading only)") as tell:
        records, own = await gather(evidence, settings), partial(own_calls, evidence, settings)
        async with wiring.open_session(settings, prover=fleet.prover) as session:
            plan = await planner.plan_fleet(
                session.ports,
                fleet,
                records,
                on_progress=teller(tell),
                callers=await _callers(session, audit, fleet.audit_days),
                on_note=lambda note: output.say(note, style="dim"),
                elsewhere=partial(_elsewhere, settings, records, own),
                own_calls=own,
            )
    return plan, recorded(records, poll_interval=settings.poll_interval)


async def _elsewhere(settings: Settings, records: tuple[Record, ...], own: OwnCalls, part: FleetPart) -> FleetPlan:
    """Plan a part of a fleet: by a worker of its work queue. Without a Prefect server, from here, as its prover."""
    if part.work_queue and os.environ.get("PREFECT_API_URL"):
        return await prefect_client.plan_elsewhere(part)
    async with wiring.open_session(settings, prover=part.fleet.prover) as session:
        return await planner.plan_fleet(session.ports, part.fleet, records, own_calls=own)


async def _callers(session: Session, audit: Audit | None, days: int) -> dict[str, AuditedCallers]:
    """Return who will lose access, by cluster key, as the audit logs show."""
    if audit is None or not audit.files:
        return {}
    now = session.ports.clock.now()
    return await asyncio.to_thread(read_audit_logs, audit.files, now - timedelta(days=days or _FILES), now)


def _save(made: FleetPlan, out: Path | None) -> None:
    if out is None:
        return
    try:
        write_new(out, dump_plan(made), replace=True)
    except AksEntraError as error:
        output.fail(error)
    output.say(f"plan saved to {out}", style="dim")


def _show(made: FleetPlan, durations: Durations, format_: PlanFormat) -> None:
    rate = read_settings().request_rate
    if format_ is PlanFormat.JSON:
        expected = expected_time(made, moment(made.created_at), durations=durations, request_rate=rate)
        output.emit_document(dump_plan(made, expected))
        return
    view = view_of(made, durations=durations, request_rate=rate)
    if format_ is PlanFormat.MARKDOWN:
        output.emit_text(markdown(view))
        return
    output.emit(*render(view))
