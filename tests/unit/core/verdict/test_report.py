"""Rotation debt from our own records, and the records that a report leaves behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.cluster import ServingCertificate
from aks_entra.core.evidence.observations import (
    ClusterCreated,
    Credential,
    CredentialTried,
    Evidence,
    LocalAccountsDisabled,
    Moment,
    StateSeen,
)
from aks_entra.core.evidence.rotation_debt import Debt, Record, Sighting, old_credentials
from aks_entra.core.planning.plan import FleetPlan, plan_cluster
from aks_entra.core.planning.prover import Prover
from aks_entra.core.planning.rollout import MemberGroup, Stage
from aks_entra.core.preflight import Skip
from aks_entra.core.steps import EnableLocalAccounts, ProveSignIn
from aks_entra.core.target import AzureRbac, LocalAccounts
from aks_entra.core.verdict.current_state import judge_current_state
from aks_entra.core.verdict.report import FleetReport, records_of
from aks_entra.core.verdict.verdict import Outcome, judge
from aks_entra.documents import dump_report, load_report
from tests.support.cases import (
    CREATE,
    LOG,
    NEW_CA,
    NOW,
    OLD_CA,
    READ,
    ROTATED,
    SHOP,
    SHUT,
    WHOLE,
    facts,
    managed,
    posture,
    state,
    target,
    tried,
)
from tests.support.golden_files import approved, brief, cases
from tests.support.golden_lines import verdict_lines
from tests.support.rule_cases import seen
from tests.support.verdict_cases import LOOKED, MIGRATE, finished, report_of

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
    found = old_credentials(CLOSED, records, LOG, now=READ)
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


def test_a_cluster_made_anew_under_its_name_owes_nothing_to_its_predecessor() -> None:
    gone = replace(state(), uid="655eba0b41a9040001535589")
    records = records_of(report_of(*(gone if isinstance(one, StateSeen) else one for one in WHOLE)), "r")
    assert {one.uid for one in records} == {gone.uid}
    assert old_credentials(CLOSED, records, LOG, now=READ).debt is Debt.UNKNOWN
    assert old_credentials(replace(CLOSED, uid=gone.uid), records, LOG, now=READ).debt is Debt.NONE


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
    found = old_credentials(CLOSED, records, LOG, now=READ)
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
        ((ROTATED,), [Sighting.FOUND_ROTATED]),  # accounts were not seen closed under the new CA
        ((ROTATED, state(local_accounts=True)), [Sighting.FOUND_ROTATED, Sighting.ACCOUNTS_ON]),
        (
            (ROTATED, tried(Credential.STATIC_TOKEN, Moment.AFTER, 200), state()),
            [Sighting.ROTATED_CLOSED, Sighting.LET_IN, Sighting.ACCOUNTS_OFF],
        ),
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


def test_golden_what_is_left_and_what_is_owed() -> None:
    plans = [
        plan_cluster(managed(), target(), facts()),
        plan_cluster(posture(), target(CREATE), facts()),
        plan_cluster(managed(), target(azure_rbac=AzureRbac.ON, local_accounts=LocalAccounts.KEEP), facts()),
        plan_cluster(SHUT, target(), facts()),
        finished(Debt.NONE),
        finished(Debt.OWED),
    ]
    hand_made = [
        replace(plans[0], steps=steps) for steps in ((ProveSignIn(admin_groups=()),), (EnableLocalAccounts(),))
    ]
    standing = [
        (
            f"{' '.join(step.kind for step in plan.steps) or 'nothing to do'} · {len(seen)} seen",
            verdict_lines(judge_current_state(plan, seen)),
        )
        for plan in (*plans, *hand_made)
        for seen in ((), LOOKED, WHOLE)
    ]
    table = cases(test_debt_of_a_closed_cluster)
    debts = [(said, brief(old_credentials(CLOSED, records, LOG, now=READ))) for records, _, said in table]
    ages = cases(test_debt_without_the_ca)
    same = "2024-05-11T00:00:00Z"
    certificate = seen(None)
    opened = record(Sighting.ACCOUNTS_ON, same, source="r-7")
    for serving, at, _, _ in (*ages, (same, same, None, "")):
        shown = replace(certificate, not_before=serving) if serving else None
        records = (replace(opened, at=at),) if at else ()
        known = old_credentials(replace(CLOSED, ca=None, serving=shown), records)
        debts.append((f"certificate from {serving}, open at {at}", brief(known)))
    approved("standing", [*standing, *debts])


def test_golden_digests_of_yesterday_hold_today() -> None:
    stage = Stage(name="canary", groups=(MemberGroup(name="all", members=(SHOP,)),))
    plan = FleetPlan(name="prod", created_at=NOW, prover=Prover(object_id="p"), clusters=(MIGRATE,), stages=(stage,))
    skips = (Skip(rule="W127", reason="CHG-1"), Skip(rule="W110", reason="für alle"))
    verdict = replace(judge(MIGRATE, WHOLE), old_credentials=None)  # as yesterday's reports have it
    report = FleetReport(name="prod", plan_digest="sha256:00", started_at=NOW, ended_at=NOW, verdicts=(verdict,))
    approved(
        "digests",
        [
            ("a plan", plan.digest),
            ("a plan that passes over rules", replace(plan, skip_rules=skips).digest),
            ("a report", report.digest),
            ("a report of a plan that passes over rules", replace(report, skip_rules=skips).digest),
        ],
    )
