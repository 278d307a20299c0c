"""Rotation debt: whether credentials handed out before still open a cluster.

A certificate authority (CA) does not know what was handed out before it was issued. So the answer is the same question
for every cluster: can a static credential have been fetched since the CA that serves now was issued? Our own records
and Azure's activity log say so for stretches of time (`core.coverage`). A stretch that neither covers makes the answer
"unknown".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from aks_entra.core.cluster import CertificateAuthority, Identity, Posture
from aks_entra.core.durations import when
from aks_entra.core.evidence.coverage import Look, gap
from aks_entra.core.evidence.observations import ActivityLogRead


class Debt(StrEnum):
    """What is known about credentials from before."""

    ALIVE = "alive"  # local accounts are on: anybody with the right gets them
    OWED = "owed"  # accounts are off, and the CA is one under which credentials were handed out
    UNKNOWN = "unknown"
    NONE = "none"  # dead, by evidence


class Sighting(StrEnum):
    """What one of our own records says about a cluster."""

    ACCOUNTS_ON = "accounts-on"
    ACCOUNTS_OFF = "accounts-off"
    CREATED_CLOSED = "created-closed"  # we created it with local accounts off
    ROTATED_CLOSED = "rotated-closed"  # we rotated the CA, or followed the rotation, while local accounts were off
    FOUND_ROTATED = "found-rotated"  # another CA was found: says nothing of accounts, only what the ETag was
    KNOWN_DEAD = "known-dead"  # an earlier look weighed everything: dead under this CA until `at`
    LET_IN = "let-in"  # a credential from before was accepted under this CA
    AUTHORITY = "authority"  # the certificate of a CA that served: says nothing of accounts
    TOKEN = "token"  # noqa: S105 - a salted hash of a static token that was held: says nothing of accounts
    UNREADABLE = "unreadable"  # a record that cannot be read: `source` names it; `cluster` is empty where unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One sighting: when (ISO 8601, UTC), of which cluster (`ClusterId.key`), under which CA, and where it is kept.

    `uid` is ARM's `resourceUID` and `etag` the cluster's ETag then; empty: not known. `began` (of a rotation) is when
    the CA before was last seen to serve, and `running` (of a rotation or a creation) when it was last seen running;
    `since` and `because` (of "known-dead") are those of the answer then. `replaced` is the CA that a rotation ended.
    `handed_out_to` is who received an admin credential, by the activity log. `certificate` (of "authority") is the CA's
    in PEM; `salt` and `token_hash` (of "token") are those of `TokenHeld`.
    """

    cluster: str
    sighting: Sighting
    at: str
    ca: str | None = None
    source: str = ""
    uid: str = ""
    etag: str = ""
    began: str = ""
    running: str = ""
    since: str = ""
    because: str = ""
    replaced: str = ""
    handed_out_to: str = ""
    certificate: str = ""
    salt: str = ""
    token_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OldCredentials:
    """The answer for one cluster, with its reason and what to do next.

    `since` (ISO 8601) is when the last credential died. `ca` is the fingerprint of the CA that the answer is about and
    `through` the moment until which it is proven. `again`: when a second look can say more.
    """

    debt: Debt
    because: str
    since: str | None = None
    ca: str = ""
    through: str = ""
    again: str = ""
    next: str = ""


ROTATE: Final = "set `rotation: at-once` and plan again"
"""What to do about credentials that may work."""

SHORTEST_VISIT: Final = timedelta(seconds=60)
"""In a shorter time nobody opens a cluster and closes it. That takes two updates, and each takes longer: 101 s in the
recorded exchange that sets `disableLocalAccounts`."""

_READ_LOG: Final = (
    "let the identity that runs read the activity log (Microsoft.Insights/eventtypes/values/read, part of Reader) and "
    "look again, or set `rotation: at-once` and plan again"
)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_LOOKS: Final = frozenset(
    {Sighting.ACCOUNTS_OFF, Sighting.CREATED_CLOSED, Sighting.ROTATED_CLOSED, Sighting.FOUND_ROTATED}
)


def old_credentials(
    posture: Posture, records: tuple[Record, ...], log: ActivityLogRead | None = None, *, now: str = ""
) -> OldCredentials:
    """Weigh the records of one cluster and Azure's activity log against the posture that was read at `now`.

    "none" needs accounts that were closed when the CA was issued (created so, rotated by us, or seen closed before
    that), no sighting of open accounts since, and a complete view of the time since: by the activity log, or by two
    looks that show the same ETag. A log that was not read (None) covers nothing. Records of a cluster that had the same
    name before this one (another `resourceUID`) say nothing about it.
    """
    if posture.local_accounts:
        return OldCredentials(debt=Debt.ALIVE, because="local accounts are on")
    if posture.identity is not Identity.MANAGED:
        because = f"Microsoft Entra ID: {posture.identity}; what a kubeconfig carries is not known"
        return OldCredentials(debt=Debt.UNKNOWN, because=because, next=ROTATE)
    mine = tuple(record for record in records if _about(record, posture))
    opened = (*_of(mine, Sighting.ACCOUNTS_ON), *_handed_out(posture, log))
    if posture.ca is None:
        found = _unread(posture, max(opened, key=_time, default=None))
    else:
        found = _weighed(posture, posture.ca, mine, log, now)
        found = replace(found, ca=posture.ca.fingerprint)
    lost = next((one for one in mine if one.sighting is Sighting.UNREADABLE), None)
    if lost is not None and found.debt is Debt.NONE:
        return OldCredentials(
            debt=Debt.UNKNOWN,
            because=f"{lost.source} cannot be read, and it may say that accounts were open",
            ca=found.ca,
            next="restore the record, or set `rotation: at-once` and plan again",
        )
    return found


def needs_log(posture: Posture, records: tuple[Record, ...], *, now: str) -> bool:
    """Whether the answer depends on the activity log: a log without a gap would make it "none"."""
    whole = ActivityLogRead(at=now, since=datetime.min.replace(tzinfo=UTC).isoformat(), until=now)
    return old_credentials(posture, records, whole, now=now).debt is Debt.NONE


def _about(record: Record, posture: Posture) -> bool:
    if record.sighting is Sighting.UNREADABLE:
        return record.cluster in {"", posture.cluster.key}
    same = not record.uid or not posture.uid or record.uid.casefold() == posture.uid.casefold()
    return record.cluster == posture.cluster.key and same


def _time(record: Record) -> datetime:
    """Return its time. An unreadable date counts as the latest, so that nothing is proven by it."""
    return when(record.at) or _LATEST


def _of(records: tuple[Record, ...], *sightings: Sighting) -> tuple[Record, ...]:
    """Return the sightings of these kinds, oldest first."""
    return tuple(sorted((one for one in records if one.sighting in sightings), key=_time))


def _handed_out(posture: Posture, log: ActivityLogRead | None) -> tuple[Record, ...]:
    """Return the admin credentials in the activity log, as sightings of open accounts."""
    return tuple(
        Record(
            cluster=posture.cluster.key,
            sighting=Sighting.ACCOUNTS_ON,
            at=one.at,
            source=f"activity log: {'handed out to' if one.ended else 'asked for by'} {one.to}",
        )
        for one in (log.handed_out if log else ())
    )


def _weighed(
    posture: Posture, ca: CertificateAuthority, records: tuple[Record, ...], log: ActivityLogRead | None, now: str
) -> OldCredentials:
    """Return the answer for a cluster whose CA was read."""
    issued = when(ca.not_before)
    if issued is None:
        because = f"the CA's date {ca.not_before!r} cannot be read"
        return OldCredentials(debt=Debt.UNKNOWN, because=because, next=ROTATE)
    under = tuple(one for one in records if one.ca == ca.fingerprint and when(one.at))
    proof = next(iter(reversed(_of(under, Sighting.CREATED_CLOSED, Sighting.ROTATED_CLOSED))), None)
    against = _against(posture, ca, issued, proof, records, log)
    if against:
        return OldCredentials(debt=Debt.OWED, because=against, next=ROTATE)
    start, known = _start(ca, issued, proof, records), _of(under, Sighting.KNOWN_DEAD)
    if start is None and not known:
        return _unproven(ca, _of(records, Sighting.ACCOUNTS_ON))
    begin, since, because = start or (issued, known[-1].since or known[-1].at, known[-1].because)
    end = when(now) or _LATEST
    if proof is None and issued > end:
        because = f"the CA's date {ca.not_before} is later than this machine's clock ({now})"
        return OldCredentials(debt=Debt.UNKNOWN, because=because, next="set this machine's clock, then look again")
    looks = [Look(at=_time(one), etag=one.etag) for one in records if one.sighting in _LOOKS]
    looks.append(Look(at=end, etag=posture.etag or ""))
    missing = gap(max((begin, *(_time(one) for one in known))), end, tuple(looks), log)
    if missing is None:
        return OldCredentials(debt=Debt.NONE, because=because, since=since, through=now)
    return OldCredentials(
        debt=Debt.UNKNOWN,
        because=f"{because}; {missing.because}",
        again=missing.again,
        next=f"look again after {missing.again}" if missing.again else _READ_LOG if missing.unread else ROTATE,
    )


def _against(
    posture: Posture,
    ca: CertificateAuthority,
    issued: datetime,
    proof: Record | None,
    records: tuple[Record, ...],
    log: ActivityLogRead | None,
) -> str:
    """Say what shows that a static credential works, or could be fetched, under this CA. Empty if nothing does.

    Our records are compared with our own proof, by one clock; the log with the CA's date, by Azure's. A moment that is
    equal counts as later. This CA came after each sighting of closed accounts under another one, so that what was open
    until then was open before it.
    """
    for one in _of(records, Sighting.LET_IN):
        if one.ca == ca.fingerprint:
            return f"a credential from before was accepted on {one.at[:10]}{_cited(one)}"
    began = (when(proof.began) if proof else None) or issued
    own, closed = _time(proof) if proof else issued, () if proof else _closed_under_another(records, ca)
    late = [
        one
        for one in _of(records, Sighting.ACCOUNTS_ON)
        if _time(one) >= own and all(_time(one) > _time(other) for other in closed)
    ]
    bound = max((issued, began, *(_time(other) for other in closed)))
    late += [one for one in _handed_out(posture, log) if _time(one) >= bound]
    if not late:
        return ""
    newest = max(late, key=_time)
    return f"CA from {ca.not_before[:10]}, accounts were open on {newest.at[:10]}{_cited(newest)}"


def _start(
    ca: CertificateAuthority, issued: datetime, proof: Record | None, records: tuple[Record, ...]
) -> tuple[datetime, str, str] | None:
    """Return from when on the time must be known, when the last credential ended, and why. None if not proven."""
    if proof is not None:
        how = "created with local accounts off" if proof.sighting is Sighting.CREATED_CLOSED else "rotated"
        return _seen_whole(proof), proof.at, f"{how} on {proof.at[:10]}{_cited(proof)}"
    another = _closed_under_another(records, ca)
    opened = _of(records, Sighting.ACCOUNTS_ON)
    closed = [
        one
        for one in _of(records, Sighting.ACCOUNTS_OFF)
        if (one in another and (not opened or _time(one) >= _time(opened[-1])))
        or (_time(one) < issued and (not opened or _time(one) > _time(opened[-1])))
    ]
    if not closed:
        return None
    because = f"CA issued after accounts were seen closed on {closed[0].at[:10]}{_cited(closed[0])}"
    return max((issued, *(_time(one) for one in another))), ca.not_before, because


def unseen(running: str, at: str) -> bool:
    """Whether somebody could have opened and closed the cluster between two moments, and nobody would have seen it."""
    first, last = when(running), when(at)
    return first is not None and last is not None and last - first > SHORTEST_VISIT


def _seen_whole(proof: Record) -> datetime:
    """Return from when on the time after a rotation or creation must be known: from its end, unless we saw the end."""
    return (when(proof.running) if unseen(proof.running, proof.at) else None) or _time(proof)


def _closed_under_another(records: tuple[Record, ...], ca: CertificateAuthority) -> tuple[Record, ...]:
    """Return sightings of closed accounts under another CA. This CA came after them, even if clocks differ."""
    return tuple(one for one in _of(records, Sighting.ACCOUNTS_OFF) if one.ca and one.ca != ca.fingerprint)


def _unread(posture: Posture, opened: Record | None) -> OldCredentials:
    """Answer without the CA, by its age: it is at least as old as the API server's certificate."""
    look = "add --read to inventory, or plan: the CA is read then"
    if posture.serving is None:
        return OldCredentials(debt=Debt.UNKNOWN, because="local accounts are off; the CA was not read", next=look)
    since = f"API server certificate from {posture.serving.not_before[:10]}"
    issued = when(posture.serving.not_before)
    if opened is not None and (issued is None or issued <= _time(opened)):
        because = f"{since}, accounts were open on {opened.at[:10]}{_cited(opened)}"
        return OldCredentials(debt=Debt.OWED, because=because, next=ROTATE)
    return OldCredentials(debt=Debt.UNKNOWN, because=f"{since}; the CA itself was not read", next=look)


def _unproven(ca: CertificateAuthority, opened: tuple[Record, ...]) -> OldCredentials:
    since = f"CA from {ca.not_before[:10]}"
    said = (
        "issued after accounts were last seen open"
        if opened
        else ("no record of the day on which accounts were closed")
    )
    return OldCredentials(debt=Debt.UNKNOWN, because=f"{since}, {said}", next=ROTATE)


def _cited(record: Record) -> str:
    return f" ({record.source})" if record.source else ""
