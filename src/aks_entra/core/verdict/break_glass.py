"""The verdict of a break-glass opening, and its report. A rotation is owed, also after it is closed."""

from __future__ import annotations

import hashlib
from typing import Final

from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.break_glass import Opening
from aks_entra.core.evidence.observations import (
    DenyPolicySeen,
    Evidence,
    Failure,
    LocalAccountsDisabled,
    LocalAccountsEnabled,
    StateSeen,
)
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, Verdict

ROTATE: Final = (
    "rotate the certificates behind an approval of its own: `aks-entra plan` with `rotation: at-once`, then "
    "`aks-entra migrate`; until then the credentials that were handed out still work"
)


def opening_digest(cluster: ClusterId, opening: Opening) -> str:
    """Return what replaces the plan's digest in the report of an opening. Each opening has its own."""
    return f"sha256:{hashlib.sha256(f'break-glass {cluster.key} {opening.since}'.encode()).hexdigest()}"


def report_of(cluster: ClusterId, opening: Opening, verdict: Verdict, *, ended_at: str) -> FleetReport:
    """Return the report of an opening: our evidence that accounts were open, which counts for old credentials."""
    return FleetReport(
        name=f"break-glass {cluster}",
        plan_digest=opening_digest(cluster, opening),
        started_at=opening.since,
        ended_at=ended_at,
        verdicts=(verdict,),
    )


def judge_opening(cluster: ClusterId, opening: Opening, evidence: tuple[Evidence, ...]) -> Verdict:
    """Judge an opening. It is never "verified", because a rotation is owed even after it is closed."""
    state = next((one for one in reversed(evidence) if isinstance(one, StateSeen)), None)
    opened = any(isinstance(one, LocalAccountsEnabled) for one in evidence)
    closed = any(isinstance(one, LocalAccountsDisabled) for one in evidence) or (
        state is not None and not state.local_accounts
    )
    failure = next((one for one in reversed(evidence) if isinstance(one, Failure)), None)
    because: tuple[str, ...]
    why = " · ".join(part for part in (opening.reason, opening.ticket, opening.opener) if part)
    owed = _owed(opening)
    if failure is not None and not opened:
        outcome = Outcome.REFUSED if failure.error == "Refused" else Outcome.FAILED
        because, remedy = (f"not opened: {failure.message}",), failure.remedy
    elif failure is not None and closed:
        outcome, because = Outcome.FAILED, (f"closed, but not verified: {failure.message}", owed)
        remedy = failure.remedy
    elif failure is not None:
        outcome, because = Outcome.FAILED, (f"local accounts STAY OPEN: {failure.message}", f"opened for {why}", owed)
        remedy = (
            f"a person decides: repair sign-in ({failure.remedy or 'see the message'}), then "
            f"`aks-entra break-glass {cluster} --close`; or extend it with `--duration`"
        )
    elif closed:
        outcome, because, remedy = Outcome.NOT_VERIFIED, ("local accounts are closed again", owed), ROTATE
    else:
        outcome, because = Outcome.NOT_VERIFIED, (f"local accounts are OPEN until {opening.until}: {why}", owed)
        remedy = f"close it earlier with `aks-entra break-glass {cluster} --close`"
    policy = tuple(one.problem for one in evidence if isinstance(one, DenyPolicySeen) and one.problem)
    return Verdict(cluster=cluster, outcome=outcome, because=(*because, *policy), evidence=evidence, next=remedy)


def judge_gone(cluster: ClusterId, opening: Opening, *, local_accounts: bool) -> Verdict:
    """Judge a cluster whose opening somebody else removed: accounts are off, or open without an end."""
    if not local_accounts:
        return Verdict(
            cluster=cluster,
            outcome=Outcome.NOT_VERIFIED,
            because=("local accounts were closed by somebody else (the sweep, or `--close`)", _owed(opening)),
            next=ROTATE,
        )
    return Verdict(
        cluster=cluster,
        outcome=Outcome.FAILED,
        because=(
            "local accounts are ON, and the tags with the end are gone: nothing will close them",
            _owed(opening),
        ),
        next="a person decides: `aks-entra plan` shows what a migration would close",
    )


def _owed(opening: Opening) -> str:
    return f"rotation owed: admin credentials handed out since {opening.since} work until the certificates are rotated"
