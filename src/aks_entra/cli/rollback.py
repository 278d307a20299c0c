"""`aks-entra rollback`: undo the reversible parts of a migration. A rollback has its own plan and its own gate."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.bounded_gather import bounded_gather
from aks_entra.cli import output
from aks_entra.cli.decision import Approver, Reason
from aks_entra.cli.deferred import prefect_client, wiring
from aks_entra.cli.earlier_reports import gather
from aks_entra.cli.migrate import Request, carry_out
from aks_entra.cli.plan_input import is_digest, is_plan, read_plan, read_settings, write_new
from aks_entra.cli.shown import keep, print_report, show_plan
from aks_entra.core.planning.job import Job
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, restored
from aks_entra.documents import dump_plan
from aks_entra.errors import Refused
from aks_entra.planning.rollback import chosen, plan_way_back
from aks_entra.probes.checks import stamp

if TYPE_CHECKING:
    from aks_entra.core.planning.plan import ClusterPlan, FleetPlan
    from aks_entra.core.verdict.verdict import Verdict


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(rollback)


def rollback(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="PLAN.json|DIGEST|CLUSTER",
            help="The plan that was carried out, then the clusters to roll back (default: all). "
            "With only clusters, their last plan is read from the Prefect server.",
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Only save the plan of the rollback. `migrate FILE` carries it out."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Approve exactly the plan that is shown.")] = False,
    local: output.Local = False,
    no_wait: output.NoWait = False,
    approver: Approver = None,
    reason: Reason = "approved with --yes",
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Undo the reversible parts of a migration: local accounts, admin groups and Azure RBAC.

    Microsoft Entra ID stays on, and rotated certificates stay rotated. The exit code is 0 if everything else was
    restored.
    """
    with output.guarded():
        if local and no_wait:
            output.usage(
                "--local stops when this command ends, so it cannot leave a run behind", remedy="leave out --no-wait"
            )
    plan = output.run(_plan(tuple(what)))
    _show(plan)
    if out is not None:
        _save(plan, out)
        return
    if not any(one.disposition == "migrate" for one in plan.clusters):
        if any(one.disposition in {"refused", "skipped"} for one in plan.clusters):
            with output.guarded():
                raise Refused("nothing can be rolled back", remedy="see the reasons above")
        output.say("nothing to roll back: no reversible part of the migration is left")
        return
    if local:
        output.run(output.confirm("Carry out this rollback?", yes=yes))
        output.run(_locally(plan, format_))
        return
    request = Request(
        source=None,
        resume=None,
        follow=None,
        yes=yes,
        local=False,
        wait=not no_wait,
        approver=approver,
        reason=reason,
        plan=plan,
    )
    output.run(carry_out(request, format_))


async def _plan(what: tuple[str, ...]) -> FleetPlan:
    done, names = await _done(what)
    settings = read_settings()
    records = await gather(None, settings, way_back=True)
    clusters = chosen(done, names)
    with output.progress(f"planning the rollback of {done.name} (reading only)"):
        async with wiring.open_session(settings, prover=done.prover.spec) as session:
            return await plan_way_back(session.ports, done, clusters, records)


async def _done(what: tuple[str, ...]) -> tuple[FleetPlan, tuple[str, ...]]:
    """Return the plan that was carried out, and the clusters that were named."""
    first, names = what[0], what[1:]
    if is_plan(Path(first)):
        return read_plan(Path(first)), names
    if not os.environ.get("PREFECT_API_URL"):
        raise Refused(
            f"{first} is not the file of a plan, and PREFECT_API_URL names no server to look it up",
            remedy="name a file that `plan --out` wrote, or set PREFECT_API_URL",
        )
    await prefect_client.require_server()
    if is_digest(first):
        return await prefect_client.load_plan(first), names
    return await prefect_client.last_plan_of(what), what


def _show(plan: FleetPlan) -> None:
    show_plan(plan)
    output.say(
        "Microsoft Entra ID can never be switched off again, and rotated certificates stay rotated.",
        style="dim",
    )


def _save(plan: FleetPlan, out: Path) -> None:
    with output.guarded():
        write_new(out, dump_plan(plan), replace=True)
    output.say(f"saved in {out} · to carry it out: aks-entra migrate {out}", style="good")


async def _locally(plan: FleetPlan, format_: output.Format) -> None:
    """Roll back every cluster in this process, so that it works without Prefect, and store the report in a file."""
    settings = read_settings()
    going = [one for one in plan.clusters if one.disposition != "nothing to do"]
    async with wiring.open_session(settings, prover=plan.prover.spec) as session:
        began = stamp(session.ports.clock)

        async def one(cluster: ClusterPlan) -> Verdict:
            verdict = await session.executor.migrate(Job(digest=plan.digest, plan=cluster, prover=plan.prover))
            output.say(f"  {cluster.cluster}: {verdict.because[0] if verdict.because else verdict.outcome}")
            return verdict

        try:
            verdicts = await bounded_gather(one, going, at_once=plan.stages[0].max_concurrency)
        except asyncio.CancelledError:
            output.say("stopped: Azure completes what was begun. Run the same command again to do the rest.")
            raise
        report = FleetReport(
            name=plan.name,
            plan_digest=plan.digest,
            started_at=began,
            ended_at=stamp(session.ports.clock),
            verdicts=verdicts,
        )
    keep(report, settings.evidence_dir)
    print_report(report, format_)
    known = {one.cluster.key: one for one in plan.clusters}
    if not all(
        one.outcome is Outcome.VERIFIED or restored(known[one.cluster.key], one)
        for one in report.verdicts
        if known[one.cluster.key].disposition == "migrate"
    ):
        raise typer.Exit(output.ExitCode.FAILED)
