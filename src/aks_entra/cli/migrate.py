"""`aks-entra migrate`: carry out a plan through Prefect, gate by gate, and say how it ended."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli import without_gates as ungated
from aks_entra.cli.decision import Approver, Reason, Ticket, requester_for, signed_in
from aks_entra.cli.deferred import prefect_client
from aks_entra.cli.local.server import prefect_here
from aks_entra.cli.plan import plan_of
from aks_entra.cli.plan_input import is_digest, is_plan, read_plan, read_settings
from aks_entra.cli.progress_board import board
from aks_entra.cli.run_endings import detached, leave, unreported
from aks_entra.cli.shown import print_report, show_plan
from aks_entra.cli.skip_and_stop import leave_out, try_again
from aks_entra.core.verdict.verdict import Outcome, restored
from aks_entra.errors import Refused, Rejected
from aks_entra.fleet_file.model import load_fleet_file

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun

    from aks_entra.core.planning.gates import Side
    from aks_entra.core.planning.plan import FleetPlan
    from aks_entra.core.verdict.report import FleetReport
    from aks_entra.prefect_client import Gate

BY_YES = "approved with --yes"
SHORTEST = 6  # digits of a digest that name a plan


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(migrate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The arguments and options that were typed."""

    source: Path | None
    resume: str | None
    follow: str | None
    yes: bool
    local: bool
    wait: bool
    approver: str | None
    reason: str
    ticket: str = ""
    skip: tuple[str, ...] = ()
    retry: tuple[str, ...] = ()
    plan: FleetPlan | None = None  # a plan that was just made, instead of a source
    approves: str = ""  # with `follow` and `yes`: the beginning of the digest that is approved
    without_gates: bool = False


def migrate(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="PLAN.json|FLEET.yaml|DIGEST",
            help="A plan that `plan --out` saved, a fleet file, which is planned first, or the digest of a plan "
            "that is at the Prefect server, or the beginning of that digest.",
            show_default=False,
        ),
    ] = None,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Approve every gate of exactly this plan. The approval is recorded.")
    ] = False,
    local: output.Local = False,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="RUN", help="Continue a run that stopped, by its id.", show_default=False),
    ] = None,
    follow: Annotated[
        str | None,
        typer.Option("--follow", metavar="RUN", help="Only show the progress of a run.", show_default=False),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            "--skip", metavar="CLUSTER", help="With --resume: leave this cluster out. Needs --reason. Can be repeated."
        ),
    ] = None,
    retry: Annotated[
        list[str] | None,
        typer.Option(
            "--retry",
            metavar="CLUSTER",
            help="With --resume: try this cluster again, even if it was refused or skipped. Can be repeated.",
        ),
    ] = None,
    plan: Annotated[
        str,
        typer.Option(
            "--plan",
            metavar="DIGEST",
            help="With --follow --yes: approve the plan with this digest.",
            show_default=False,
        ),
    ] = "",
    without_gates: Annotated[
        bool,
        typer.Option(
            "--without-gates",
            help="Allow the stages without a gate (`gate_before: false`) to begin. This decision is recorded.",
        ),
    ] = False,
    no_wait: output.NoWait = False,
    approver: Approver = None,
    reason: Reason = BY_YES,
    ticket: Ticket = "",
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Migrate a fleet through Prefect: stages, gates, batches, verdicts.

    The exit code is 0 only if every cluster of the plan is verified.
    """
    with output.guarded():
        if sum(one is not None for one in (source, resume, follow)) != 1:
            output.usage(
                "nothing, or more than one thing, was named to migrate",
                remedy="name one plan, by its file or digest, one fleet file, or one run with --resume or --follow",
            )
        if (skip or retry) and resume is None:
            output.usage("--skip and --retry need a run to resume", remedy="add --resume RUN")
        if skip and reason == BY_YES:
            output.usage("skipping a cluster needs a reason", remedy="add --reason; the report contains it")
        if local and no_wait:
            output.usage(
                "--local stops when this command ends, so it cannot leave a run behind", remedy="leave out --no-wait"
            )
        if follow is not None and yes and len(plan.removeprefix("sha256:")) < SHORTEST:
            output.usage(
                "--yes would approve the plan of a run that somebody else may have started",
                remedy=f"name the plan that you read: --plan DIGEST ({SHORTEST} digits at least)",
            )
        if plan and not (follow is not None and yes):
            output.usage("--plan needs --follow and --yes", remedy="leave it out")
        if follow is not None and without_gates:
            output.usage("--without-gates can only be given when a run is started", remedy="leave it out")
    request = Request(
        source=source,
        resume=resume,
        follow=follow,
        yes=yes,
        local=local,
        wait=not no_wait,
        approver=approver,
        reason=reason,
        ticket=ticket,
        skip=tuple(skip or ()),
        retry=tuple(retry or ()),
        approves=plan.removeprefix("sha256:").lower(),
        without_gates=without_gates,
    )
    output.run(carry_out(request, format_))


async def carry_out(request: Request, format_: output.Format) -> None:
    """Start or find the run, follow it, and print its report. Exits with 1 unless everything that was due is proven."""
    async with AsyncExitStack() as stack:
        if request.local:
            await stack.enter_async_context(prefect_here(tell=output.say))
        await prefect_client.require_online()
        run = await _start(request)
        page = prefect_client.page_of(run.id)
        if not request.wait:
            leave(run.id, page, format_)
            return
        output.say(f"run {run.name} · {page}")
        try:
            plan = await _follow(run.id, request, format_)
        except asyncio.CancelledError:
            detached(run.id, page, local=request.local)
            raise
        report = await prefect_client.report_of(run.id)
    if report is None or plan is None:
        raise await unreported(run.id)
    print_report(report, format_)
    if not _sound(plan, report):
        raise typer.Exit(output.ExitCode.FAILED)


async def _start(request: Request) -> FlowRun:
    """Start, resume or find the run, and return it."""
    if request.follow is not None:
        return await prefect_client.find_run(request.follow)
    if request.resume is not None:
        old = await prefect_client.find_run(request.resume)
        digest = await prefect_client.noted_plan(old.id)
        if digest is None:
            raise Refused(f"run {old.name} died before it had a plan", remedy="start it again from the fleet file")
        await _members(request, digest)
        stored = await prefect_client.load_plan(digest)
        token, requester = await _token(stored, request), await requester_for(stored.stages, stored.rotation)
        return await prefect_client.resume(str(old.id), digest, token=token, requester=requester, tell=output.say)
    if request.source is None:
        if request.plan is None:
            raise AssertionError  # pragma: no cover - one of the four is given
        return await _start_plan(request.plan, request)
    if (named := await _named_plan(request.source)) is not None:
        return await _start_plan(named, request)
    fleet = load_fleet_file(request.source)
    wanted = fleet.to_fleet()
    if ungated.require_typed(wanted.stages, wanted.rotation, typed=request.without_gates):
        plan = await plan_of(wanted, None)
        show_plan(plan)
        return await _start_plan(plan, request)
    requester = await requester_for(wanted.stages, wanted.rotation)
    return await prefect_client.start_fleet(fleet.to_parameter(), requester=requester)


async def _named_plan(source: Path) -> FleetPlan | None:
    """Return the plan in a file, or the stored plan with this digest. None if the source is a fleet file."""
    if is_digest(str(source)):
        return await prefect_client.load_plan(str(source))
    return read_plan(source) if is_plan(source) else None


async def _start_plan(plan: FleetPlan, request: Request) -> FlowRun:
    """Store a plan and start a coordinator for it. If stages begin without an approval, record who typed that."""
    ungated.require_typed(plan.stages, plan.rotation, typed=request.without_gates)
    await prefect_client.store_plan(plan)
    token, requester = await _token(plan, request), await requester_for(plan.stages, plan.rotation)
    return await prefect_client.start_migration(plan.digest, token=token, requester=requester)


async def _token(plan: FleetPlan, request: Request) -> str:
    """Return the token that binds `--without-gates` to one run of this plan."""
    return await ungated.token_for(plan, typed=request.without_gates, approver=request.approver, reason=request.reason)


async def _members(request: Request, digest: str) -> None:
    """Record which clusters are skipped and which are tried again, before the rollout continues."""
    if not request.skip and not request.retry:
        return
    plan, by = await prefect_client.load_plan(digest), request.approver or await signed_in()
    await try_again(plan, list(request.retry), by=by)
    if request.skip:
        await leave_out(plan, list(request.skip), reason=request.reason, by=by)


async def _follow(run: UUID, request: Request, format_: output.Format) -> FleetPlan | None:
    """Show progress until the run ends. At a gate say how to approve, or approve. Returns the plan, if there is one."""
    plan: FleetPlan | None = None
    first = ""
    shown_plans = {request.plan.digest} if request.plan else set[str]()  # `rollback` showed its own
    seen: set[str] = set()
    stored = prefect_client.StoredVerdicts()
    reached: dict[tuple[str, Side], datetime] = {}
    waits = ""
    with board(format_, request_rate=read_settings().request_rate) as shown:
        async for now in prefect_client.follow(run):
            moved = now.gate is not None and plan is not None and now.gate.plan != plan.digest
            if (plan is None or moved) and (digest := await prefect_client.noted_plan(run)):
                plan = await prefect_client.load_plan(digest)
                first = first or digest
                if moved or (request.source is not None and not is_plan(request.source)):
                    show_plan(plan)
                    shown_plans.add(plan.digest)
            if plan and now.run.waits and now.run.message != waits:  # the wait of a gate has begun
                reached, waits = await prefect_client.all_reached(plan), now.run.message
            shown.show(now, plan, await stored.with_batches(plan, now.batches) if plan else None, reached)
            if now.gate and plan and now.gate.asked not in seen:
                seen.add(now.gate.asked)
                if request.yes and plan.digest not in shown_plans:
                    show_plan(plan)  # a plan is shown before it is approved
                    shown_plans.add(plan.digest)
                await _at_gate(now.gate, plan, request, first)
    digest = await prefect_client.noted_plan(run)
    return await prefect_client.load_plan(digest) if digest else None


async def _at_gate(gate: Gate, plan: FleetPlan, request: Request, first: str) -> None:
    """Say how to approve. With --yes, approve exactly the plan that the command was given or that --plan names."""
    stage, digits = plan.stages[gate.stage].name, prefect_client.short(plan.digest)
    output.say(f"Gate {gate.moment} stage {stage}: waiting for approval · {gate.page}", style="warning")
    conditions = plan.stages[gate.stage].gate(gate.moment)
    signed = conditions is not None and conditions.approvers is not None
    if request.yes and signed:
        output.say("  --yes cannot sign: a person signs this approval at Microsoft Entra ID", style="warning")
    if not request.yes or signed:
        output.say(f"  aks-entra approve {str(gate.run)[:8]} --plan {digits} --reason CHG-…")
        return
    if request.follow is not None and not prefect_client.hexadecimal(gate.plan).startswith(request.approves):
        raise Refused(
            f"the gate asks about plan {digits}, but --plan names {request.approves}",
            remedy=f"read that plan, then approve it by its own digest: --plan {digits}",
        )
    if request.follow is None and gate.plan != first:
        why = "the rotation has a plan of its own" if plan.follows else "clusters moved"
        raise Rejected(
            f"{why}: the gate asks about plan {digits}, but --yes approves another one",
            remedy=f"read what changed, then: aks-entra approve {str(gate.run)[:8]} --plan {digits} --reason …; "
            f"aks-entra migrate --follow {str(gate.run)[:8]}",
        )
    name = request.approver or await signed_in()
    await prefect_client.decide(
        str(gate.run),
        gate.plan,
        decision="approve",
        approver=name,
        reason=request.reason,
        ticket=request.ticket,
    )
    output.say(f"  ✓ approved by --yes: plan {digits}, as {name}, a claim ({request.reason})", style="good")


def _sound(plan: FleetPlan, report: FleetReport) -> bool:
    """Whether everything that was due was done and proven. Clusters that the plan itself refuses do not count."""
    wanted = {one.cluster.key: one for one in plan.clusters if one.disposition in {"migrate", "nothing to do"}}
    return all(
        not one.hooks_left and (one.outcome is Outcome.VERIFIED or restored(wanted[one.cluster.key], one))
        for one in report.verdicts
        if one.cluster.key in wanted
    )
