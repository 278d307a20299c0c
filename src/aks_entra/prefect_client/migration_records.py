"""The records of a migration on Prefect's server, each kind under a key made from the plan's digest."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from typing import Final, Literal
from uuid import UUID

from aks_entra import documents
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.lasting import lasting
from aks_entra.core.evidence.observations import (
    Baseline,
    Evidence,
    Failure,
)
from aks_entra.core.evidence.rotation_debt import Record, Sighting
from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.gates import Side
from aks_entra.core.planning.plan import ClusterPlan, FleetPlan
from aks_entra.core.steps import KINDS, kind_of
from aks_entra.core.verdict.report import FleetReport, records_of
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.errors import Refused
from aks_entra.prefect_client import artifacts, events, pages
from aks_entra.prefect_client.artifacts import Stored
from aks_entra.prefect_client.names import hexadecimal, key, short, slug, stage_key
from aks_entra.prefect_client.stored_documents import clusters_of, lost_evidence, plan_in, read, unproven, words_of
from aks_entra.prefect_client.stored_evidence import creation_of, last_found, last_plans, records

__all__ = ["creation_of", "last_found", "last_plans", "records"]  # what all reports say is asked for here too

_log: Final = logging.getLogger(__name__)
STORE_AGAIN: Final = (1.0, 3.0, 9.0)
"""Seconds between attempts to store a verdict, on top of what Prefect's client repeats by itself."""

Purpose = Literal["report", "verification"]
SHORTEST = 6  # digits of a digest that name a plan


async def store_plan(plan: FleetPlan) -> None:
    """Store a plan under its digest, with a page for people. Storing it again repairs a damaged one.

    A later plan that differs only in its findings has the same digest. Both are kept, and the newest counts.
    """
    digest = plan.digest
    name = key("plan", hexadecimal(digest))
    kept = await artifacts.get(name)
    if kept is None or _facts_of(kept, digest) != plan.facts_digest:
        await artifacts.put(name, documents.dump_plan(plan), kind="plan", page=pages.plan_page(plan))


def _facts_of(stored: Stored, digest: str) -> str:
    """Return the `facts_digest` of a stored plan. Empty if it cannot be read: then the plan is stored again."""
    found = plan_in(stored, digest)
    return "" if found.unread else found.read[0][1].facts_digest


async def show_plan(plan: FleetPlan) -> None:
    """Show the plan to people, as an artifact of the present flow run."""
    await artifacts.show(key("page-plan", short(plan.digest)), kind="markdown", data=pages.plan_page(plan))


async def load_plan(digest: str, *, facts: str = "") -> FleetPlan:
    """Return the plan under a digest, or under its beginning (at least six digits).

    Raises Refused unless exactly one plan has it, and with the artifact's key if the plan cannot be read or was
    replaced by another one. `facts`: the plan's `facts_digest`; empty: the newest plan counts.
    """
    if len(hexadecimal(digest)) < SHORTEST:
        raise Refused(f"{digest!r} is too short for a digest", remedy=f"give at least {SHORTEST} digits")
    found = await artifacts.newest(key("plan", hexadecimal(digest)))
    if not found:
        raise Refused(f"no plan {short(digest)} is stored at this Prefect server", remedy="give the plan's file")
    if len(found) > 1:
        raise Refused(f"{len(found)} plans begin with {hexadecimal(digest)}", remedy="give more digits of the digest")
    whole = f"sha256:{found[0].key.removeprefix('plan-')}"
    if facts and _facts_of(found[0], whole) != facts:
        return await _version_of(found[0].key, whole, facts)
    plan = plan_in(found[0], whole)
    if plan.unread:
        lost = plan.unread[0]
        raise Refused(
            f"the stored plan {short(digest)} cannot be read ({lost.key}): {lost.why}",
            remedy="run `aks-entra migrate PLAN.json` with the plan's file: it stores the plan again, reads every "
            "cluster, and does only what is left of the plan",
            code="PlanUnreadable",
        )
    return plan.read[0][1]


async def load_plan_of(digest: str, *flow_runs: UUID) -> FleetPlan:
    """Return the plan as the first of these runs noted it, with its findings, or the newest under the digest."""
    for run in flow_runs:
        noted, facts = await _noted(run)
        if noted and hexadecimal(noted).startswith(hexadecimal(digest)):
            return await load_plan(digest, facts=facts)
    return await load_plan(digest)


async def _version_of(name: str, digest: str, facts: str) -> FleetPlan:
    """Return the plan with these findings from all that were stored under one digest."""
    for one in await artifacts.versions(name):
        if _facts_of(one, digest) == facts:
            return plan_in(one, digest).read[0][1]
    raise Refused(
        "the plan that this run began with is no longer stored with the findings that were shown",
        remedy="plan again, and have that plan approved",
    )


async def note_plan(flow_run: UUID, digest: str, facts: str = "") -> None:
    """Note which plan a coordinator carries out, by its digests: after a gate its flow starts again from the top."""
    await artifacts.put(key("plan-of", str(flow_run)), f"{digest} {facts}".strip(), kind="note")


async def noted_plan(flow_run: UUID) -> str | None:
    """Return the digest that a coordinator itself noted, or None."""
    return (await _noted(flow_run))[0] or None


async def frozen_plan(flow_run: UUID) -> FleetPlan | None:
    """Return the plan that a coordinator noted, with its findings, or None before it noted one."""
    digest, facts = await _noted(flow_run)
    return await load_plan(digest, facts=facts) if digest else None


async def _noted(flow_run: UUID) -> tuple[str, str]:
    """Return the two digests that a coordinator noted. Runs of earlier versions noted only the first one."""
    digest, _, facts = (await artifacts.own_text(flow_run, key("plan-of", str(flow_run))) or "").partition(" ")
    return digest, facts


async def store_approval(approval: Approval) -> None:
    """Record a decision, with the name that its author typed."""
    kind = "approval" if approval.decision == "approve" else "rejection"
    name = approval_key(kind, approval.plan, approval.moment, approval.stage)
    await artifacts.put(name, json.dumps(asdict(approval)), kind=kind, page=pages.approval_page(approval))


async def approval(digest: str, stage: str, moment: Side) -> Approval | None:
    """Return the newest recorded approval of a stage, for people. `decisions` says whether it counts."""
    found = await artifacts.get(approval_key("approval", digest, moment, stage))
    return read_approval(found) if found else None


def read_approval(stored: Stored) -> Approval | None:
    """Return a recorded decision, or None if the artifact is damaged or holds something else."""
    try:
        found = json.loads(stored.text)
        return Approval(**{**found, "signed": tuple(found.get("signed", ()))})
    except (AttributeError, TypeError, ValueError, Refused):
        return None


def approval_key(kind: str, digest: str, moment: Side, stage: str) -> str:
    """Return the key under which decisions at a gate are recorded. `kind`: approval or rejection."""
    return key(kind, hexadecimal(digest), moment, stage_key(stage))


async def store_verdict(digest: str, verdict: Verdict) -> None:
    """Store one cluster's verdict under the plan."""
    name = key("verdict", hexadecimal(digest), slug(verdict.cluster))
    await artifacts.put(name, documents.dump_verdict(verdict), kind="verdict", page=pages.verdict_page(verdict))
    await events.emit(events.verdict_given(digest, verdict))


async def store_verdict_or_say(digest: str, verdict: Verdict, *, again: tuple[float, ...] = STORE_AGAIN) -> str:
    """Keep a verdict, trying again after so many seconds each. Returns why it could not be stored; empty: it is."""
    for wait in (*again, None):
        try:
            await store_verdict(digest, verdict)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other clusters go on, and the batch says it
            problem = f"its verdict ({verdict.outcome}) could not be stored at Prefect's server: {words_of(error)}"
            if wait is None:
                return problem
            await asyncio.sleep(wait)
        else:
            return ""
    raise AssertionError  # pragma: no cover - the last turn returns


async def verdicts(digest: str, clusters: Iterable[ClusterId] | None = None) -> dict[str, Verdict]:
    """Return the newest verdict of each cluster under the plan, by `ClusterId.key`.

    A cluster whose verdict cannot be read has a failed one that says so: it is not proven, and is read again.
    `clusters`: only those of these clusters are read. None: those of all.
    """
    prefix = key("verdict", hexadecimal(digest))
    if clusters is None:
        stored = await artifacts.newest(prefix)
    else:
        asked = await asyncio.gather(*(artifacts.get(key(prefix, slug(one))) for one in clusters))
        stored = tuple(one for one in asked if one is not None)
    found = read(stored, documents.load_verdict)
    known = {verdict.cluster.key: verdict for _, verdict in found.read}
    if found.unread:
        members = {slug(one): one for one in await clusters_of(digest)}
        for lost in found.unread:
            cluster = members.get(lost.key.removeprefix(f"{prefix}-"))
            if cluster is not None:
                known[cluster.key] = unproven(cluster, lost)
    return known


async def carry_over(old: str, new: FleetPlan) -> None:
    """Copy to a new plan what was seen and decided about the clusters whose plans did not change.

    Approvals are not copied, because they named the old plan. A damaged record is copied as it is, and proves nothing.
    """
    again = {slug(one.cluster) for one in new.clusters if str(one.cluster) in {each.cluster for each in new.changes}}
    for kind in ("verdict", "evidence", "baseline", "reached", "skip"):
        prefix = key(kind, hexadecimal(old))
        for one in await artifacts.newest(prefix):
            rest = one.key.removeprefix(prefix).strip("-")
            if rest.partition("-")[0] not in again:
                shown = read((one,), documents.load_verdict).read if kind == "verdict" else ()
                page = "".join(pages.verdict_page(verdict) for _, verdict in shown)
                await artifacts.copy(one, key(kind, hexadecimal(new.digest), rest), kind=kind, page=page)


async def store_evidence(digest: str, cluster: ClusterId, step: str, evidence: tuple[Evidence, ...]) -> None:
    """Keep what a step did, before the next one begins. What was only seen is kept in the verdict alone.

    After a death it would be looked at anew, and each write here costs every cluster of the batch time.
    """
    if lasting(evidence):
        name = key("evidence", hexadecimal(digest), slug(cluster), step)
        await artifacts.put(name, documents.dump_verdict(_under_way(cluster, evidence)), kind="evidence")


async def surviving_evidence(plan: ClusterPlan, digest: str) -> tuple[Evidence, ...]:
    """What earlier attempts did to the cluster, with times and correlation ids, in the order of the plan's steps.

    Only what ARM or the directory still holds. What was seen with a credential held in memory is left out: the
    credential died with its process, so that nothing can be tried again after the rotation. Evidence that cannot be
    read is a failed look that names it: the cluster is read again, and its report says what is missing.
    """
    prefix = key("evidence", hexadecimal(digest), slug(plan.cluster))
    stored = await asyncio.gather(*(artifacts.get(key(prefix, kind_of(step))) for step in KINDS))
    found = read([one for one in stored if one is not None], documents.load_verdict)
    by_key = {name: verdict.evidence for name, verdict in found.read}
    seen = tuple(
        one
        for kind in dict.fromkeys(step.kind for step in plan.steps)
        for one in lasting(by_key.get(key(prefix, kind), ()))
    )
    return (*seen, *(lost_evidence(one) for one in found.unread))


async def evidence_so_far(plan: ClusterPlan, digest: str, known: Verdict | None) -> tuple[Evidence, ...]:
    """Return everything that was done or seen under a plan: from earlier attempts and from the verdict."""
    return tuple(dict.fromkeys((*await surviving_evidence(plan, digest), *kept_evidence(known))))


async def store_report(report: FleetReport, *, purpose: Purpose = "report") -> None:
    """Store a fleet's report under its plan's digest, and its table for people. The newest report counts.

    A verification has its own key and never replaces the migration's report. Sightings of open accounts are also stored
    alone, because the next report of the same plan replaces this one.
    """
    name = key(purpose, hexadecimal(report.plan_digest))
    against = _against(report)
    if against:
        alone = key("opened", hexadecimal(report.plan_digest), report.digest.removeprefix("sha256:")[:12])
        await artifacts.put(alone, documents.dump_records(against), kind="opened")
    await artifacts.put(name, documents.dump_report(report), kind=purpose, page=pages.report_page(report))
    await artifacts.show(
        key("table", purpose, short(report.plan_digest)), kind="table", data=json.dumps(pages.report_rows(report))
    )


_OPEN: Final = frozenset({Sighting.ACCOUNTS_ON, Sighting.LET_IN})


def _against(report: FleetReport) -> tuple[Record, ...]:
    """Return the sightings of a report which show that old credentials may work."""
    found = records_of(report, f"report {short(report.plan_digest)}")
    return tuple(one for one in found if one.sighting in _OPEN)


async def load_report(digest: str) -> FleetReport | None:
    """Return the newest report under a digest or its beginning. Raises Refused, with its key, if it cannot be read."""
    found = await artifacts.newest(key("report", hexadecimal(digest)))
    return _report_in(found[-1]) if found else None


async def report_of(flow_run: UUID) -> FleetReport | None:
    """Return the report that a coordinator stored, or None if it stored none (yet)."""
    digest = await noted_plan(flow_run)
    found = await artifacts.get(key("report", hexadecimal(digest))) if digest else None
    return _report_in(found) if found and found.flow_run == flow_run else None


def _report_in(stored: Stored) -> FleetReport:
    found = read((stored,), documents.load_report)
    if found.unread:
        lost = found.unread[0]
        raise Refused(
            f"the stored report {lost.key} cannot be read: {lost.why}",
            remedy="verify the clusters again, `aks-entra verify`, or restore the artifact in Prefect's database",
            code="ReportUnreadable",
        )
    return found.read[0][1]


def kept_evidence(verdict: Verdict | None) -> tuple[Evidence, ...]:
    """Return the evidence of a stored verdict, without failures. It is judged again with what is seen now."""
    return tuple(one for one in verdict.evidence if not isinstance(one, Failure)) if verdict else ()


def _under_way(cluster: ClusterId, evidence: tuple[Evidence, ...]) -> Verdict:
    """Return a verdict that carries evidence of a cluster which is not finished."""
    return Verdict(cluster=cluster, outcome=Outcome.NOT_VERIFIED, because=("under way",), evidence=evidence)


class PrefectJournal:
    """`aks_entra.ports.Journal` on Prefect's server. A stored baseline and the reports are read once."""

    def __init__(self) -> None:
        self._known: dict[str, Baseline] = {}
        self._records: tuple[Record, ...] | None = None
        self._reading = asyncio.Lock()

    async def baseline(self, digest: str, cluster: ClusterId) -> Baseline | None:
        """Return the baseline of the cluster under the plan. None if there is none, or it cannot be read."""
        name = key("baseline", hexadecimal(digest), slug(cluster))
        if name not in self._known and (kept := await artifacts.get(name)):
            found = read((kept,), documents.load_baseline)
            self._known |= dict(found.read)
            for lost in found.unread:
                _log.warning("%s: it counts as never stored, and workloads are not compared with it", lost)
        return self._known.get(name)

    async def store_baseline(self, digest: str, baseline: Baseline) -> None:
        """Store the baseline. The newest one counts."""
        name = key("baseline", hexadecimal(digest), slug(ClusterId.parse(baseline.cluster)))
        await artifacts.put(name, documents.dump_baseline(baseline), kind="baseline")
        self._known[name] = baseline

    async def evidence(self, digest: str, plan: ClusterPlan) -> tuple[Evidence, ...]:
        """Return what earlier runs did to the cluster: see `surviving_evidence`."""
        return await surviving_evidence(plan, digest)

    async def store_evidence(self, digest: str, cluster: ClusterId, step: str, evidence: tuple[Evidence, ...]) -> None:
        """Store what a step did: see `store_evidence` of the module."""
        await store_evidence(digest, cluster, step, evidence)

    async def records(self, cluster: ClusterId) -> tuple[Record, ...]:
        """Return what all reports say about the cluster. They are read once: a batch holds its clusters by then."""
        async with self._reading:
            if self._records is None:
                self._records = await records()
        return tuple(one for one in self._records if one.cluster in {"", cluster.key})
