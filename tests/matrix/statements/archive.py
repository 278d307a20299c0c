"""Stores reports and verdicts of a cluster as text, as Prefect's server and a folder do.

Texts are written and read by `aks_entra.documents`. The newest text of a key counts, as on the server.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from aks_entra import documents
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.observations import (
    CertificatesRotated,
    EntraSet,
    Evidence,
    GroupEnsured,
    LocalAccountsDisabled,
)
from aks_entra.core.evidence.rotation_debt import Record, Sighting
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.verdict.report import FleetReport, records_of
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.errors import Refused

_LASTING = GroupEnsured | EntraSet | LocalAccountsDisabled | CertificatesRotated

Harm = Literal["lost", "damaged", "of a newer version"]
HARMS: tuple[Harm, ...] = ("lost", "damaged", "of a newer version")


_report = lru_cache(maxsize=512)(documents.load_report)
_verdict = lru_cache(maxsize=512)(documents.load_verdict)  # parsing takes half of a history's time


def _records(name: str, text: str) -> tuple[Record, ...]:
    try:
        return records_of(_report(text), name[:20])
    except Refused:
        return (Record(cluster="", sighting=Sighting.UNREADABLE, at="", source=name[:20]),)


@dataclass(slots=True)
class Archive:
    """Reports and verdicts by key, oldest first."""

    reports: dict[str, str] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)
    plans: dict[str, FleetPlan] = field(default_factory=dict)

    def keep(self, report: FleetReport, *, purpose: str = "report") -> None:
        """Store a report. It replaces an older one of the same plan and purpose."""
        name = f"{purpose} {report.plan_digest}"
        self.reports.pop(name, None)
        self.reports[name] = documents.dump_report(report)

    def keep_verdict(self, digest: str, verdict: Verdict) -> None:
        """Store a cluster's verdict under its plan."""
        self.verdicts[f"{digest} {verdict.cluster.key}"] = documents.dump_verdict(verdict)

    def verdict(self, digest: str, cluster: str) -> Verdict | None:
        """Return the newest verdict of a cluster under a plan, or None. Refused if it cannot be read."""
        text = self.verdicts.get(f"{digest} {cluster}")
        return _verdict(text) if text is not None else None

    def survive(self, digest: str, evidence: tuple[Evidence, ...], cluster: ClusterId) -> None:
        """Store the evidence of a step, so that it outlives the process."""
        if any(isinstance(one, _LASTING) for one in evidence):
            kept = Verdict(cluster=cluster, outcome=Outcome.NOT_VERIFIED, because=("under way",), evidence=evidence)
            self.evidence[f"{digest} {len(self.evidence)}"] = documents.dump_verdict(kept)

    def survived(self, digest: str) -> tuple[Evidence, ...]:
        """Return the evidence of earlier attempts under the plan."""
        texts = [text for name, text in self.evidence.items() if name.startswith(digest)]
        return tuple(one for text in texts for one in _verdict(text).evidence if isinstance(one, _LASTING))

    def records(self) -> tuple[Record, ...]:
        """Return the records of all reports. An unreadable report is a record that may be about any cluster."""
        return tuple(record for name, text in self.reports.items() for record in _records(name, text))

    def last_plans(self) -> tuple[FleetPlan, ...]:
        """Return the plan of each fleet's newest report."""
        newest: dict[str, FleetReport] = {}
        for name, text in self.reports.items():
            with suppress(Refused):
                report = _report(text)
                if not name.startswith("report "):
                    continue
                if report.name not in newest or newest[report.name].ended_at <= report.ended_at:
                    newest[report.name] = report
        return tuple(self.plans[one.plan_digest] for one in newest.values() if one.plan_digest in self.plans)

    def harm(self, what: Harm, place: int) -> None:
        """Apply a harm to one report, and to the verdicts that were stored with it."""
        if not self.reports:
            return
        name = sorted(self.reports)[place % len(self.reports)]

        texts = [(self.reports, name)]
        texts += [(self.verdicts, one) for one in self.verdicts if one.split()[0] == name.split()[1]]
        for kept, key in texts:
            if what == "lost":
                del kept[key]
            elif what == "damaged":
                kept[key] = "!!"
            elif kept[key].startswith("{"):
                document = json.loads(kept[key])
                inner = document.get("report") or document.get("verdict")
                if isinstance(inner, dict):
                    inner["version"] = 99
                kept[key] = json.dumps(document)
