"""What is kept of a migration on Prefect's server, each kind under a key made of the plan's digest."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from aks_entra import documents
from aks_entra.core.cluster import ClusterId
from aks_entra.core.debt import Record, Sighting
from aks_entra.core.durations import moment as moment_of
from aks_entra.core.evidence import (
    Baseline,
    CertificatesRotated,
    ClusterCreated,
    EntraSet,
    Evidence,
    Failure,
    GroupEnsured,
    LocalAccountsDisabled,
    StateSeen,
)
from aks_entra.core.plan import ClusterPlan, FleetPlan
from aks_entra.core.report import FleetReport, records_of
from aks_entra.core.verdict import Outcome, Verdict
from aks_entra.errors import Refused
from aks_entra.prefect_client import pages, store
from aks_entra.prefect_client.names import hexadecimal, key, short, slug, stage_key

Purpose = Literal["report", "verification"]
SHORTEST = 6  # digits of a digest that name a plan
FINAL = frozenset({Outcome.VERIFIED, Outcome.REFUSED})
"""Verdicts that a resumed migration does not ask for again."""

_LASTING = GroupEnsured | EntraSet | LocalAccountsDisabled | CertificatesRotated | ClusterCreated
"""Evidence of what was done: ARM or the directory holds its effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What was decided at a gate. `approver` is a claim of identity unless an authenticating proxy makes it a proof."""

    plan: str
    stage: str
    moment: Literal["before", "after"]
    decision: Literal["approve", "reject"]
    approver: str
    reason: str
    ticket: str = ""
    at: str = ""  # when it was decided, ISO 8601 in UTC; empty: before that was kept, and so too long ago


async def store_plan(plan: FleetPlan) -> None:
    """Freeze a plan under its digest, with a page for people; a second time changes nothing."""
    name = key("plan", hexadecimal(plan.digest))
    if await store.get(name) is None:
        await store.put(name, documents.dump_plan(plan), kind="plan", page=pages.plan_page(plan))


async def show_plan(plan: FleetPlan) -> None:
    """The plan as an artifact of the present flow run, for people."""
    await store.show(key("page-plan", short(plan.digest)), kind="markdown", data=pages.plan_page(plan))


async def load_plan(digest: str) -> FleetPlan:
    """The plan under a digest or the beginning (six digits at least) of one. Refused when there is none, or several."""
    if len(hexadecimal(digest)) < SHORTEST:
        raise Refused(f"{digest!r} is too short for a digest", remedy=f"give at least {SHORTEST} digits")
    found = await store.newest(key("plan", hexadecimal(digest)))
    if not found:
        raise Refused(f"no plan {short(digest)} is stored at this Prefect server", remedy="give the plan's file")
    if len(found) > 1:
        raise Refused(f"{len(found)} plans begin with {hexadecimal(digest)}", remedy="give more digits of the digest")
    return documents.load_plan(found[0].text)


async def note_plan(flow_run: UUID, digest: str) -> None:
    """Note which plan a coordinator carries out: after a gate its flow runs from the top again."""
    await store.put(key("plan-of", str(flow_run)), digest, kind="note")


async def noted_plan(flow_run: UUID) -> str | None:
    """The digest that a coordinator noted."""
    found = await store.get(key("plan-of", str(flow_run)))
    return found.text if found else None


async def store_approval(approval: Approval) -> None:
    """Record a decision with who claims to have made it."""
    kind = "approval" if approval.decision == "approve" else "rejection"
    name = key(kind, hexadecimal(approval.plan), approval.moment, stage_key(approval.stage))
    await store.put(name, json.dumps(asdict(approval)), kind=kind, page=pages.approval_page(approval))


async def approval(digest: str, stage: str, moment: Literal["before", "after"]) -> Approval | None:
    """The newest approval of a stage of exactly this plan, if one was given."""
    found = await store.get(key("approval", hexadecimal(digest), moment, stage_key(stage)))
    return Approval(**json.loads(found.text)) if found else None


def decided_at(approval: Approval | None) -> datetime | None:
    """When it was given. One that does not say so was given too long ago to count."""
    if approval is None:
        return None
    return moment_of(approval.at) if approval.at else datetime.min.replace(tzinfo=UTC)


async def store_verdict(digest: str, verdict: Verdict) -> None:
    """Keep one cluster's verdict under the plan."""
    name = key("verdict", hexadecimal(digest), slug(verdict.cluster))
    await store.put(name, documents.dump_verdict(verdict), kind="verdict", page=pages.verdict_page(verdict))


async def verdicts(digest: str) -> dict[str, Verdict]:
    """The newest verdict of each cluster under the plan, by `ClusterId.key`."""
    found = [documents.load_verdict(one.text) for one in await store.newest(key("verdict", hexadecimal(digest)))]
    return {verdict.cluster.key: verdict for verdict in found}


async def carry_over(old: str, new: FleetPlan) -> None:
    """Keep under a new plan what was seen and decided of the clusters whose plans stayed as they were.

    Not the approvals: those named the old plan.
    """
    again = {slug(one.cluster) for one in new.clusters if str(one.cluster) in {each.cluster for each in new.changes}}
    for kind in ("verdict", "evidence", "baseline", "reached", "skip"):
        prefix = key(kind, hexadecimal(old))
        for one in await store.newest(prefix):
            rest = one.key.removeprefix(prefix).strip("-")
            if rest.partition("-")[0] not in again:
                page = pages.verdict_page(documents.load_verdict(one.text)) if kind == "verdict" else ""
                await store.put(key(kind, hexadecimal(new.digest), rest), one.text, kind=kind, page=page)


async def store_evidence(digest: str, cluster: ClusterId, step: str, evidence: tuple[Evidence, ...]) -> None:
    """Keep what a step did, before the next one begins. What was only seen is kept in the verdict alone.

    After a death it would be looked at anew, and each write here costs every cluster of the batch time.
    """
    if any(isinstance(one, _LASTING) for one in evidence):
        name = key("evidence", hexadecimal(digest), slug(cluster), step)
        await store.put(name, documents.dump_verdict(_under_way(cluster, evidence)), kind="evidence")


async def surviving_evidence(plan: ClusterPlan, digest: str) -> tuple[Evidence, ...]:
    """What earlier attempts did to the cluster, with times and correlation ids, in the order of the plan's steps.

    Only what ARM or the directory still holds. What was seen with a credential held in memory is left out: the
    credential died with its process, so that nothing can be tried again after the rotation.
    """
    prefix = key("evidence", hexadecimal(digest), slug(plan.cluster))
    found = {one.key: documents.load_verdict(one.text).evidence for one in await store.newest(prefix)}
    return tuple(
        one
        for kind in dict.fromkeys(step.kind for step in plan.steps)
        for one in found.get(key(prefix, kind), ())
        if isinstance(one, _LASTING)
    )


async def store_report(report: FleetReport, *, purpose: Purpose = "report") -> None:
    """Keep a fleet's report under its plan's digest (newest counts), and its table for people.

    A later verification of the same plan is kept beside the migration's own report, never in its place.
    """
    name = key(purpose, hexadecimal(report.plan_digest))
    await store.put(name, documents.dump_report(report), kind=purpose, page=pages.report_page(report))
    await store.show(
        key("table", purpose, short(report.plan_digest)), kind="table", data=json.dumps(pages.report_rows(report))
    )


async def load_report(digest: str) -> FleetReport | None:
    """The newest report under a digest or the beginning of one."""
    found = await store.newest(key("report", hexadecimal(digest)))
    return documents.load_report(found[-1].text) if found else None


async def report_of(flow_run: UUID) -> FleetReport | None:
    """The report that a coordinator itself stored; None when it ended before it could, or has not ended."""
    digest = await noted_plan(flow_run)
    found = await store.get(key("report", hexadecimal(digest))) if digest else None
    return documents.load_report(found.text) if found and found.flow_run == flow_run else None


async def records() -> tuple[Record, ...]:
    """What all reports kept here say about accounts and CAs: the evidence that rotation debt is weighed by."""
    found = [*await store.newest("report-"), *await store.newest("verification-")]
    reports = [documents.load_report(one.text) for one in found]
    return tuple(record for report in reports for record in records_of(report, f"report {short(report.plan_digest)}"))


async def creation_of(cluster: ClusterId, ca: str) -> ClusterCreated | None:
    """Our evidence that we made the cluster, closed, under the CA that serves now, and never saw it open since."""
    reports = [documents.load_report(one.text) for one in await store.newest("report-")]
    mine = [one for report in reports for one in report.verdicts if one.cluster.key == cluster.key]
    opened = max(
        (one.at for one in await records() if one.cluster == cluster.key and one.sighting is Sighting.ACCOUNTS_ON),
        default="",
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


async def last_plans() -> tuple[FleetPlan, ...]:
    """The plan of each fleet's newest report: what a drift watch verifies when nobody says what."""
    reports = [documents.load_report(one.text) for one in await store.newest("report-")]
    newest = {report.name: report for report in sorted(reports, key=lambda one: one.ended_at)}
    plans = [await store.get(key("plan", hexadecimal(report.plan_digest))) for report in newest.values()]
    return tuple(documents.load_plan(plan.text) for plan in plans if plan is not None)


def kept_evidence(verdict: Verdict | None) -> tuple[Evidence, ...]:
    """What a stored verdict rests on, without the failures: it is judged again beside what is seen now."""
    return tuple(one for one in verdict.evidence if not isinstance(one, Failure)) if verdict else ()


def _under_way(cluster: ClusterId, evidence: tuple[Evidence, ...]) -> Verdict:
    """Evidence travels in a verdict's form: that of a cluster which has not ended yet."""
    return Verdict(cluster=cluster, outcome=Outcome.NOT_VERIFIED, because=("under way",), evidence=evidence)


class PrefectJournal:
    """`aks_entra.ports.Journal` on Prefect's server. One that is there never changes, and is asked for once."""

    def __init__(self) -> None:
        self._known: dict[str, Baseline] = {}

    async def baseline(self, digest: str, cluster: ClusterId) -> Baseline | None:
        """The baseline that was stored for the cluster under the plan."""
        name = key("baseline", hexadecimal(digest), slug(cluster))
        if name not in self._known and (found := await store.get(name)):
            self._known[name] = documents.load_baseline(found.text)
        return self._known.get(name)

    async def store_baseline(self, digest: str, baseline: Baseline) -> None:
        """Store it; the newest counts."""
        name = key("baseline", hexadecimal(digest), slug(ClusterId.parse(baseline.cluster)))
        await store.put(name, documents.dump_baseline(baseline), kind="baseline")
        self._known[name] = baseline
