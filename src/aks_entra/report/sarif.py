"""A report as SARIF 2.1.0 for security dashboards: one result for each cluster, `pass` where it is verified."""

from __future__ import annotations

import json
from typing import Any, Final

from aks_entra import __version__
from aks_entra.core.report import FleetReport
from aks_entra.core.verdict import Outcome, Verdict
from aks_entra.report.evidence_lines import line_of

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
RULE: Final = "AKS-ENTRA-1"

_LEVELS: Final = {
    Outcome.VERIFIED: ("pass", "none"),
    Outcome.NOT_VERIFIED: ("fail", "warning"),
    Outcome.FAILED: ("fail", "error"),
    Outcome.REFUSED: ("fail", "error"),
    Outcome.SKIPPED: ("notApplicable", "none"),
}
"""SARIF's kind and level of each outcome; a level other than `none` goes with the kind `fail` only (3.27.9)."""

_RULE: Final[dict[str, Any]] = {
    "id": RULE,
    "name": "LocalAccountsClosedAndOldCredentialsDead",
    "shortDescription": {
        "text": "The cluster signs people in by Microsoft Entra ID only, and old credentials are dead."
    },
    "fullDescription": {
        "text": "AKS-managed Microsoft Entra ID is on, local accounts are disabled, certificates were rotated since, "
        "and each was proven from outside: a member signs in, Azure refuses admin credentials, credentials from before "
        "are refused."
    },
    "help": {"text": "Plan what is missing with `aks-entra plan`, and carry it out with `aks-entra migrate`."},
    "defaultConfiguration": {"level": "warning"},
    "properties": {
        "tags": ["security", "identity"],
        "policies": ["993c2fcd-2b29-49d2-9eb0-df2c3a730c32", "450d2877-ebea-41e8-b00c-e286317d21bf"],
        "cis": ["3.1.1"],
        "mcsb": ["IM-1"],
    },
}


def render(report: FleetReport) -> str:
    """The whole log with one run."""
    run = {
        "tool": {
            "driver": {
                "name": "aks-entra",
                "semanticVersion": __version__,
                "rules": [_RULE],
            }
        },
        "automationDetails": {"id": f"aks-entra/{report.name}/{report.plan_digest}"},
        "invocations": [
            {"executionSuccessful": True, "startTimeUtc": report.started_at, "endTimeUtc": report.ended_at}
        ],
        "properties": {"planDigest": report.plan_digest, "reportDigest": report.digest},
        "results": [_result(verdict) for verdict in report.verdicts],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _result(verdict: Verdict) -> dict[str, Any]:
    kind, level = _LEVELS[verdict.outcome]
    because = "; ".join(verdict.because) or "no reason was recorded"
    then = f" Next: {verdict.next}" if verdict.next else ""
    return {
        "ruleId": RULE,
        "ruleIndex": 0,
        "kind": kind,
        "level": level,
        "message": {"text": f"{verdict.cluster} is {verdict.outcome}: {because}.{then}"},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": f"azure:{verdict.cluster.resource_id}"}},
                "logicalLocations": [
                    {
                        "name": verdict.cluster.name,
                        "fullyQualifiedName": verdict.cluster.resource_id,
                        "kind": "resource",
                    }
                ],
            }
        ],
        "partialFingerprints": {"aksEntraCluster/v1": verdict.cluster.key},
        "properties": {
            "outcome": verdict.outcome,
            "grade": verdict.grade or "",
            "evidence": [
                {
                    "at": line.at,
                    "what": line.what,
                    "detail": line.detail,
                    "correlationId": line.correlation_id,
                }
                for line in map(line_of, verdict.evidence)
            ],
        },
    }
