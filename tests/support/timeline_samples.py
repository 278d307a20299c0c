"""Reports of rollouts with times, as a change board reads them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aks_entra.core.evidence.observations import (
    CertificatesRotated,
    EntraSet,
    Evidence,
    LocalAccountsDisabled,
    Moment,
    NodesSeen,
    SignInProven,
)
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Grade, Outcome, Verdict
from tests.support.report_samples import ADMINS, NEW_CA, OLD_CA, PROVER, TENANT, cluster, report

BEGAN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
TURNS = (
    (Outcome.VERIFIED, ("old credentials are dead",), ""),
    (Outcome.VERIFIED, ("old credentials are dead",), ""),
    (Outcome.FAILED, ("no quota for one more machine",), "raise the quota, then: aks-entra migrate --resume RUN"),
    (Outcome.NOT_VERIFIED, ("rotation owed",), "set `rotation: at-once` and plan again"),
    (Outcome.VERIFIED, ("old credentials are dead",), ""),
    (Outcome.REFUSED, ("B012 a lock forbids the write",), "remove the lock, and plan again"),
    (Outcome.VERIFIED, ("old credentials are dead",), ""),
)


def at(minutes: float) -> str:
    return (BEGAN + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def evidence(begin: float, outcome: Outcome) -> tuple[Evidence, ...]:
    """What is seen of a cluster that begins so many minutes after the rollout."""
    if outcome is Outcome.REFUSED:
        return ()
    entra = EntraSet(at=at(begin + 4), changed=True, admin_group_ids=(ADMINS,), tenant_id=TENANT, azure_rbac=False)
    sign_in = SignInProven(
        at=at(begin + 5), username=PROVER, by=f"admin group {ADMINS}", everything=True, moment=Moment.BEFORE, ca=OLD_CA
    )
    closed = LocalAccountsDisabled(at=at(begin + 8), changed=True, correlation_id="arm-2")
    nodes = NodesSeen(at=at(begin + 32), ready=3, fewest=3, most=3)
    rotated = CertificatesRotated(
        at=at(begin + 30), ca_before=OLD_CA, ca_after=NEW_CA, ca_not_before=at(begin + 20), changed=True
    )
    seen: tuple[Evidence, ...] = (replace(entra, at=at(begin), changed=False), entra, sign_in, closed)
    return (*seen, rotated, nodes) if outcome is Outcome.VERIFIED else seen


def timed(clusters: int) -> FleetReport:
    """A rollout of so many clusters, 20 at a time."""
    verdicts = []
    for place in range(clusters):
        outcome, because, then = TURNS[place % len(TURNS)]
        verdicts.append(
            Verdict(
                cluster=cluster(f"shop-{place + 1:03}"),
                outcome=outcome,
                because=because,
                next=then,
                grade=Grade.CREDENTIAL_REFUSED if outcome is Outcome.VERIFIED else None,
                evidence=evidence(40 * (place // 20) + place % 5, outcome),
            )
        )
    return replace(report(*verdicts), started_at=at(0), ended_at=at(40 * ((clusters - 1) // 20) + 40))
