"""What one cluster's evidence says about accounts and CAs: the records that rotation debt is weighed by.

A look makes no evidence stronger than what it saw: a rotation that was only found says that another CA serves, and
nothing about accounts at the time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from aks_entra.core.evidence.observations import (
    ActivityLogRead,
    AuthoritySeen,
    CertificatesRotated,
    ClusterCreated,
    CredentialTried,
    Evidence,
    LocalAccountsDisabled,
    LocalAccountsEnabled,
    Moment,
    SignInProven,
    StateSeen,
    TokenHeld,
)
from aks_entra.core.evidence.rotation_debt import Record, Sighting

_UNAUTHORIZED: Final = 401
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500


def answered(status: int | None) -> bool:
    """Whether the API server said who it thinks the caller is; an overloaded or broken one did not."""
    return status is not None and status < _SERVER_ERROR and status != _TOO_MANY


def accepted_after_rotation(one: CredentialTried) -> bool:
    """Whether a credential from before was let in after the CA had been replaced."""
    return one.moment is Moment.AFTER and answered(one.status) and one.status != _UNAUTHORIZED


def records_in(cluster: str, evidence: tuple[Evidence, ...], source: str = "") -> tuple[Record, ...]:
    """The sightings in the evidence of a cluster (`ClusterId.key`). `source` is what is cited.

    A rotation, or a creation, counts only when accounts were seen closed under its CA.
    """
    return tuple(_records(cluster, evidence, source))


def _records(cluster: str, evidence: tuple[Evidence, ...], source: str) -> Iterator[Record]:
    states = [(place, one) for place, one in enumerate(evidence) if isinstance(one, StateSeen)]
    closed_under = {state.ca for _, state in states if not state.local_accounts}
    began = dict(sorted(_seen_before(evidence)))
    for place, one in enumerate(evidence):
        after = [state for at, state in states if at >= place] or [state for _, state in states[-1:]]
        seen = partial(Record, cluster=cluster, source=source, uid=after[0].uid if after else "")
        match one:
            case CertificatesRotated() if (one.changed or one.attached) and one.ca_after in closed_under:
                yield seen(
                    sighting=Sighting.ROTATED_CLOSED,
                    at=one.at,
                    ca=one.ca_after,
                    etag=one.etag,
                    began=began.get(one.ca_before, ""),
                    running=one.running,
                    replaced=one.ca_before,
                )
            case ClusterCreated(changed=True) if len(closed_under) == 1:
                ca = next(iter(closed_under))
                yield seen(sighting=Sighting.CREATED_CLOSED, at=one.at, ca=ca, etag=one.etag, running=one.running)
            case _:
                yield from _plain(one, seen)


def _seen_before(evidence: tuple[Evidence, ...]) -> Iterator[tuple[str, str]]:
    """The moments before a rotation at which a CA was seen to serve: its fingerprint, and when."""
    for one in evidence:
        match one:
            case SignInProven(moment=Moment.BEFORE):
                yield one.ca, one.at
            case LocalAccountsDisabled() if one.under_ca:
                yield one.under_ca, one.at
            case _:
                pass


def _plain(one: Evidence, seen: partial[Record]) -> Iterator[Record]:  # noqa: C901 - a table of kinds
    """What a piece of evidence says by itself."""
    match one:
        case StateSeen():
            sighting = Sighting.ACCOUNTS_ON if one.local_accounts else Sighting.ACCOUNTS_OFF
            yield seen(sighting=sighting, at=one.at, ca=one.ca, etag=one.etag)
        case LocalAccountsEnabled():
            yield seen(sighting=Sighting.ACCOUNTS_ON, at=one.at)
        case LocalAccountsDisabled():
            if one.changed:
                yield seen(sighting=Sighting.ACCOUNTS_ON, at=one.at)
            yield seen(sighting=Sighting.ACCOUNTS_OFF, at=one.at, ca=one.under_ca or None)
        case ActivityLogRead():
            for receipt in one.handed_out:
                how = f"activity log: {'handed out to' if receipt.ended else 'asked for by'} {receipt.to}"
                received = receipt.to if receipt.ended else ""
                yield replace(seen(sighting=Sighting.ACCOUNTS_ON, at=receipt.at), source=how, handed_out_to=received)
        case CertificatesRotated():
            rotated = seen(sighting=Sighting.FOUND_ROTATED, at=one.at, ca=one.ca_after, etag=one.etag)
            yield replace(rotated, replaced=one.ca_before)
        case AuthoritySeen():
            certificate = sys.intern(one.certificate)  # every look of every night shows the same one
            yield seen(sighting=Sighting.AUTHORITY, at=one.at, ca=one.ca, certificate=certificate)
        case TokenHeld():
            yield seen(sighting=Sighting.TOKEN, at=one.at, ca=one.ca, salt=one.salt, token_hash=one.token_hash)
        case CredentialTried() if accepted_after_rotation(one):
            yield seen(sighting=Sighting.LET_IN, at=one.at, ca=one.ca)
        case _:
            pass
