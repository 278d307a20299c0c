"""Close break-glass openings when their time is over, as our own records of the openings say.

A tag on a cluster closes nothing, because anybody with the right to write tags can make one. A tag without a record, or
one that was changed, raises an alarm. If sign-in cannot be proven, the accounts stay open: every five minutes a run
fails and emits an event, until a person decides.

The command that opens a cluster schedules a run for the end. The slow schedule closes what was lost, and looks at the
tags.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import when
from aks_entra.core.evidence.break_glass import Opening, OpeningRecord, strange_tags
from aks_entra.core.verdict.break_glass import report_of
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.fleet_file.prover import ProverFile
from aks_entra.prefect_client import break_glass_records, events, migration_records, scheduled_sweeps
from aks_entra.prefect_client.leases import hold_lease
from aks_entra.prefect_client.liveness import register
from aks_entra.prefect_client.names import SWEEP_BREAK_GLASS
from aks_entra.probes.checks import stamp
from aks_entra.settings import Settings
from aks_entra.text.safe import for_log
from aks_entra.wiring import current_session
from tasks.rollback import close_opening, look_at_opening, look_for_openings
from tasks.session import open_session

OVER = frozenset({Outcome.NOT_VERIFIED, Outcome.SKIPPED})
"""Verdicts that end an opening: it is closed again (a rotation is owed), or its cluster no longer exists."""


@flow(name="sweep-break-glass", persist_result=False)
async def sweep_break_glass(subscriptions: list[str] | None = None, prover: ProverFile | None = None) -> State[Any]:
    """Close every recorded break-glass opening that is due, and look for tags that no record explains.

    Args:
        subscriptions: names or ids. If empty, all that the identity sees.
        prover: the identity that proves sign-in. If empty, the identity that runs.
    """
    await register()
    trouble: list[str] = []
    async with open_session(Settings(), prover=prover.to_spec() if prover else None):
        ids = await resolved(subscriptions or [], trouble)
        known, unreadable = await break_glass_records.open_records()
        trouble += [f"record {one}" for one in unreadable]
        records = [one for one in known if not subscriptions or cluster_of(one).subscription_id.lower() in ids]
        due = [one for one in records if one.opening.due(moment())]
        await schedule_the_next(records, trouble)
        verdicts = [await bring_to_end(one, trouble) for one in due]
        if not scheduled_sweeps.at_an_end():  # the slow schedule and a person look at all clusters
            for subscription in ids if subscriptions else await every_subscription(trouble):
                await look_at_tags(subscription, trouble)
    closed = sum(one in OVER for one in verdicts)
    said = f"{len(records)} open, {len(due)} due, {closed} closed (a rotation is owed for each)"
    if not due:
        said = f"nothing to end: {len(records)} open, none of them due"
    if trouble:
        return Failed(message=f"{said} · ALARM {'; '.join(map(for_log, trouble))}")
    return Completed(message=said)


async def schedule_the_next(records: list[OpeningRecord], trouble: list[str]) -> None:
    """Schedule the sweeps that are missing, before anything is closed: this run may die, or an opening may stay open.

    So an opening that stays open is tried again after five minutes.
    """
    if not records:
        return
    try:
        ends = [when(one.opening.until) or moment() for one in records]
        await scheduled_sweeps.schedule_missing_sweeps(SWEEP_BREAK_GLASS, ends)
    except Exception as error:  # noqa: BLE001 - what is due is closed all the same
        trouble.append(f"the next sweep could not be scheduled: {error}")


async def resolved(subscriptions: list[str], trouble: list[str]) -> list[str]:
    """Return the ids of the named subscriptions. Each one that cannot be found is added to `trouble`."""
    ids = []
    for name in subscriptions:
        try:
            ids.append((await current_session().ports.arm.subscription_id(name)).lower())
        except Exception as error:  # noqa: BLE001 - the others are still swept
            trouble.append(f"subscription {name}: {error}")
    return ids


async def every_subscription(trouble: list[str]) -> tuple[str, ...]:
    """Return the ids of all subscriptions that the identity sees."""
    try:
        return await current_session().ports.arm.subscription_ids()
    except Exception as error:  # noqa: BLE001 - what is due was closed before this
        trouble.append(f"the subscriptions could not be listed: {error}")
        return ()


async def bring_to_end(record: OpeningRecord, trouble: list[str]) -> Outcome:
    """Close one opening if sign-in is proven, and store the report. Emit an event if it stays open."""
    cluster = cluster_of(record)
    try:
        verdict = await closed_by_record(cluster, record)
        if verdict.outcome is not Outcome.SKIPPED:
            await migration_records.store_report(report_of(cluster, record.opening, verdict, ended_at=now()))
        if verdict.outcome in OVER:
            await break_glass_records.store_opening(record.over(now(), verdict.because[0]))
            return verdict.outcome
    except Exception as error:  # noqa: BLE001 - an error of one cluster is one row, and the next sweep tries again
        verdict = Verdict(cluster=cluster, outcome=Outcome.FAILED, because=(str(error),))
    trouble.append(f"{cluster}: {verdict.because[0]}")
    said = (verdict.because, verdict.next)
    name, reason = events.BREAK_GLASS_STAYS_OPEN, record.opening.reason
    await events.emit(events.break_glass_alarm(name, cluster, *said, opened_for=reason))
    return verdict.outcome


async def closed_by_record(cluster: ClusterId, record: OpeningRecord) -> Verdict:
    """Close an opening. Raises Refused while a migration or a rollback holds the cluster; the next sweep retries."""
    async with hold_lease(cluster, patience=0):
        return await close_opening(record)


async def look_at_tags(subscription: str, trouble: list[str]) -> None:
    """Raise an alarm for each cluster whose break-glass tags no record explains. A tag closes nothing."""
    try:
        found = await look_for_openings(subscription)
    except Exception as error:  # noqa: BLE001 - an error of one subscription is one row
        trouble.append(f"subscription {subscription} could not be listed: {error}")
        return
    for cluster, said in found:
        try:
            wrong = await strange(cluster, said)
        except Exception as error:  # noqa: BLE001 - as above
            wrong = f"its break-glass tags could not be compared with our record: {error}"
        if wrong:
            close = f"if you opened it: `aks-entra break-glass {cluster} --close`; if not, find out who wrote the tags"
            trouble.append(f"{cluster}: {wrong} ({close})")
            await events.emit(events.break_glass_alarm(events.BREAK_GLASS_STRANGE_TAG, cluster, [wrong], close))


async def strange(cluster: ClusterId, said: Opening) -> str:
    """Say what is wrong with a cluster's tags. They are read twice: somebody may open or close it at this moment."""
    if not strange_tags(said, await break_glass_records.opening_of(cluster), moment()):
        return ""
    again = await look_at_opening(cluster)
    return strange_tags(again, await break_glass_records.opening_of(cluster), moment()) if again else ""


def cluster_of(record: OpeningRecord) -> ClusterId:
    """Return the cluster that was opened."""
    return ClusterId.parse(record.cluster)


def now() -> str:
    """Return the time, as it is stored."""
    return stamp(current_session().ports.clock)


def moment() -> datetime:
    """Return the time."""
    return current_session().ports.clock.now()
