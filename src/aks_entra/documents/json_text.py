"""Plans, reports, verdicts and baselines as JSON text, and back. The core's dataclasses are the schema.

What is read was perhaps written by hand: a text that does not say what it should is Refused, never guessed at. Each
document has a version (one without is version 1), and what a newer version wrote is not half understood: it is Refused.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import when
from aks_entra.core.entra_keys import PublishedKey
from aks_entra.core.estimate.model import ExpectedTime
from aks_entra.core.evidence.break_glass import OpeningRecord
from aks_entra.core.evidence.observations import Baseline
from aks_entra.core.evidence.rotation_debt import Record
from aks_entra.core.planning.fleet import Fleet
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.signed_approval import SignedApproval
from aks_entra.core.planning.signed_request import SignedRequest
from aks_entra.core.rollout.quiet import CallersAtGate
from aks_entra.core.storable import storable
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Verdict
from aks_entra.errors import Refused

_T = TypeVar("_T")


class _Form(Generic[_T]):
    """A kind of document, and the type of its content."""

    def __init__(self, kind: str, content: type[_T]) -> None:
        self.kind = kind
        self._content = content

    @cached_property
    def adapter(self) -> TypeAdapter[_T]:
        """Reads and writes the content. It is built on first use, because that takes tens of milliseconds."""
        return TypeAdapter(self._content)


_PLAN: Final = _Form("plan", FleetPlan)
_REPORT: Final = _Form("report", FleetReport)
_VERDICT: Final = _Form("verdict", Verdict)
_BASELINE: Final = _Form("baseline", Baseline)
_FLEET: Final = _Form("fleet", Fleet)
_RECORDS: Final = _Form("records", tuple[Record, ...])
_OPENING: Final = _Form("opening", OpeningRecord)
_CALLERS: Final = _Form("callers", CallersAtGate)
_SIGNED_APPROVAL: Final = _Form("signed-approval", SignedApproval)
_ENTRA_KEY: Final = _Form("entra-key", PublishedKey)
_SIGNED_REQUEST: Final = _Form("signed-request", SignedRequest)

VERSION: Final = 1
"""Of the documents that this program writes, and the newest that it reads."""
LARGEST: Final = 64 * 1024 * 1024
"""Bytes of an unpacked document. A plan of a thousand clusters takes 2.4 MB."""


def dump_plan(plan: FleetPlan, expected: ExpectedTime | None = None) -> str:
    """`{"kind": "aks-entra/plan", "digest": …, "facts": …, "plan": {…}}`; `facts` is the plan's `facts_digest`.

    With an expected time, the document has `expected_time` too. No digest covers it, and `load_plan` ignores it.
    """
    more = {"expected_time": _in_seconds(expected)} if expected else {}
    return _dump(_PLAN, plan, digest=plan.digest, facts=plan.facts_digest, **more)


def _in_seconds(expected: ExpectedTime) -> dict[str, Any]:
    stages = [{**asdict(stage), "rounds": stage.rounds} for stage in expected.stages]
    return {**asdict(expected), "stages": stages, "approvals": expected.approvals, "unknown": expected.unknown}


def load_plan(text: str, *, under: str = "") -> FleetPlan:
    """Read a plan. Refused when malformed, or when its content has another digest than it says.

    `under`: the digest under which it was kept, in full; a plan with another one is Refused too. A document without
    `facts` is one of an earlier version, or somebody took it out: it is read, and `unsealed` then.
    """
    plan, digest = _load(_PLAN, text)
    _same_digest("plan", plan.digest, digest)
    _same_digest("plan", digest, under or digest)
    facts = json.loads(text).get("facts")
    if facts is None:
        return replace(plan, unsealed=True)
    if plan.facts_digest != facts:
        raise Refused(
            f"this plan was changed: its content (findings, debts, times) has the facts digest {plan.facts_digest}, "
            f"but it says {facts!r}",
            remedy="make the plan anew; an approver has to read what the planning found",
        )
    return plan


def dump_fleet(fleet: Fleet) -> str:
    """`{"kind": "aks-entra/fleet", "fleet": {…}}`: what a worker is asked to plan."""
    return _dump(_FLEET, fleet)


def load_fleet(text: str) -> Fleet:
    """Read a fleet. Refused when malformed."""
    return _load(_FLEET, text)[0]


def dump_report(report: FleetReport) -> str:
    """`{"kind": "aks-entra/report", "digest": …, "report": {…}}`."""
    return _dump(_REPORT, report, digest=report.digest)


def load_report(text: str) -> FleetReport:
    """Read a report. Refused as `load_plan`."""
    report, digest = _load(_REPORT, text)
    _same_digest("report", report.digest, digest)
    return report


def dump_verdict(verdict: Verdict) -> str:
    """`{"kind": "aks-entra/verdict", "verdict": {…}}`."""
    return _dump(_VERDICT, verdict)


def load_verdict(text: str) -> Verdict:
    """Read a verdict. Refused when malformed."""
    return _load(_VERDICT, text)[0]


def dump_baseline(baseline: Baseline) -> str:
    """`{"kind": "aks-entra/baseline", "baseline": {…}}`."""
    return _dump(_BASELINE, baseline)


def load_baseline(text: str) -> Baseline:
    """Read a baseline. Refused when malformed."""
    return _load(_BASELINE, text)[0]


def dump_callers(found: CallersAtGate) -> str:
    """`{"kind": "aks-entra/callers", "callers": {…}}`."""
    return _dump(_CALLERS, found)


def load_callers(text: str) -> CallersAtGate:
    """Read which callers kept a gate shut. Refused when malformed."""
    return _load(_CALLERS, text)[0]


def dump_opening(record: OpeningRecord) -> str:
    """`{"kind": "aks-entra/opening", "opening": {…}}`."""
    return _dump(_OPENING, record)


def load_opening(text: str) -> OpeningRecord:
    """Read the record of a break-glass opening. Refused when malformed, or without cluster or end."""
    record = _load(_OPENING, text)[0]
    remedy = "close the cluster: `aks-entra break-glass CLUSTER --close`"
    try:
        ClusterId.parse(record.cluster)
    except ValueError as error:
        raise Refused(f"this opening is malformed at cluster: {error}", remedy=remedy) from error
    if when(record.opening.until) is None:
        raise Refused("this opening is malformed at until: it is no time", remedy=remedy)
    return record


def dump_records(records: tuple[Record, ...]) -> str:
    """`{"kind": "aks-entra/records", "version": 1, "records": [{…}]}`."""
    return _dump(_RECORDS, records)


def load_records(text: str) -> tuple[Record, ...]:
    """Read records. Refused when malformed."""
    return _load(_RECORDS, text)[0]


def dump_signed_approval(signed: SignedApproval) -> str:
    """`{"kind": "aks-entra/signed-approval", "version": 1, "signed-approval": {…}}`."""
    return _dump(_SIGNED_APPROVAL, signed)


def load_signed_approval(text: str) -> SignedApproval:
    """Read a signed approval. Refused when malformed. Its signatures are not checked here."""
    return _load(_SIGNED_APPROVAL, text)[0]


def dump_entra_key(key: PublishedKey) -> str:
    """`{"kind": "aks-entra/entra-key", "version": 1, "entra-key": {…}}`."""
    return _dump(_ENTRA_KEY, key)


def load_entra_key(text: str) -> PublishedKey:
    """Read the record of a key that Entra published. Refused when malformed."""
    return _load(_ENTRA_KEY, text)[0]


def dump_signed_request(request: SignedRequest) -> str:
    """`{"kind": "aks-entra/signed-request", "version": 1, "signed-request": {…}}`."""
    return _dump(_SIGNED_REQUEST, request)


def load_signed_request(text: str) -> SignedRequest:
    """Read a request whose approval is signed. Refused when malformed."""
    return _load(_SIGNED_REQUEST, text)[0]


def pack(text: str) -> str:
    """Gzip and base64, the same bytes for the same text. Refused for a text that `unpack` would not take."""
    content = text.encode(errors="replace")
    if len(content) > LARGEST:
        raise Refused(
            f"the document is too large to be stored: {_megabytes(len(content))}, of {_megabytes(LARGEST)} at most",
            remedy="split the fleet into several fleet files",
        )
    return base64.b64encode(gzip.compress(content, mtime=0)).decode("ascii")


def unpack(packed: str) -> str:
    """Undo `pack`. Refused when it is not such a text, or when more than `LARGEST` bytes come out of it."""
    try:
        inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | _GZIP)
        whole = packed if len(packed) % 4 == 0 else "!"  # Python takes a padding that is too long
        content = inflate.decompress(base64.b64decode(whole, validate=True), LARGEST + 1)
        text = content[:LARGEST].decode()
    except (binascii.Error, ValueError, zlib.error) as error:
        raise _damaged() from error
    if len(content) > LARGEST:
        raise Refused(
            f"the packed document is not one of ours: more than {_megabytes(LARGEST)} come out of it",
            remedy="delete the artifact in Prefect, and store the document again from its file",
        )
    if not inflate.eof or inflate.unused_data:
        raise _damaged()
    return text


def _damaged() -> Refused:
    return Refused("the packed document is damaged", remedy="store it anew from its file")


_GZIP: Final = 16
"""For zlib: expect gzip's header and checksum."""


def _megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:.0f} MiB"


def _dump(form: _Form[_T], value: _T, **more: Any) -> str:
    document: dict[str, Any] = {"kind": f"aks-entra/{form.kind}", **more}
    content = storable(form.adapter.dump_python(value, mode="json"))
    if "version" not in content:
        document["version"] = VERSION
    document[form.kind] = content
    return json.dumps(document, indent=1, ensure_ascii=False)


def _load(form: _Form[_T], text: str) -> tuple[_T, str]:
    """The value and the digest that the document claims (empty when it names none)."""
    kind = form.kind
    remedy = f"make the {kind} anew; it is not meant to be edited"
    try:
        document = storable(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise Refused(f"this is no {kind}: it is not JSON ({_one_line(error)})", remedy=remedy) from error
    found = document.get("kind") if isinstance(document, dict) else None
    if found != f"aks-entra/{kind}":
        raise Refused(f'this is no {kind}: its "kind" is {found!r:.80}, not "aks-entra/{kind}"', remedy=remedy)
    content = document.get(kind)
    for holder in (document, content if isinstance(content, dict) else {}):
        require_version(kind, holder.get("version", VERSION))
    try:
        value = form.adapter.validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"this {kind} is malformed at {where or kind}: {first['msg']}", remedy=remedy) from error
    if strange := _unknown(content, form.adapter.dump_python(value, mode="json")):
        raise _newer(kind, f"it has the field {strange}, which this version does not know")
    return value, str(document.get("digest", ""))


def require_version(kind: str, version: object) -> None:
    """Refused for a document that a newer version of this program wrote, or whose version is none."""
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise Refused(
            f"this {kind} is malformed at version: it is {version!r:.80}, and not a number from 1 on",
            remedy=f"make the {kind} anew; it is not meant to be edited",
        )
    if version > VERSION:
        raise _newer(kind, f"format {version}; this one reads {VERSION}")


def _newer(kind: str, why: str) -> Refused:
    return Refused(
        f"this {kind} was written by a newer version of aks-entra ({why})",
        remedy="read it with that version, or install it here: `aks-entra version` shows yours",
        code="NewerVersion",
    )


def _unknown(given: Any, known: Any, at: str = "") -> str:
    """The first field of a document that the value made of it does not have; empty when it has all of them."""
    if isinstance(given, dict) and isinstance(known, dict):
        strange = next((name for name in given if name not in known), None)
        if strange is not None:
            return f"{at}{strange}"
        inner = ((f"{at}{name}.", given[name], known[name]) for name in given)
    elif isinstance(given, list) and isinstance(known, list):
        inner = ((f"{at}{place}.", one, same) for place, (one, same) in enumerate(zip(given, known, strict=False)))
    else:
        return ""
    return next((found for where, one, same in inner if (found := _unknown(one, same, where))), "")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _same_digest(kind: str, actual: str, claimed: str) -> None:
    if actual != claimed:
        raise Refused(
            f"this {kind} was changed: its content has the digest {actual}, but it says {claimed or 'none'}",
            remedy=f"make the {kind} anew; an approval binds to the digest of what was approved",
        )
