"""`aks-entra verify`: check clusters from outside, and say what is proven. It only reads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.bounded_gather import bounded_gather
from aks_entra.cli import output
from aks_entra.cli.deferred import prefect_client, wiring
from aks_entra.cli.earlier_reports import evidence_in, gather, say_unread, unreachable
from aks_entra.cli.plan_input import (
    LARGEST_KUBECONFIG,
    is_plan,
    located,
    read_fleet,
    read_plan,
    read_settings,
    teller,
    writable,
    write_new,
)
from aks_entra.cli.shown import print_report
from aks_entra.core.durations import stamp
from aks_entra.core.planning.job import Job
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.documents import dump_report
from aks_entra.errors import AksEntraError, Refused
from aks_entra.planning import planner
from aks_entra.planning.group_drift import groups_seen, of_cluster
from aks_entra.text.safe import for_file_name
from aks_entra.verification.fleet import Known, kept_evidence, verify_cluster

if TYPE_CHECKING:
    from collections.abc import Callable

    from aks_entra.core.cluster import ClusterId
    from aks_entra.core.evidence.observations import Evidence
    from aks_entra.core.planning.plan import ClusterPlan, FleetPlan
    from aks_entra.core.verdict.verdict import Verdict
    from aks_entra.ports.migration import HeldCredential, Journal
    from aks_entra.settings import Settings
    from aks_entra.wiring import Session

AT_A_TIME = 20  # clusters that are verified at the same time
_KUBECONFIG = "name a kubeconfig that `az aks get-credentials --admin` wrote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The arguments and options that were typed."""

    source: Path
    evidence: Path | None
    kubeconfigs: tuple[tuple[str, str], ...]  # name of the cluster, and the text of its old kubeconfig


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FLEET.yaml|PLAN.json",
            help="A fleet file, or the plan that was carried out.",
            show_default=False,
        ),
    ],
    *,
    old_kubeconfig: Annotated[
        list[str] | None,
        typer.Option(
            "--old-kubeconfig",
            metavar="CLUSTER=FILE",
            help="Try this old admin kubeconfig, which must be refused. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(
            "--evidence",
            metavar="FILE|FOLDER",
            help="Store the report in this new file, or in this folder, whose reports are read as well. "
            "Default: read ./evidence, if it exists, and store nothing.",
            show_default=False,
        ),
    ] = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Check each cluster from outside, and say what is proven.

    Members of the admin group can sign in; Azure refuses to hand out admin credentials; old credentials no longer
    work; nodes are Ready. Nothing is written to Azure. The exit code is 0 only if every cluster is verified.
    """
    with output.guarded():
        request = Request(source=source, evidence=evidence, kubeconfigs=_kubeconfigs(old_kubeconfig or []))
    report = output.run(_verify(request))
    print_report(report, format_)
    if any(verdict.outcome is not Outcome.VERIFIED for verdict in report.verdicts) or not report.verdicts:
        raise typer.Exit(output.ExitCode.FAILED)


async def _verify(request: Request) -> FleetReport:
    settings = read_settings()
    store = request.evidence
    if store is not None and not store.is_dir():
        writable(store, replace=False)
    folder = [store] if store is not None and store.is_dir() else None
    saved = read_plan(request.source) if is_plan(request.source) else None
    with output.progress(f"verifying {request.source} (reading only)") as tell:
        if saved is None:
            report = await _of_fleet(request, settings, folder, tell)
        else:
            report = await _of_plan(saved, request, settings, folder, tell)
    if store is not None:
        _store(report, store)
    return report


async def _of_fleet(
    request: Request, settings: Settings, folder: list[Path] | None, tell: Callable[[str], None]
) -> FleetReport:
    """Plan the fleet as it is now, and judge each cluster by that plan: steps that are left are not verified."""
    fleet = read_fleet(request.source)
    records = await gather(folder, settings)
    async with wiring.open_session(settings, prover=fleet.prover) as session:
        with located(request.source):
            plan = await planner.plan_fleet(session.ports, fleet, records, on_progress=teller(tell))
        return await _report(session, plan, Known(records=records, anew=True), request, tell)


async def _of_plan(
    plan: FleetPlan, request: Request, settings: Settings, folder: list[Path] | None, tell: Callable[[str], None]
) -> FleetReport:
    """Judge each cluster by the plan that was carried out, with all evidence that was stored since."""
    known = Known(records=await gather(folder, settings), kept=await _kept(plan, folder, settings))
    async with wiring.open_session(settings, prover=plan.prover.spec, journal=_journal()) as session:
        return await _report(session, plan, known, request, tell)


def _journal() -> Journal | None:
    """Return the journal with the baseline of the workloads. None if no Prefect server is named."""
    if not os.environ.get("PREFECT_API_URL"):
        return None
    return prefect_client.PrefectJournal()


async def _report(
    session: Session,
    plan: FleetPlan,
    known: Known,
    request: Request,
    tell: Callable[[str], None],
) -> FleetReport:
    held_credentials = _hand_in(session, plan, request.kubeconfigs)
    _say_queues(plan)
    groups = await groups_seen(session.ports, plan)
    began = session.ports.clock.now()
    done = 0

    async def one(cluster: ClusterPlan) -> Verdict:
        nonlocal done
        seen = of_cluster(cluster, groups)
        held = held_credentials.get(cluster.cluster.key)
        job = Job(digest=plan.digest, plan=cluster, prover=plan.prover)
        verdict = await verify_cluster(session.ports, session.timeouts, job, known, held=held, groups=seen)
        done += 1
        tell(f"{done} of {len(plan.clusters)} · {cluster.cluster}: {verdict.outcome}")
        return verdict

    verdicts = await bounded_gather(one, plan.clusters, at_once=AT_A_TIME)
    return FleetReport(
        name=plan.name,
        plan_digest=plan.digest,
        started_at=stamp(began),
        ended_at=stamp(session.ports.clock.now()),
        verdicts=verdicts,
        skip_rules=plan.skip_rules,
    )


def _say_queues(plan: FleetPlan) -> None:
    """Say that this machine looks at clusters whose groups have a work queue, because it may not reach them."""
    queues = sorted({group.work_queue for stage in plan.stages for group in stage.groups if group.work_queue})
    if queues:
        output.say(
            f"clusters of the work queues {', '.join(queues)} are looked at from here, not by their workers",
            "  → start the deployment verify-fleet: its runs look from inside their networks",
            style="warning",
        )


async def _kept(plan: FleetPlan, folder: list[Path] | None, settings: Settings) -> dict[str, tuple[Evidence, ...]]:
    """Return the evidence of the plan's migration, from files and from Prefect's server, without failures."""
    verdicts: dict[str, Verdict] = {}
    found = evidence_in(folder, settings)
    say_unread(found.unread)
    for _, report in sorted(found.read, key=lambda found: found[1].ended_at):
        if report.plan_digest == plan.digest:
            verdicts |= {verdict.cluster.key: verdict for verdict in report.verdicts}
    if os.environ.get("PREFECT_API_URL"):
        try:
            kept = await prefect_client.verdicts(plan.digest)
            verdicts |= {key: one for key, one in kept.items() if one.evidence or key not in verdicts}
        except AksEntraError:
            raise
        except Exception as error:
            raise unreachable(error) from error
    if not verdicts:
        output.say(
            "no report of this plan's migration was found, so what it proved is missing here",
            "  → name the folder that has it (--evidence FOLDER), or the server (PREFECT_API_URL)",
            style="warning",
        )
    return kept_evidence(verdicts.values())


def _hand_in(session: Session, plan: FleetPlan, kubeconfigs: tuple[tuple[str, str], ...]) -> dict[str, HeldCredential]:
    """Put each old kubeconfig into the vault. Raises Refused unless the plan has exactly one cluster of that name."""
    found = {}
    for name, text in kubeconfigs:
        cluster = _named(plan, name)
        found[cluster.key] = session.ports.vault.hand_in(cluster, text)
    return found


def _named(plan: FleetPlan, name: str) -> ClusterId:
    wanted = name.casefold()
    hits = [
        one.cluster
        for one in plan.clusters
        if wanted in {one.cluster.name.casefold(), str(one.cluster).casefold(), one.cluster.key}
    ]
    if len(hits) == 1:
        return hits[0]
    known = ", ".join(str(one.cluster) for one in plan.clusters[:20])
    what = "is in the fleet more than once" if hits else "is not in the fleet"
    raise Refused(f"--old-kubeconfig {name}=…: {name} {what}", remedy=f"write one of {known}")


def _kubeconfigs(options: list[str]) -> tuple[tuple[str, str], ...]:
    """Return the texts of the old kubeconfigs. They contain secrets, so no error repeats them."""
    found = []
    for option in options:
        name, equals, file = option.partition("=")
        if not name or not equals or not file:
            output.usage(
                f"--old-kubeconfig {option}: not CLUSTER=FILE", remedy="write --old-kubeconfig pay-01=old.kubeconfig"
            )
        try:
            with Path(file).open("rb") as opened:
                content = opened.read(LARGEST_KUBECONFIG + 1)
            if len(content) > LARGEST_KUBECONFIG:
                output.usage(f"--old-kubeconfig {name}: {file} is too large to be a kubeconfig", remedy=_KUBECONFIG)
            found.append((name, content.decode()))
        except UnicodeDecodeError:
            output.usage(f"--old-kubeconfig {name}: {file} is not UTF-8 text", remedy=_KUBECONFIG)
        except OSError as error:
            output.usage(f"--old-kubeconfig {name}: {file}: {error.strerror}", remedy=_KUBECONFIG)
    return tuple(found)


def _store(report: FleetReport, store: Path) -> None:
    ended = report.ended_at.replace(":", "").replace("-", "")[:15]
    file = (
        store / f"verify-{for_file_name(report.name)}-{ended}-{report.digest[7:15]}.json" if store.is_dir() else store
    )
    write_new(file, dump_report(report), replace=False)
    output.say(f"evidence stored in {file}", style="dim")
