"""Rotation debt: whether credentials handed out before still open a cluster.

Azure does not store the day on which local accounts were closed, and its activity log ends after 90 days. So the
answer rests on what we saw ourselves, and without any record it is "unknown".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aks_entra.core.cluster import CertificateAuthority, Posture


class Debt(StrEnum):
    """What is known of credentials from before."""

    ALIVE = "alive"  # local accounts are on: they are handed out to whoever may ask
    OWED = "owed"  # accounts are off, and the CA is one under which credentials were handed out
    UNKNOWN = "unknown"
    NONE = "none"  # dead, by evidence


class Sighting(StrEnum):
    """What one record of our own evidence says about a cluster."""

    ACCOUNTS_ON = "accounts-on"
    ACCOUNTS_OFF = "accounts-off"
    CREATED_CLOSED = "created-closed"  # we created it with local accounts off
    ROTATED_CLOSED = "rotated-closed"  # we saw the CA replaced while local accounts were off


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One sighting: when (ISO 8601, UTC), of which cluster (`ClusterId.key`), under which CA, and where it is kept.

    `uid` is ARM's `resourceUID`; empty: not known.
    """

    cluster: str
    sighting: Sighting
    at: str
    ca: str | None = None
    source: str = ""
    uid: str = ""


_NEVER: Final = Record(cluster="", sighting=Sighting.ACCOUNTS_ON, at="")


@dataclass(frozen=True, slots=True, kw_only=True)
class OldCredentials:
    """The answer for one cluster, with its reason. `since` (ISO 8601) is when the last one died."""

    debt: Debt
    because: str
    since: str | None = None


def old_credentials(posture: Posture, records: tuple[Record, ...]) -> OldCredentials:
    """Weigh the records of one cluster against its present posture.

    "none" needs a record under the CA that serves now, that accounts were off from its first day or when it was
    made, and no later record of open accounts; or a CA issued after accounts were seen closed, with none opened since.
    Records of a cluster that stood under the same name before this one (another `resourceUID`) say nothing about it.
    """
    if posture.local_accounts:
        return OldCredentials(debt=Debt.ALIVE, because="local accounts are on")
    mine = sorted((record for record in records if _about(record, posture)), key=lambda record: record.at)
    opened = next((record for record in reversed(mine) if record.sighting is Sighting.ACCOUNTS_ON), _NEVER)
    if posture.ca is None:
        return _unread(posture, opened)
    proofs = (_proof(record, posture.ca) for record in mine if record.at > opened.at)
    return next((proof for proof in proofs if proof), None) or _unproven(posture.ca, opened)


def _about(record: Record, posture: Posture) -> bool:
    same = not record.uid or not posture.uid or record.uid.casefold() == posture.uid.casefold()
    return record.cluster == posture.cluster.key and same


def _proof(record: Record, ca: CertificateAuthority) -> OldCredentials | None:
    """What one record of closed accounts proves about the CA that serves now."""
    match record.sighting:
        case Sighting.CREATED_CLOSED | Sighting.ROTATED_CLOSED if record.ca == ca.fingerprint:
            how = "created with local accounts off" if record.sighting is Sighting.CREATED_CLOSED else "rotated"
            return OldCredentials(debt=Debt.NONE, because=f"{how} on {record.at[:10]}{_cited(record)}", since=record.at)
        case Sighting.ACCOUNTS_OFF if ca.not_before > record.at:
            return OldCredentials(
                debt=Debt.NONE,
                because=f"CA issued after accounts were seen closed on {record.at[:10]}{_cited(record)}",
                since=ca.not_before,
            )
        case _:
            return None


def _unread(posture: Posture, opened: Record) -> OldCredentials:
    """Without the CA only its age can speak: it is at least as old as the certificate that the API server shows."""
    if posture.serving is None:
        return OldCredentials(debt=Debt.UNKNOWN, because="local accounts are off; the CA was not read")
    since = f"API server certificate from {posture.serving.not_before[:10]}"
    if posture.serving.not_before <= opened.at:
        return OldCredentials(
            debt=Debt.OWED, because=f"{since}, accounts were open on {opened.at[:10]}{_cited(opened)}"
        )
    return OldCredentials(debt=Debt.UNKNOWN, because=f"{since}; the CA itself was not read")


def _unproven(ca: CertificateAuthority, opened: Record) -> OldCredentials:
    since = f"CA from {ca.not_before[:10]}"
    if opened is _NEVER:
        return OldCredentials(debt=Debt.UNKNOWN, because=f"{since}, no record of the day on which accounts were closed")
    if ca.not_before <= opened.at:
        return OldCredentials(
            debt=Debt.OWED, because=f"{since}, accounts were open on {opened.at[:10]}{_cited(opened)}"
        )
    return OldCredentials(debt=Debt.UNKNOWN, because=f"{since}, issued after accounts were last seen open")


def _cited(record: Record) -> str:
    return f" ({record.source})" if record.source else ""
