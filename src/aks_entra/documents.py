"""Plans, reports, verdicts and baselines as JSON text, and back. The core's dataclasses are the schema.

What is read was perhaps written by hand: a text that does not say what it should is Refused, never guessed at.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from aks_entra.core.evidence import Baseline
from aks_entra.core.plan import FleetPlan
from aks_entra.core.report import FleetReport
from aks_entra.core.verdict import Verdict
from aks_entra.errors import Refused

_T = TypeVar("_T")
_PLAN: Final = TypeAdapter(FleetPlan)
_REPORT: Final = TypeAdapter(FleetReport)
_VERDICT: Final = TypeAdapter(Verdict)
_BASELINE: Final = TypeAdapter(Baseline)


def dump_plan(plan: FleetPlan) -> str:
    """`{"kind": "aks-entra/plan", "digest": …, "plan": {…}}`."""
    return _dump("plan", _PLAN, plan, digest=plan.digest)


def load_plan(text: str) -> FleetPlan:
    """Read a plan. Refused when malformed, or when its content has another digest than it says."""
    plan, digest = _load("plan", _PLAN, text)
    _same_digest("plan", plan.digest, digest)
    return plan


def dump_report(report: FleetReport) -> str:
    """`{"kind": "aks-entra/report", "digest": …, "report": {…}}`."""
    return _dump("report", _REPORT, report, digest=report.digest)


def load_report(text: str) -> FleetReport:
    """Read a report. Refused as `load_plan`."""
    report, digest = _load("report", _REPORT, text)
    _same_digest("report", report.digest, digest)
    return report


def dump_verdict(verdict: Verdict) -> str:
    """`{"kind": "aks-entra/verdict", "verdict": {…}}`."""
    return _dump("verdict", _VERDICT, verdict)


def load_verdict(text: str) -> Verdict:
    """Read a verdict. Refused when malformed."""
    return _load("verdict", _VERDICT, text)[0]


def dump_baseline(baseline: Baseline) -> str:
    """`{"kind": "aks-entra/baseline", "baseline": {…}}`."""
    return _dump("baseline", _BASELINE, baseline)


def load_baseline(text: str) -> Baseline:
    """Read a baseline. Refused when malformed."""
    return _load("baseline", _BASELINE, text)[0]


def pack(text: str) -> str:
    """Gzip and base64, the same bytes for the same text."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode("ascii")


def unpack(packed: str) -> str:
    """Undo `pack`. Refused when it is not such a text."""
    try:
        return gzip.decompress(base64.b64decode(packed, validate=True) or b"?").decode()
    except (binascii.Error, ValueError, OSError, EOFError, zlib.error) as error:
        raise Refused("the packed document is damaged", remedy="store it anew from its file") from error


def _dump(kind: str, adapter: TypeAdapter[_T], value: _T, *, digest: str = "") -> str:
    document: dict[str, Any] = {"kind": f"aks-entra/{kind}"}
    if digest:
        document["digest"] = digest
    document[kind] = adapter.dump_python(value, mode="json")
    return json.dumps(document, indent=1, ensure_ascii=False)


def _load(kind: str, adapter: TypeAdapter[_T], text: str) -> tuple[_T, str]:
    """The value and the digest that the document claims (empty when it names none)."""
    remedy = f"make the {kind} anew; it is not meant to be edited"
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"this is no {kind}: it is not JSON ({error})", remedy=remedy) from error
    found = document.get("kind") if isinstance(document, dict) else None
    if found != f"aks-entra/{kind}":
        raise Refused(f'this is no {kind}: its "kind" is {found!r}, not "aks-entra/{kind}"', remedy=remedy)
    try:
        return adapter.validate_json(json.dumps(document.get(kind)), strict=True), str(document.get("digest", ""))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"this {kind} is malformed at {where or kind}: {first['msg']}", remedy=remedy) from error


def _same_digest(kind: str, actual: str, claimed: str) -> None:
    if actual != claimed:
        raise Refused(
            f"this {kind} was changed: its content has the digest {actual}, but it says {claimed or 'none'}",
            remedy=f"make the {kind} anew; an approval binds to the digest of what was approved",
        )
