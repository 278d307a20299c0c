"""`aks-entra rollback`: undo of a migration what can be undone, as a plan of its own, behind a gate of its own."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.migrate import Approver, Reason, Request, carry_out, print_report
from aks_entra.cli.planning import is_plan, read_plan, read_settings, write_new
from aks_entra.cli.records import gather
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from aks_entra.core.plan import ClusterPlan, FleetPlan
    from aks_entra.core.report import FleetReport
    from aks_entra.core.verdict import Verdict

_DIGEST = re.compile(r"(sha256:)?[0-9a-f]{6,64}", re.IGNORECASE)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(rollback)


def rollback(  # noqa: PLR0913 - one parameter for each option
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="PLAN.json|DIGEST [CLUSTER]...",
            help="The plan that was carried out (a file, or its digest at the Prefect server) and which of its "
            "clusters; or clusters alone, whose last plan is then looked up at the server.",
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Only save the plan of the rollback; `migrate FILE` carries it out."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Approve exactly the plan that is shown.")] = False,
    here: Annotated[
        bool, typer.Option("--here", help="Carry it out in this process, without Prefect: for the day it is down.")
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Start Prefect's server and a worker here, for this rollback only.")
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Start it and leave.")] = False,
    approver: Approver = None,
    reason: Reason = "approved with --yes",
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Undo of a migration what can be undone: local accounts on again, admin groups and Azure RBAC as they were.

    Microsoft Entra ID itself and the rotation stay. Exit code 0 when all that can be restored was.
    """
    with output.guarded():
        if here and (local or no_wait):
            output.usage("--here needs no Prefect and ends with this command", remedy="leave out --local and --no-wait")
        if local and no_wait:
            output.usage("--local ends with this command", remedy="leave out --no-wait")
    plan = output.run(_plan(tuple(what)))
    _show(plan)
    if out is not None:
        _save(plan, out)
        return
    if not any(one.disposition == "migrate" for one in plan.clusters):
        if any(one.disposition in {"refused", "skipped"} for one in plan.clusters):
            with output.guarded():
                raise Refused("nothing can be rolled back", remedy="see what holds it back above")
        output.say("nothing to roll back: nothing of the migration is left that could be undone")
        return
    if here:
        with output.guarded():
            output.confirm("Carry out this rollback?", yes=yes)
        output.run(_here(plan, format_))
        return
    request = Request(
        source=None,
        resume=None,
        follow=None,
        yes=yes,
        local=local,
        wait=not no_wait,
        approver=approver,
        reason=reason,
        plan=plan,
    )
    output.run(carry_out(request, format_))


async def _plan(what: tuple[str, ...]) -> FleetPlan:
    from aks_entra.wayback import chosen, plan_way_back  # noqa: PLC0415 - startup is quick without it
    from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

    done, names = await _done(what)
    settings = read_settings()
    records = await gather(None, settings)
    clusters = chosen(done, names)
    with output.progress(f"planning the way back of {done.name} (reading only)"):
        async with open_session(settings, prover=done.prover.spec) as session:
            return await plan_way_back(session.ports, done, clusters, records)


async def _done(what: tuple[str, ...]) -> tuple[FleetPlan, tuple[str, ...]]:
    """The plan that was carried out, and the clusters that were named."""
    first, names = what[0], what[1:]
    if is_plan(Path(first)):
        return read_plan(Path(first)), names
    if not os.environ.get("PREFECT_API_URL"):
        raise Refused(
            f"{first} is no plan's file, and no Prefect server is named that could know it",
            remedy="name the file that `plan --out` wrote, or set PREFECT_API_URL",
        )
    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

    await prefect_client.require_server()
    if _DIGEST.fullmatch(first):
        return await prefect_client.load_plan(first), names
    return await prefect_client.last_plan_of(what), what


def _show(plan: FleetPlan) -> None:
    from aks_entra.report.plan_text import render  # noqa: PLC0415 - startup is quick without it
    from aks_entra.report.plan_view import view_of  # noqa: PLC0415 - as above

    for part in render(view_of(plan)):
        output.stderr().print(part)
    output.say(
        "Only local accounts are truly reversible: Microsoft Entra ID can never be switched off again, "
        "and a rotation stays done.",
        style="dim",
    )


def _save(plan: FleetPlan, out: Path) -> None:
    from aks_entra.documents import dump_plan  # noqa: PLC0415 - startup is quick without it

    with output.guarded():
        write_new(out, dump_plan(plan), replace=True)
    output.say(f"saved in {out} · carry it out: aks-entra migrate {out}", style="good")


async def _here(plan: FleetPlan, format_: output.Format) -> None:
    """Every cluster of the plan in this process, the report into the folder for evidence."""
    from aks_entra.core.report import FleetReport  # noqa: PLC0415 - startup is quick without it
    from aks_entra.core.verdict import restored  # noqa: PLC0415 - as above
    from aks_entra.executor import Job  # noqa: PLC0415 - as above
    from aks_entra.proofs import stamp  # noqa: PLC0415 - as above
    from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

    settings = read_settings()
    going = [one for one in plan.clusters if one.disposition != "nothing to do"]
    async with open_session(settings, prover=plan.prover.spec) as session:
        began = stamp(session.ports.clock)
        places = asyncio.Semaphore(plan.stages[0].max_concurrency)

        async def one(cluster: ClusterPlan) -> Verdict:
            async with places:
                verdict = await session.executor.migrate(Job(digest=plan.digest, plan=cluster, prover=plan.prover))
            output.say(f"  {cluster.cluster}: {verdict.because[0] if verdict.because else verdict.outcome}")
            return verdict

        try:
            verdicts = await asyncio.gather(*(one(cluster) for cluster in going))
        except asyncio.CancelledError:
            output.say(
                "stopped: what was begun goes on in Azure; run the same command again, it does only what is left"
            )
            raise
        report = FleetReport(
            name=plan.name,
            plan_digest=plan.digest,
            started_at=began,
            ended_at=stamp(session.ports.clock),
            verdicts=tuple(verdicts),
        )
    keep(report, settings.evidence_dir)
    print_report(report, format_)
    known = {one.cluster.key: one for one in plan.clusters}
    if not all(
        one.outcome == "verified" or restored(known[one.cluster.key], one)
        for one in report.verdicts
        if known[one.cluster.key].disposition == "migrate"
    ):
        raise typer.Exit(output.ExitCode.FAILED)


def keep(report: FleetReport, folder: Path) -> None:
    """Store a report as a new file in the folder for evidence, where `plan` and `verify` find it."""
    from aks_entra.documents import dump_report  # noqa: PLC0415 - startup is quick without it

    name = re.sub(r"[^A-Za-z0-9.-]+", "-", report.name).strip("-")
    stamp = report.ended_at.replace(":", "").replace("-", "")[:15]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{stamp}-{report.digest[7:15]}.json"
    write_new(file, dump_report(report), replace=False)
    output.say(f"evidence stored in {file}", style="dim")
