"""Rotation debt from our own records, and the records that a report leaves behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.cluster import ServingCertificate
from aks_entra.core.debt import Debt, Record, Sighting, old_credentials
from aks_entra.core.evidence import (
    ClusterCreated,
    Credential,
    CredentialTried,
    Evidence,
    LocalAccountsDisabled,
    Moment,
    StateSeen,
)
from aks_entra.core.report import FleetReport, records_of
from aks_entra.core.rollout import StageResult
from aks_entra.core.verdict import Outcome, Verdict
from aks_entra.documents import dump_report, load_report
from tests.unit.cases import NEW_CA, NOW, OLD_CA, ROTATED, SHOP, WHOLE, managed, state, tried

CLOSED = managed(local_accounts=False, ca=NEW_CA, uid="6924a1")
LATER = "2026-11-24T10:00:00.000Z"


def record(sighting: Sighting, at: str = NOW, ca: str | None = NEW_CA.fingerprint, source: str = "") -> Record:
    return Record(cluster=SHOP.key, sighting=sighting, at=at, ca=ca, source=source)


@pytest.mark.parametrize(
    ("records", "debt", "said"),
    [
        ((), Debt.UNKNOWN, "CA from 2026-11-24, no record of the day on which accounts were closed"),
        ((record(Sighting.CREATED_CLOSED),), Debt.NONE, "created with local accounts off on 2026-11-24"),
        ((record(Sighting.ROTATED_CLOSED, source="r-1"),), Debt.NONE, "rotated on 2026-11-24 (r-1)"),
        ((record(Sighting.ROTATED_CLOSED, ca=OLD_CA.fingerprint),), Debt.UNKNOWN, "no record of the day"),
        (
            (record(Sighting.ROTATED_CLOSED), record(Sighting.ACCOUNTS_ON, LATER)),
            Debt.OWED,
            "CA from 2026-11-24, accounts were open on 2026-11-24",
        ),
        (
            (record(Sighting.ACCOUNTS_OFF, "2026-11-01T00:00:00Z"),),
            Debt.NONE,
            "CA issued after accounts were seen closed on 2026-11-01",
        ),
        ((record(Sighting.ACCOUNTS_OFF, LATER),), Debt.UNKNOWN, "no record of the day"),
        ((record(Sighting.ACCOUNTS_OFF, NEW_CA.not_before),), Debt.UNKNOWN, "no record of the day"),
        (
            (record(Sighting.ACCOUNTS_ON, "2026-11-01T00:00:00Z"),),
            Debt.UNKNOWN,
            "CA from 2026-11-24, issued after accounts were last seen open",
        ),
        ((replace(record(Sighting.CREATED_CLOSED), cluster="another"),), Debt.UNKNOWN, "no record"),
        ((replace(record(Sighting.CREATED_CLOSED), uid="655eba0b41a9040001535589"),), Debt.UNKNOWN, "no record"),
        ((replace(record(Sighting.CREATED_CLOSED), uid="6924A1"),), Debt.NONE, "created with local accounts off"),
        (
            (record(Sighting.CREATED_CLOSED), record(Sighting.ACCOUNTS_ON, LATER, source="activity log")),
            Debt.OWED,
            "accounts were open on 2026-11-24 (activity log)",
        ),
    ],
)
def test_debt_of_a_closed_cluster(records: tuple[Record, ...], debt: Debt, said: str) -> None:
    found = old_credentials(CLOSED, records)
    assert found.debt is debt
    assert said in found.because
    assert (found.since is not None) is (debt is Debt.NONE)


def test_open_accounts_are_alive_whatever_the_records_say() -> None:
    assert old_credentials(managed(), (record(Sighting.CREATED_CLOSED),)).debt is Debt.ALIVE


@pytest.mark.parametrize(
    ("serving", "opened", "debt", "said"),
    [
        (None, LATER, Debt.UNKNOWN, "the CA was not read"),
        ("2024-05-11T00:00:00Z", "2025-01-01T00:00:00Z", Debt.OWED, "accounts were open on 2025-01-01"),
        ("2025-05-11T00:00:00Z", "2025-01-01T00:00:00Z", Debt.UNKNOWN, "the CA itself was not read"),
        ("2025-05-11T00:00:00Z", None, Debt.UNKNOWN, "API server certificate from 2025-05-11"),
    ],
)
def test_debt_without_the_ca(serving: str | None, opened: str | None, debt: Debt, said: str) -> None:
    shown = ServingCertificate(issuer="CN=ca", issuer_key=None, not_before=serving) if serving else None
    records = (record(Sighting.ACCOUNTS_ON, opened),) if opened else ()
    found = old_credentials(replace(CLOSED, ca=None, serving=shown), records)
    assert found.debt is debt
    assert said in found.because


def report_of(*evidence: Evidence, outcome: Outcome = Outcome.VERIFIED) -> FleetReport:
    return FleetReport(
        name="prod",
        plan_digest="sha256:00",
        started_at=NOW,
        ended_at=LATER,
        verdicts=(Verdict(cluster=SHOP, outcome=outcome, because=("so",), evidence=evidence),),
        stages=(StageResult(go_on=True, failures=0, because="fine"),),
    )


def test_a_cluster_made_anew_under_its_name_owes_nothing_to_its_predecessor() -> None:
    gone = replace(state(), uid="655eba0b41a9040001535589")
    records = records_of(report_of(*(gone if isinstance(one, StateSeen) else one for one in WHOLE)), "r")
    assert {one.uid for one in records} == {gone.uid}
    assert old_credentials(CLOSED, records).debt is Debt.UNKNOWN
    assert old_credentials(replace(CLOSED, uid=gone.uid), records).debt is Debt.NONE


def test_a_report_of_an_earlier_version_keeps_its_digest() -> None:
    report = report_of(state())
    text = dump_report(report)
    assert load_report(text.replace(', "uid": ""', "").replace('"uid": "",', "")).digest == report.digest
    assert replace(report, verdicts=report_of(replace(state(), uid="1")).verdicts).digest != report.digest


DISABLED = LocalAccountsDisabled(at="2026-11-24T08:00:00.000Z", changed=True)


def test_a_migration_is_a_proof_for_later() -> None:
    records = records_of(report_of(DISABLED, *WHOLE), "report 9f31")
    assert [(one.sighting, one.ca) for one in records] == [
        (Sighting.ACCOUNTS_ON, None),
        (Sighting.ACCOUNTS_OFF, None),
        (Sighting.ROTATED_CLOSED, NEW_CA.fingerprint),
        (Sighting.ACCOUNTS_OFF, NEW_CA.fingerprint),
    ]
    found = old_credentials(CLOSED, records)
    assert found.debt is Debt.NONE
    assert found.because == "rotated on 2026-11-24 (report 9f31)"


def test_closed_without_rotation_is_owed() -> None:
    still_old = state(ca=OLD_CA.fingerprint)
    records = records_of(report_of(DISABLED, still_old), "r")
    assert old_credentials(managed(local_accounts=False), records).debt is Debt.OWED


@pytest.mark.parametrize(
    ("evidence", "sightings"),
    [
        ((ClusterCreated(at=NOW, changed=True), state()), [Sighting.CREATED_CLOSED, Sighting.ACCOUNTS_OFF]),
        ((ClusterCreated(at=NOW, changed=False), state()), [Sighting.ACCOUNTS_OFF]),
        ((ClusterCreated(at=NOW, changed=True),), []),
        ((state(local_accounts=True),), [Sighting.ACCOUNTS_ON]),
        ((replace(DISABLED, changed=False),), [Sighting.ACCOUNTS_OFF]),
        ((ROTATED,), []),  # accounts were not seen closed under the new CA
        ((ROTATED, state(local_accounts=True)), [Sighting.ACCOUNTS_ON]),
        ((ROTATED, tried(Credential.STATIC_TOKEN, Moment.AFTER, 200), state()), [Sighting.ACCOUNTS_OFF]),
        (
            (ROTATED, tried(Credential.STATIC_TOKEN, Moment.AFTER, None), state()),
            [Sighting.ROTATED_CLOSED, Sighting.ACCOUNTS_OFF],
        ),
    ],
)
def test_records(evidence: tuple[Evidence, ...], sightings: list[Sighting]) -> None:
    records = records_of(report_of(*evidence), "r")
    assert [one.sighting for one in records] == sightings
    assert all(one.source == "r" and one.cluster == SHOP.key for one in records)


def test_a_report_counts_and_has_a_digest() -> None:
    report = report_of(*WHOLE)
    both = replace(report, verdicts=(*report.verdicts, replace(report.verdicts[0], outcome=Outcome.FAILED)))
    assert both.counts() == {Outcome.VERIFIED: 1, Outcome.FAILED: 1}
    assert both.digest != report.digest
    assert load_report(dump_report(both)) == both
    assert {type(one) for one in report.verdicts[0].evidence} >= {StateSeen, CredentialTried}
