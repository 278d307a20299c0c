"""`aks-entra verify`: look again from outside, and say what is proven. Reads only."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.planning import is_plan, located, read_fleet, read_plan, read_settings, teller, writable, write_new
from aks_entra.cli.records import gather, reports_in, unreachable
from aks_entra.errors import AksEntraError, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from aks_entra.core.cluster import ClusterId
    from aks_entra.core.evidence import Evidence
    from aks_entra.core.plan import ClusterPlan, FleetPlan
    from aks_entra.core.report import FleetReport
    from aks_entra.core.verdict import Verdict
    from aks_entra.ports import Journal, Witness
    from aks_entra.settings import Settings
    from aks_entra.wiring import Session

AT_A_TIME = 20  # clusters that are looked at side by side
LARGEST_KUBECONFIG = 1_048_576  # bytes
_KUBECONFIG = "name a kubeconfig that `az aks get-credentials --admin` wrote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was typed."""

    source: Path
    evidence: Path | None
    kubeconfigs: tuple[tuple[str, str], ...]  # cluster's name, and the text of its old kubeconfig


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Prove from outside how each cluster stands.")(verify)


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
            help="An admin kubeconfig from before, to be tried as the witness. Repeat for several clusters.",
            show_default=False,
        ),
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(
            "--evidence",
            metavar="FILE|FOLDER",
            help="Where the report is stored: a new file, or a folder of reports, which are weighed too. "
            "Without it ./evidence is weighed, if it is there, and nothing is stored.",
            show_default=False,
        ),
    ] = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Prove how each cluster stands: member in, Azure refuses admin credentials, old credentials dead, nodes Ready.

    Nothing is written to Azure. Exit code 0 only when every cluster is verified.
    """
    with output.guarded():
        request = Request(source=source, evidence=evidence, kubeconfigs=_kubeconfigs(old_kubeconfig or []))
    report = output.run(_verify(request))
    if format_ is output.Format.JSON:
        from aks_entra.documents import dump_report  # noqa: PLC0415 - startup is quick without it

        output.emit_text(dump_report(report))
    else:
        from aks_entra.report.verdict_text import render  # noqa: PLC0415 - as above

        output.emit(*render(report))
    from aks_entra.core.verdict import Outcome  # noqa: PLC0415 - as above

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
    """Plan anew, and judge each cluster by that plan: what it still lacks is what is not verified."""
    from aks_entra import survey  # noqa: PLC0415 - startup is quick without it
    from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

    fleet = read_fleet(request.source)
    records = await gather(folder, settings)
    async with open_session(settings, prover=fleet.prover) as session:
        with located(request.source):
            plan = await survey.plan_fleet(session.ports, fleet, records, on_progress=teller(tell))
        return await _report(session, plan, None, request, tell)


async def _of_plan(
    plan: FleetPlan, request: Request, settings: Settings, folder: list[Path] | None, tell: Callable[[str], None]
) -> FleetReport:
    """Judge each cluster by the plan that was carried out, with the evidence that was kept when it was."""
    from aks_entra.core.fleet import ProverSpec  # noqa: PLC0415 - startup is quick without it
    from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

    kept = await _kept(plan, folder, settings)
    who = plan.prover
    prover = (
        ProverSpec(client_id=who.client_id, tenant_id=who.tenant_id, secret_from=who.secret_from)
        if who.client_id and who.tenant_id and who.secret_from
        else None
    )
    async with open_session(settings, prover=prover, journal=_journal()) as session:
        return await _report(session, plan, kept, request, tell)


def _journal() -> Journal | None:
    """Where the baseline is kept that workloads are compared with: on Prefect's server, where one is named."""
    if not os.environ.get("PREFECT_API_URL"):
        return None
    from aks_entra.prefect_client import PrefectJournal  # noqa: PLC0415 - prefect takes a second to import

    return PrefectJournal()


async def _report(
    session: Session,
    plan: FleetPlan,
    kept: dict[str, tuple[Evidence, ...]] | None,
    request: Request,
    tell: Callable[[str], None],
) -> FleetReport:
    from aks_entra.core.report import FleetReport  # noqa: PLC0415 - startup is quick without it
    from aks_entra.declared import groups_seen, of_cluster  # noqa: PLC0415 - as above

    witnesses = _hand_in(session, plan, request.kubeconfigs)
    groups = await groups_seen(session.ports, plan)
    began = session.ports.clock.now()
    turn = asyncio.Semaphore(AT_A_TIME)
    done = 0

    async def one(cluster: ClusterPlan) -> Verdict:
        nonlocal done
        async with turn:
            seen = of_cluster(cluster, groups)
            verdict = await _verdict(session, plan, cluster, kept, witnesses.get(cluster.cluster.key), seen)
        done += 1
        tell(f"{done} of {len(plan.clusters)} · {cluster.cluster}: {verdict.outcome}")
        return verdict

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(cluster)) for cluster in plan.clusters]
    return FleetReport(
        name=plan.name,
        plan_digest=plan.digest,
        started_at=_iso(began),
        ended_at=_iso(session.ports.clock.now()),
        verdicts=tuple(task.result() for task in tasks),
        skip_rules=plan.skip_rules,
    )


async def _verdict(
    session: Session,
    plan: FleetPlan,
    cluster: ClusterPlan,
    kept: dict[str, tuple[Evidence, ...]] | None,
    witness: Witness | None,
    groups: tuple[Evidence, ...],
) -> Verdict:
    """One cluster's verdict. `kept` is what was seen when the plan was carried out; None: it was only made just now.

    `groups` is what was seen of the groups that the fleet file declares for it.
    """
    from aks_entra import verifier  # noqa: PLC0415 - startup is quick without it
    from aks_entra.core.cluster import Identity  # noqa: PLC0415 - as above
    from aks_entra.core.standing import judge_standing  # noqa: PLC0415 - as above
    from aks_entra.core.verdict import judge, unstarted  # noqa: PLC0415 - as above
    from aks_entra.executor import Job  # noqa: PLC0415 - as above

    held = unstarted(cluster)
    if held is not None:
        return held
    if kept is None and cluster.before.identity is not Identity.MANAGED:
        return judge_standing(cluster, ())  # nobody's token gets in there yet
    job = Job(digest=plan.digest, plan=cluster, prover=plan.prover)
    seen = (*await verifier.verify(session.ports, session.limits, job, witness=witness), *groups)
    if kept is None:
        return judge_standing(cluster, seen)
    return judge(cluster, (*kept.get(cluster.cluster.key, ()), *seen))


async def _kept(plan: FleetPlan, folder: list[Path] | None, settings: Settings) -> dict[str, tuple[Evidence, ...]]:
    """What was seen when the plan was carried out: from reports in files, and from Prefect's server. No failures."""
    from aks_entra.core.evidence import Failure  # noqa: PLC0415 - startup is quick without it

    verdicts: dict[str, Verdict] = {}
    for _, report in sorted(reports_in(folder, settings), key=lambda found: found[1].ended_at):
        if report.plan_digest == plan.digest:
            verdicts |= {verdict.cluster.key: verdict for verdict in report.verdicts}
    if os.environ.get("PREFECT_API_URL"):
        from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

        try:
            verdicts |= await prefect_client.verdicts(plan.digest)
        except AksEntraError:
            raise
        except Exception as error:
            raise unreachable(error) from error
    if not verdicts:
        output.say(
            "no report of this plan's migration is at hand: what was proven then is missing now\n"
            "  → name the folder that keeps it (--evidence FOLDER), or the server (PREFECT_API_URL)",
            style="warning",
        )
    return {
        key: tuple(one for one in verdict.evidence if not isinstance(one, Failure)) for key, verdict in verdicts.items()
    }


def _hand_in(session: Session, plan: FleetPlan, kubeconfigs: tuple[tuple[str, str], ...]) -> dict[str, Witness]:
    """Put each old kubeconfig into the vault. Raises Refused for a cluster that the plan has not, or has twice."""
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
    """The texts of the files that were handed in. They hold secrets: no error repeats anything of them."""
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
    from aks_entra.documents import dump_report  # noqa: PLC0415 - startup is quick without it

    stamp = report.ended_at.replace(":", "").replace("-", "")[:15]
    file = (
        store / f"verify-{report.name.replace(' ', '-')}-{stamp}-{report.digest[7:15]}.json"
        if store.is_dir()
        else store
    )
    write_new(file, dump_report(report), replace=False)
    output.say(f"evidence stored in {file}", style="dim")


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
