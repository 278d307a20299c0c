"""`aks-entra migrate` and `aks-entra approve`: carry out a plan through Prefect, gate by gate, and say how it ended."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.board import board
from aks_entra.cli.planning import is_plan, read_plan
from aks_entra.errors import Refused, Rejected

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun

    from aks_entra.core.plan import FleetPlan
    from aks_entra.core.report import FleetReport
    from aks_entra.prefect_client import Gate

Approver = Annotated[
    str | None,
    typer.Option("--approver", metavar="NAME", help="Who decides. Default: who is signed in.", show_default=False),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")]
BY_YES = "approved with --yes"
Ticket = Annotated[str, typer.Option("--ticket", metavar="ID", help="The change ticket.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(migrate)
    app.command()(approve)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was typed."""

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
    plan: FleetPlan | None = None  # one that was made just now, instead of a source


def migrate(  # noqa: PLR0913 - one parameter for each option
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="PLAN.json|FLEET.yaml",
            help="A plan saved with `plan --out`, or a fleet file (it is planned first).",
            show_default=False,
        ),
    ] = None,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Approve the gates of exactly this plan. The approval is recorded.")
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Start Prefect's server and a worker here, for this migration only.")
    ] = False,
    resume: Annotated[
        str | None,
        typer.Option("--resume", metavar="RUN", help="Go on where a dead run stopped (its id).", show_default=False),
    ] = None,
    follow: Annotated[
        str | None,
        typer.Option("--follow", metavar="RUN", help="Only look on at a run that goes on.", show_default=False),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option("--skip", metavar="CLUSTER", help="With --resume: leave it out. Needs --reason. Repeatable."),
    ] = None,
    retry: Annotated[
        list[str] | None,
        typer.Option(
            "--retry", metavar="CLUSTER", help="With --resume: try it again, also if refused or skipped. Repeatable."
        ),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Start it and leave.")] = False,
    approver: Approver = None,
    reason: Reason = BY_YES,
    ticket: Ticket = "",
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Migrate a fleet through Prefect: stages, gates, batches, verdicts.

    Exit code 0 only when every cluster that was to be migrated is verified.
    """
    with output.guarded():
        if sum(one is not None for one in (source, resume, follow)) != 1:
            output.usage("what is to be migrated?", remedy="name one plan or fleet file, or --resume or --follow a run")
        if (skip or retry) and resume is None:
            output.usage("--skip and --retry are for a rollout that is resumed", remedy="name it: --resume RUN")
        if skip and reason == BY_YES:
            output.usage("a member is skipped for a reason", remedy="add --reason; it stands in the report")
        if local and no_wait:
            output.usage("--local ends with this command", remedy="leave out --no-wait")
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
    )
    output.run(carry_out(request, format_))


def approve(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The waiting run: the beginning of its id, or its name.")],
    *,
    plan: Annotated[str, typer.Option("--plan", metavar="DIGEST", help="The plan's digest, six digits at least.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")],
    ticket: Ticket = "",
    approver: Approver = None,
    reject: Annotated[
        bool, typer.Option("--reject", help="Reject: this stage and those after it are skipped.")
    ] = False,
) -> None:
    """Decide at a gate. The decision holds for exactly the plan that is named."""
    output.run(decide_at_gate(run, plan, reason=reason, ticket=ticket, approver=approver, reject=reject))


async def decide_at_gate(
    run: str, plan: str, *, reason: str, approver: str | None, reject: bool, ticket: str = ""
) -> None:
    """Answer the gate of a waiting run in the name of who is signed in, or of `approver`."""
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    await prefect_client.require_server()
    name = approver or await signed_in()
    gate = await prefect_client.decide(
        run, plan, decision="reject" if reject else "approve", approver=name, reason=reason, ticket=ticket
    )
    numbered = f", ticket {ticket}" if ticket else ""
    output.say(f"✓ {'rejected' if reject else 'approved'} by {name} ({reason}{numbered})", style="good")
    output.say(f"  {gate.page}")


async def carry_out(request: Request, format_: output.Format) -> None:
    """Start or find the run, follow it, print its report. Leaves with exit code 1 unless all that was due is proven."""
    async with AsyncExitStack() as stack:
        if request.local:
            from aks_entra.cli.local import prefect_here  # noqa: PLC0415 - only where it is asked for

            await stack.enter_async_context(prefect_here(tell=output.say))
        from aks_entra import prefect_client  # noqa: PLC0415 - after its environment was set; it takes a second

        await prefect_client.require_online()
        run = await _start(request)
        page = prefect_client.page_of(run.id)
        if not request.wait:
            _leave(run.id, page, format_)
            return
        output.say(f"run {run.name} · {page}")
        try:
            plan = await _follow(run.id, request)
        except asyncio.CancelledError:
            _detached(run.id, page, local=request.local)
            raise
        report = await prefect_client.report_of(run.id)
    if report is None or plan is None:
        raise await unreported(run.id)
    print_report(report, format_)
    if not _sound(plan, report):
        raise typer.Exit(output.ExitCode.FAILED)


async def _start(request: Request) -> FlowRun:
    """The run to follow: started, resumed, or found."""
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    if request.follow is not None:
        return await prefect_client.find_run(request.follow)
    if request.resume is not None:
        old = await prefect_client.find_run(request.resume)
        digest = await prefect_client.noted_plan(old.id)
        if digest is None:
            raise Refused(f"run {old.name} died before it had a plan", remedy="start it again from the fleet file")
        await _members(request, digest)
        return await prefect_client.resume(str(old.id), digest)
    if request.plan is not None:
        await prefect_client.store_plan(request.plan)
        return await prefect_client.start_migration(request.plan.digest)
    if request.source is None:
        raise AssertionError  # pragma: no cover - one of the four is there
    if is_plan(request.source):
        plan = read_plan(request.source)
        await prefect_client.store_plan(plan)
        return await prefect_client.start_migration(plan.digest)
    from aks_entra.fleet_file import load_fleet_file  # noqa: PLC0415 - as above

    fleet = load_fleet_file(request.source)
    return await prefect_client.start_fleet(fleet.model_dump(mode="json", exclude_defaults=True))


async def _members(request: Request, digest: str) -> None:
    """Note who is skipped and who is tried again, before the rollout goes on."""
    if not request.skip and not request.retry:
        return
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import
    from aks_entra.cli.members import leave_out, try_again  # noqa: PLC0415 - it knows this module

    plan, by = await prefect_client.load_plan(digest), request.approver or await signed_in()
    await try_again(plan, list(request.retry), by=by)
    if request.skip:
        await leave_out(plan, list(request.skip), reason=request.reason, by=by)


async def _follow(run: UUID, request: Request) -> FleetPlan | None:
    """Show progress until the run ended; at gates say how to approve, or approve. Returns the plan, if any."""
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    plan: FleetPlan | None = None
    first = ""
    seen: set[str] = set()
    with board() as shown:
        async for now in prefect_client.follow(run):
            moved = now.gate is not None and plan is not None and now.gate.plan != plan.digest
            if (plan is None or moved) and (digest := await prefect_client.noted_plan(run)):
                plan = await prefect_client.load_plan(digest)
                first = first or digest
                if moved or (request.source is not None and not is_plan(request.source)):
                    _show_plan(plan)
            shown.show(now)
            if now.gate and plan and now.gate.asked not in seen:
                seen.add(now.gate.asked)
                await _at_gate(now.gate, plan, request, first)
    digest = await prefect_client.noted_plan(run)
    return await prefect_client.load_plan(digest) if digest else None


async def _at_gate(gate: Gate, plan: FleetPlan, request: Request, first: str) -> None:
    """Say how to approve; or approve, where that was asked for, exactly the plan that was first."""
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    stage, digits = plan.stages[gate.stage].name, prefect_client.short(plan.digest)
    output.say(f"Gate {gate.moment} stage {stage}: waiting for approval · {gate.page}", style="warning")
    if not request.yes:
        output.say(f"  aks-entra approve {str(gate.run)[:8]} --plan {digits} --reason CHG-…")
        return
    if gate.plan != first:
        why = "the rotation has a plan of its own" if plan.follows else "clusters moved"
        raise Rejected(
            f"{why}: the gate asks about plan {digits}, and --yes approves another one",
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
    output.say(f"  ✓ approved by --yes: plan {digits}, as {name} ({request.reason})", style="good")


async def signed_in() -> str:
    """What the identity that runs is called: it stands in the approval, as a claim."""
    from aks_entra.settings import Settings  # noqa: PLC0415 - startup is quick without it
    from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

    async with open_session(Settings()) as session:
        caller = await session.ports.callers.runner()
    return caller.name or caller.object_id


def _show_plan(plan: FleetPlan) -> None:
    from aks_entra.report.plan_text import render  # noqa: PLC0415 - startup is quick without it
    from aks_entra.report.plan_view import view_of  # noqa: PLC0415 - as above

    for part in render(view_of(plan)):
        output.stderr().print(part)


def print_report(report: FleetReport, format_: output.Format) -> None:
    """A report on stdout: as a table with its reasons, or whole as JSON."""
    if format_ is output.Format.JSON:
        from aks_entra.documents import dump_report  # noqa: PLC0415 - startup is quick without it

        output.emit_text(dump_report(report))
        return
    from aks_entra.report.verdict_text import render  # noqa: PLC0415 - as above

    output.emit(*render(report))


def _sound(plan: FleetPlan, report: FleetReport) -> bool:
    """Whether everything that was to be done was done and proven. What the plan itself refused is no failure."""
    from aks_entra.core.verdict import Outcome, restored  # noqa: PLC0415 - startup is quick without it

    wanted = {one.cluster.key: one for one in plan.clusters if one.disposition in {"migrate", "nothing to do"}}
    return all(
        one.outcome is Outcome.VERIFIED or restored(wanted[one.cluster.key], one)
        for one in report.verdicts
        if one.cluster.key in wanted
    )


async def unreported(run: UUID) -> Refused | Rejected:
    """A run that ended without a report: before it had a plan nothing was written; after that somebody must look."""
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    view = await prefect_client.look_at(run)
    why = view.message or f"it ended {view.state}"
    digest = await prefect_client.noted_plan(run)
    if digest is None:
        return Refused(f"the run could not begin: {why}", remedy=f"its log: {view.page}")
    await _where_they_stand(digest)
    return Rejected(
        f"the run ended {view.state} without a report: {why}", remedy=f"aks-entra migrate --resume {str(run)[:8]}"
    )


async def _where_they_stand(digest: str) -> None:
    """For each cluster of a run that ended without a report: where it stands, and how it goes on."""
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    plan, known = await prefect_client.load_plan(digest), await prefect_client.verdicts(digest)
    for one in plan.clusters:
        verdict = known.get(one.cluster.key)
        if verdict is not None:
            output.say(f"  {one.cluster}: {verdict.outcome} · {verdict.because[0]}")
        elif one.disposition == "migrate":
            output.say(f"  {one.cluster}: not begun, or its batch has not said yet; `--resume` reads Azure and goes on")


def _leave(run: UUID, page: str, format_: output.Format) -> None:
    if format_ is output.Format.JSON:
        output.emit_json({"kind": "aks-entra/run", "run": str(run), "page": page})
    else:
        output.emit_text(f"started {page}\n  look on: aks-entra migrate --follow {str(run)[:8]}")


def _detached(run: UUID, page: str, *, local: bool) -> None:
    short = str(run)[:8]
    if local:
        output.say(f"stopped with the local server · go on later: aks-entra migrate --local --resume {short}")
        return
    output.say(f"the run goes on: {page}")
    output.say(f"  look on: aks-entra migrate --follow {short} · cancel: prefect flow-run cancel {run}")
