"""The records of a cluster in a store of records, written and read as the commands write and read them.

The newest record of a key counts. Nothing is remembered but the store, which a process opens anew when it begins.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from aks_entra import documents
from aks_entra.adapters.records.store import Records
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.lasting import lasting
from aks_entra.core.evidence.observations import Baseline, Evidence
from aks_entra.core.evidence.rotation_debt import Record
from aks_entra.core.planning.plan import ClusterPlan, FleetPlan
from aks_entra.core.verdict.report import FleetReport, records_of
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.prefect_client.artifacts import Stored
from aks_entra.prefect_client.names import hexadecimal, key, short, slug
from aks_entra.prefect_client.record_store import KeptRecords
from aks_entra.prefect_client.stored_documents import lost_evidence, read
from tests.support.record_places import HarmedPlace

Harm = Literal["lost", "newest lost", "cut short", "no document", "of a newer version"]
HARMS: tuple[Harm, ...] = ("lost", "newest lost", "cut short", "no document", "of a newer version")
"""What happens to a record. Newest lost: an older one takes its place."""
_REPORTS = ("report-", "verification-")
_report = lru_cache(maxsize=512)(documents.load_report)
_verdict = lru_cache(maxsize=512)(documents.load_verdict)  # parsing takes half of a history's time


@dataclass(slots=True)
class Archive:
    """A store of records, and the plans as people have them in files."""

    place: HarmedPlace = field(default_factory=HarmedPlace)
    plans: dict[str, FleetPlan] = field(default_factory=dict)
    _store: Records = field(init=False)

    def __post_init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """End the process: the next one opens the store anew."""
        self._store = Records(self.place)

    @property
    def _kept(self) -> KeptRecords:
        return KeptRecords(self._store, whole=True)

    async def keep(self, report: FleetReport, *, purpose: str = "report") -> None:
        """Store a report. It replaces an older one of the same plan and purpose."""
        await self._put(key(purpose, hexadecimal(report.plan_digest)), documents.dump_report(report))

    async def keep_verdict(self, digest: str, verdict: Verdict) -> None:
        """Store a cluster's verdict under its plan."""
        await self._put(key("verdict", hexadecimal(digest), slug(verdict.cluster)), documents.dump_verdict(verdict))

    async def verdict(self, digest: str, cluster: ClusterId) -> Verdict | None:
        """Return the newest verdict of a cluster under a plan, or None. Refused if it cannot be read."""
        kept = await self._kept.newest(key("verdict", hexadecimal(digest), slug(cluster)))
        return _verdict(kept.text) if kept is not None else None

    async def reports(self) -> tuple[Stored, ...]:
        """Return the newest report of each plan and purpose."""
        return tuple([one for prefix in _REPORTS for one in await self._kept.newest_under(prefix)])

    async def records(self, cluster: ClusterId | None = None) -> tuple[Record, ...]:
        """Return the records of all reports, about one cluster or all. An unreadable report is a record as well."""
        found = read(await self.reports(), _report)
        said = (one for _, report in found.read for one in records_of(report, f"report {short(report.plan_digest)}"))
        known = (*said, *(record for lost in found.unread for record in lost.records))
        return tuple(one for one in known if cluster is None or one.cluster in {"", cluster.key})

    async def last_plans(self) -> tuple[FleetPlan, ...]:
        """Return the plan of each fleet's newest report."""
        found = read(await self._kept.newest_under("report-"), _report)
        reports = sorted((report for _, report in found.read), key=lambda one: one.ended_at)
        newest = {report.name: report for report in reports}
        return tuple(self.plans[one.plan_digest] for one in newest.values() if one.plan_digest in self.plans)

    # `aks_entra.ports.migration.Journal`

    async def baseline(self, digest: str, cluster: ClusterId) -> Baseline | None:
        """Return the stored baseline. None if there is none, or it cannot be read."""
        kept = await self._kept.newest(key("baseline", hexadecimal(digest), slug(cluster)))
        found = read((kept,), documents.load_baseline).read if kept else ()
        return found[0][1] if found else None

    async def store_baseline(self, digest: str, baseline: Baseline) -> None:
        """Store a baseline. The newest one counts."""
        name = key("baseline", hexadecimal(digest), slug(ClusterId.parse(baseline.cluster)))
        await self._put(name, documents.dump_baseline(baseline))

    async def evidence(self, digest: str, plan: ClusterPlan) -> tuple[Evidence, ...]:
        """Return what earlier runs did to the cluster. What cannot be read is a failed look."""
        kinds = tuple(dict.fromkeys(step.kind for step in plan.steps))
        names = [key("evidence", hexadecimal(digest), slug(plan.cluster), kind) for kind in kinds]
        found = read([one for name in names if (one := await self._kept.newest(name)) is not None], _verdict)
        seen = (one for _, verdict in found.read for one in lasting(verdict.evidence))
        return (*seen, *(lost_evidence(one) for one in found.unread))

    async def store_evidence(self, digest: str, cluster: ClusterId, step: str, evidence: tuple[Evidence, ...]) -> None:
        """Store what a step did, so that it outlives the process."""
        if lasting(evidence):
            kept = Verdict(cluster=cluster, outcome=Outcome.NOT_VERIFIED, because=("under way",), evidence=evidence)
            await self._put(key("evidence", hexadecimal(digest), slug(cluster), step), documents.dump_verdict(kept))

    async def harm(self, what: Harm, place: int) -> None:
        """Apply a harm to one report, and to the verdicts and the evidence under its plan."""
        reports = sorted([one for prefix in _REPORTS for one in await self.place.place.folders(f"records/{prefix}")])
        if reports:
            digest = reports[place % len(reports)].rstrip("/").rpartition("-")[2]
            await self.harm_under(digest, what)

    async def harm_under(self, digest: str, what: Harm) -> None:
        """Apply a harm to every record of a plan."""
        folders = [one.removeprefix("records/").rstrip("/") for one in await self.place.place.folders("records/")]
        reach, self.place.reach = self.place.reach, "readable"  # the harm comes from elsewhere
        for name in (one for one in folders if digest in one.split("-")):
            match what:
                case "lost":
                    await self.place.all_are_removed(name)
                case "newest lost":
                    await self.place.newest_is_removed(name)
                case "cut short":
                    await self.place.newest_is_cut_short(name)
                case "no document":
                    await self._put(name, "!!")
                case "of a newer version":
                    await self._raise_version(name)
        self.place.reach = reach

    async def _raise_version(self, name: str) -> None:
        for _, text in read(await self._kept.newest_under(name), str).read:
            if text.startswith("{"):
                document = json.loads(text)
                inner: dict[str, Any] = next(
                    (document[one] for one in ("report", "verdict", "baseline") if one in document), {}
                )
                inner["version"] = 99
                await self._put(name, json.dumps(document))

    async def _put(self, name: str, text: str) -> None:
        await self._store.append(name, documents.pack(text), kind=name.partition("-")[0])
