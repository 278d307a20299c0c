"""A report as SARIF 2.1.0 for security dashboards: one result for each cluster, `pass` where it is verified.

A verified cluster with a hook that is not done is a warning.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final
from urllib.parse import quote

from aks_entra import __version__
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.report.doors_view import ways_in
from aks_entra.report.evidence_lines import line_of
from aks_entra.text.safe import for_json, visible

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
RULE: Final = "AKS-ENTRA-1"

_LEVELS: Final = {
    Outcome.VERIFIED: ("pass", "none"),
    Outcome.NOT_VERIFIED: ("fail", "warning"),
    Outcome.FAILED: ("fail", "error"),
    Outcome.REFUSED: ("fail", "error"),
    Outcome.SKIPPED: ("notApplicable", "none"),
}
"""SARIF's kind and level of each outcome; only the kind `fail` may have a level other than `none` (3.27.9)."""

_RULE: Final[dict[str, Any]] = {
    "id": RULE,
    "name": "LocalAccountsClosedAndOldCredentialsDead",
    "shortDescription": {
        "text": "The cluster signs people in with Microsoft Entra ID only, and old credentials are dead."
    },
    "fullDescription": {
        "text": "AKS-managed Microsoft Entra ID is on, local accounts are disabled, and the certificates were rotated "
        "afterwards. Each was proven from outside: a member signs in, Azure refuses admin credentials, and old "
        "credentials are refused."
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
    """Return the log with one run."""
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
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return for_json(json.dumps(log, indent=2, ensure_ascii=False)) + "\n"


def _result(verdict: Verdict) -> dict[str, Any]:
    left = verdict.outcome is Outcome.VERIFIED and verdict.hooks_left
    kind, level = _LEVELS[Outcome.NOT_VERIFIED if left else verdict.outcome]
    because = "; ".join(map(_message, verdict.because)) or "no reason was recorded"
    then = f" Next: {_message(verdict.next)}" if verdict.next else ""
    return {
        "ruleId": RULE,
        "ruleIndex": 0,
        "kind": kind,
        "level": level,
        "message": {"text": f"{_message(str(verdict.cluster))} is {verdict.outcome}: {because}.{then}"},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": f"azure:{_path(verdict.cluster.resource_id)}"}},
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
            "waysIn": {door.kind: door.state for door in ways_in(verdict.evidence)},
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


def _message(text: str) -> str:
    """Return text for a message. In a message `[words](target)` is a link (3.11.6), so brackets are escaped."""
    return re.sub(r"[\[\]]", lambda found: f"\\{found[0]}", visible(text)) if "](" in text else visible(text)


def _path(resource_id: str) -> str:
    return quote(visible(resource_id), safe="/-._~!$&'()*+,;=:@")
