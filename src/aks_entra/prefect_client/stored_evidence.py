"""What all reports on Prefect's server say about old credentials, created clusters and each fleet's last plan.

If a report or a plan cannot be read, it is named, and its own clusters are unknown. The others are still read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from aks_entra import documents
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.observations import ClusterCreated, StateSeen
from aks_entra.core.evidence.rotation_debt import Record, Sighting
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.verdict.report import FleetReport, records_of
from aks_entra.documents.unreadable import Found, Unread
from aks_entra.prefect_client import artifacts
from aks_entra.prefect_client.names import hexadecimal, key, short
from aks_entra.prefect_client.stored_documents import clusters_of, plan_in, read


async def all_reports(load: Callable[[str], FleetReport] = documents.load_report) -> Found[FleetReport]:
    """Return the newest report under each plan, of migrations and of verifications, and those that cannot be read.

    `load` reads one document, as `documents.load_report` does.
    """
    return await _reports("report-", "verification-", load=load)


async def _reports(*prefixes: str, load: Callable[[str], FleetReport] = documents.load_report) -> Found[FleetReport]:
    """Return the reports under keys with these prefixes. An unreadable one names its plan's clusters, if known."""
    found = read([one for prefix in prefixes for one in await artifacts.newest(prefix)], load)
    return Found(read=found.read, unread=await _of_their_plans(found.unread))


async def _of_their_plans(unread: tuple[Unread, ...]) -> tuple[Unread, ...]:
    """Return unreadable documents, with the clusters of the plan whose digest is in their keys."""
    return tuple(
        [
            replace(one, clusters=one.clusters | {each.key for each in await clusters_of(one.key.split("-")[1])})
            for one in unread
        ]
    )


async def records() -> tuple[Record, ...]:
    """Return what all stored reports say about local accounts and CAs: the evidence for rotation debt.

    A report that cannot be read is a record too, `Sighting.UNREADABLE` with its key: its clusters become unknown.
    """
    found = await all_reports()
    said = [one for _, report in found.read for one in records_of(report, f"report {short(report.plan_digest)}")]
    opened = read(await artifacts.newest("opened-"), documents.load_records)
    said += [one for _, several in opened.read for one in several]
    unread = (*found.unread, *await _of_their_plans(opened.unread))
    return (*dict.fromkeys(said), *(record for lost in unread for record in lost.records))


async def creation_of(cluster: ClusterId, ca: str) -> ClusterCreated | None:
    """Return our evidence that we created the cluster, closed, under its present CA, and never saw it open since.

    Returns None if there is no such evidence, or if a report that may be about the cluster cannot be read.
    """
    known = await records()
    if any(one.sighting is Sighting.UNREADABLE and one.cluster in {"", cluster.key} for one in known):
        return None
    found = await _reports("report-")
    mine = [one for _, report in found.read for one in report.verdicts if one.cluster.key == cluster.key]
    opened = max(
        (one.at for one in known if one.cluster == cluster.key and one.sighting is Sighting.ACCOUNTS_ON), default=""
    )
    return next(
        (
            one
            for verdict in mine
            for one in verdict.evidence
            if isinstance(one, ClusterCreated)
            and one.changed
            and one.at > opened
            and any(isinstance(state, StateSeen) and state.ca == ca for state in verdict.evidence)
        ),
        None,
    )


def newest_of_each_fleet(reports: Iterable[FleetReport]) -> dict[str, FleetReport]:
    """Return the report that ended last, by the name of its fleet."""
    return {report.name: report for report in sorted(reports, key=lambda one: one.ended_at)}


async def last_plans() -> tuple[FleetPlan, ...]:
    """Return the plan of each fleet's newest readable report. `last_found` also names the unreadable ones."""
    return tuple(plan for _, plan in (await last_found()).read)


async def last_found() -> Found[FleetPlan]:
    """Return the plan of each fleet's newest report, and the reports and plans that cannot be read.

    A plan whose only report cannot be read is found by that report's key, so that its fleet is not forgotten.
    """
    reports = await _reports("report-")
    newest = newest_of_each_fleet(report for _, report in reports.read)
    digests = [hexadecimal(report.plan_digest) for report in newest.values()]
    digests += [lost.key.partition("-")[2] for lost in reports.unread]
    plans: list[tuple[str, FleetPlan]] = []
    unread = list(reports.unread)
    for digest in dict.fromkeys(digests):
        kept = await artifacts.get(key("plan", digest))
        found: Found[FleetPlan] = plan_in(kept, f"sha256:{digest}") if kept else Found()
        plans += found.read
        unread += found.unread
    return Found(read=tuple(plans), unread=tuple(unread))
