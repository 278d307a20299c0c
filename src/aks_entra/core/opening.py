"""A break-glass opening: for how long, why and by whom, as it stands on the cluster itself; and how it came out.

The tags survive the process that opened: whoever reads them knows when to close. Azure forbids "/" in names of tags.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence import Evidence, Failure, LocalAccountsDisabled, LocalAccountsEnabled, StateSeen
from aks_entra.core.report import FleetReport
from aks_entra.core.verdict import Outcome, Verdict

PREFIX: Final = "aks-entra-break-glass-"
_FIELDS: Final = ("until", "since", "reason", "ticket", "opener")
LONGEST: Final = 256
"""Characters of a tag's value that Azure takes."""
ROTATE: Final = (
    "rotate the certificates behind an approval of its own: `aks-entra plan` with `rotation: at-once`, then "
    "`aks-entra migrate`; until then what was handed out still works"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """One opening. Times are ISO 8601 in UTC."""

    until: str
    since: str
    reason: str
    ticket: str = ""
    opener: str = ""

    def due(self, now: datetime) -> bool:
        """Whether its time is over. One whose end cannot be read is over: somebody has changed the tag."""
        end = _moment(self.until)
        return end is None or end <= now

    @property
    def tags(self) -> tuple[tuple[str, str | None], ...]:
        """How it stands on the cluster; None: no such tag."""
        return tuple((f"{PREFIX}{name}", getattr(self, name) or None) for name in _FIELDS)

    def evidence(self, *, at: str, changed: bool, correlation_id: str = "") -> LocalAccountsEnabled:
        """The opening as evidence."""
        return LocalAccountsEnabled(
            at=at,
            changed=changed,
            until=self.until,
            reason=self.reason,
            ticket=self.ticket,
            opener=self.opener,
            correlation_id=correlation_id,
        )


CLOSED: Final[tuple[tuple[str, str | None], ...]] = tuple((f"{PREFIX}{name}", None) for name in _FIELDS)
"""The tags of a cluster that is closed: none of ours."""


def opening_on(tags: Iterable[tuple[str, str]]) -> Opening | None:
    """The opening that a cluster's tags tell of, if they tell of one. Names of tags ignore case."""
    said = {name.casefold().removeprefix(PREFIX): value for name, value in tags if name.casefold().startswith(PREFIX)}
    if not said:
        return None
    return Opening(**{name: said.get(name, "") for name in _FIELDS})


def opening_digest(cluster: ClusterId, opening: Opening) -> str:
    """What stands for a plan's digest in the report of an opening: one for each opening of a cluster."""
    return f"sha256:{hashlib.sha256(f'break-glass {cluster.key} {opening.since}'.encode()).hexdigest()}"


def report_of(cluster: ClusterId, opening: Opening, verdict: Verdict, *, ended_at: str) -> FleetReport:
    """The report of an opening: our own evidence that accounts were open, for whoever weighs old credentials."""
    return FleetReport(
        name=f"break-glass {cluster}",
        plan_digest=opening_digest(cluster, opening),
        started_at=opening.since,
        ended_at=ended_at,
        verdicts=(verdict,),
    )


def judge_opening(cluster: ClusterId, opening: Opening, evidence: tuple[Evidence, ...]) -> Verdict:
    """How an opening stands. Open or closed again, a rotation is owed: it is never "verified"."""
    state = next((one for one in reversed(evidence) if isinstance(one, StateSeen)), None)
    opened = any(isinstance(one, LocalAccountsEnabled) for one in evidence)
    closed = any(isinstance(one, LocalAccountsDisabled) for one in evidence) or (
        state is not None and not state.local_accounts
    )
    failure = next((one for one in reversed(evidence) if isinstance(one, Failure)), None)
    because: tuple[str, ...]
    why = " · ".join(part for part in (opening.reason, opening.ticket, opening.opener) if part)
    owed = f"rotation owed: admin credentials handed out since {opening.since} work until the certificates are rotated"
    if failure is not None and not opened:
        outcome = Outcome.REFUSED if failure.error == "Refused" else Outcome.FAILED
        because, remedy = (f"not opened: {failure.message}",), failure.remedy
    elif failure is not None and closed:
        outcome, because = Outcome.FAILED, (f"closed, but not seen to its end: {failure.message}", owed)
        remedy = failure.remedy
    elif failure is not None:
        outcome, because = Outcome.FAILED, (f"local accounts STAY OPEN: {failure.message}", f"opened for {why}", owed)
        remedy = (
            f"a person decides: repair sign-in ({failure.remedy or 'see the message'}), then "
            f"`aks-entra break-glass {cluster} --close`; or extend it with `--for`"
        )
    elif closed:
        outcome, because, remedy = Outcome.NOT_VERIFIED, ("local accounts are closed again", owed), ROTATE
    else:
        outcome, because = Outcome.NOT_VERIFIED, (f"local accounts are OPEN until {opening.until}: {why}", owed)
        remedy = f"close it earlier with `aks-entra break-glass {cluster} --close`"
    return Verdict(cluster=cluster, outcome=outcome, because=because, evidence=evidence, next=remedy)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
