"""Whether credentials are dead is said only of time that was seen: by records, by ETags, by the activity log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.durations import when
from aks_entra.core.evidence.coverage import Gap, Look, gap
from aks_entra.core.evidence.observations import ActivityLogRead, CertificatesRotated, HandedOut, LocalAccountsDisabled
from aks_entra.core.evidence.rotation_debt import Debt, OldCredentials, Record, Sighting, needs_log, old_credentials
from aks_entra.core.evidence.sightings import records_in
from aks_entra.core.verdict.report import FleetReport, records_of
from aks_entra.core.verdict.verdict import Outcome, Verdict
from tests.support.cases import LOG, NEW_CA, NOW, OLD_CA, READ, ROTATED, SHOP, managed, state

CLOSED = managed(local_accounts=False, ca=NEW_CA, uid="6924a1", etag="e-7")
EARLIER = "2026-11-20T09:00:00.000Z"
LATER = "2026-11-24T10:00:00.000Z"
LATE = replace(LOG, until="2026-11-24T10:40:00.000Z")
SINCE_YESTERDAY = replace(LOG, since="2026-11-24T10:30:00Z")
UNREAD = ActivityLogRead(at=READ, problem="this identity may not read it")


def record(sighting: Sighting, at: str = NOW, *, ca: str | None = NEW_CA.fingerprint, etag: str = "") -> Record:
    return Record(cluster=SHOP.key, sighting=sighting, at=at, ca=ca, source="r", etag=etag)


MIGRATED = record(Sighting.ROTATED_CLOSED)


def answer(*records: Record, log: ActivityLogRead | None = LOG) -> OldCredentials:
    return old_credentials(CLOSED, records, log, now=READ)


def test_a_credential_that_was_handed_out_after_the_migration_is_owed_whoever_looks_afterwards() -> None:
    opened = record(Sighting.ACCOUNTS_ON, LATER)
    look = (
        CertificatesRotated(
            at=READ,
            ca_before=OLD_CA.fingerprint,
            ca_after=NEW_CA.fingerprint,
            ca_not_before=NEW_CA.not_before,
            changed=False,
        ),
        state(at=READ),
    )
    found = answer(MIGRATED, opened, *records_in(SHOP.key, look, "nightly"))
    assert found.debt is Debt.OWED
    assert "accounts were open on 2026-11-24 (r)" in found.because


def test_a_rotation_that_was_only_found_counts_from_the_day_of_its_ca() -> None:
    closed = record(Sighting.ACCOUNTS_OFF, EARLIER, ca=OLD_CA.fingerprint)
    found = answer(closed)
    assert (found.debt, found.since, found.through) == (Debt.NONE, NEW_CA.not_before, READ)
    assert answer(closed, record(Sighting.ACCOUNTS_ON, "2026-11-24T08:45:00.000Z")).debt is Debt.OWED
    assert answer(closed, record(Sighting.ACCOUNTS_ON, NEW_CA.not_before)).debt is Debt.OWED  # equal counts as later


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (None, "Azure's activity log could not be read from 2026-11-24 on"),
        (UNREAD, "could not be read from 2026-11-24 on: this identity may not read it"),
        (SINCE_YESTERDAY, "Azure's activity log begins on 2026-11-24, nothing is known from 2026-11-24 on"),
        (
            LATE,
            "the cluster may have been written since: Azure's activity log is complete only up to 2026-11-24T10:40",
        ),
    ],
)
def test_what_the_log_does_not_cover_is_unknown(log: ActivityLogRead | None, said: str) -> None:
    found = answer(MIGRATED, log=log)
    assert found.debt is Debt.UNKNOWN
    assert said in found.because
    assert found.next
    assert bool(found.again) is (log is LATE)


def test_when_a_late_log_is_complete() -> None:
    assert answer(MIGRATED, log=LATE).again == "2026-11-24T11:20:00Z"


def test_two_looks_with_one_etag_have_seen_everything_between_them() -> None:
    seen = record(Sighting.ACCOUNTS_OFF, LATER, etag="e-7")
    assert answer(MIGRATED, seen, log=LATE).debt is Debt.NONE
    assert answer(MIGRATED, replace(seen, etag="e-6"), log=LATE).debt is Debt.UNKNOWN
    assert answer(replace(MIGRATED, etag="e-7"), log=None).debt is Debt.NONE  # right after it, without any log


def test_the_log_speaks_against_our_own_proof() -> None:
    told = replace(LOG, handed_out=(HandedOut(at=LATER, to="dana@contoso.com"),))
    found = answer(MIGRATED, log=told)
    assert found.debt is Debt.OWED
    assert "(activity log: handed out to dana@contoso.com)" in found.because
    asked = answer(MIGRATED, log=replace(LOG, handed_out=(HandedOut(at=LATER, to="dana@contoso.com", ended=False),)))
    assert "asked for by dana@contoso.com" in asked.because
    before = replace(LOG, handed_out=(HandedOut(at=EARLIER, to="dana@contoso.com"),))
    assert answer(MIGRATED, log=before).debt is Debt.NONE


def test_a_ca_whose_date_lies_before_our_own_rotation_still_counts_from_the_rotation() -> None:
    told = replace(LOG, handed_out=(HandedOut(at="2026-11-24T08:40:00Z", to="dana@contoso.com"),))
    began = replace(MIGRATED, began="2026-11-24T08:50:00.000Z")
    assert answer(began, log=told).debt is Debt.NONE
    assert answer(MIGRATED, log=told).debt is Debt.OWED


def test_a_followed_rotation_began_after_accounts_were_seen_closed_under_the_ca_before() -> None:
    closed = LocalAccountsDisabled(at="2026-11-24T08:50:00.000Z", changed=False, under_ca=OLD_CA.fingerprint)
    followed = replace(ROTATED, changed=False, attached=True)
    told = replace(LOG, handed_out=(HandedOut(at="2026-11-24T08:40:00Z", to="our own witness"),))
    resumed = records_in(SHOP.key, (closed, followed, state()), "plan 9f31")
    assert answer(*resumed, log=told).debt is Debt.NONE  # AKS dates a CA before its rotation: the date tells nothing
    assert answer(*records_in(SHOP.key, (followed, state()), "plan 9f31"), log=told).debt is Debt.OWED


def test_what_was_weighed_before_the_log_ended_holds_on() -> None:
    dead = replace(record(Sighting.KNOWN_DEAD, LATER), since=NOW, because="rotated on 2026-05-01")
    young = replace(LOG, since="2026-11-24T09:30:00Z")
    found = answer(dead, log=young)
    assert (found.debt, found.since, found.because) == (Debt.NONE, NOW, "rotated on 2026-05-01")
    assert answer(replace(dead, since=""), log=young).since == LATER
    assert answer(dead, log=SINCE_YESTERDAY).debt is Debt.UNKNOWN
    assert answer(dead, record(Sighting.ACCOUNTS_ON, NOW), log=young).debt is Debt.OWED  # found again since


def test_a_credential_that_was_let_in_under_this_ca_stays_owed() -> None:
    found = answer(MIGRATED, record(Sighting.LET_IN, LATER))
    assert (found.debt, found.because) == (Debt.OWED, "a credential from before was accepted on 2026-11-24 (r)")
    assert answer(MIGRATED, record(Sighting.LET_IN, LATER, ca=OLD_CA.fingerprint)).debt is Debt.NONE


@pytest.mark.parametrize("cluster", ["", SHOP.key])
def test_a_record_that_cannot_be_read_makes_dead_unknown(cluster: str) -> None:
    lost = Record(cluster=cluster, sighting=Sighting.UNREADABLE, at="", source="report 9f31")
    found = answer(MIGRATED, lost)
    assert found.debt is Debt.UNKNOWN
    assert found.because == "report 9f31 cannot be read, and it may say that accounts were open"
    assert answer(MIGRATED, record(Sighting.ACCOUNTS_ON, LATER), lost).debt is Debt.OWED
    assert answer(MIGRATED, replace(lost, cluster="another")).debt is Debt.NONE


def test_dates_are_compared_as_moments_whatever_their_form() -> None:
    opened = record(Sighting.ACCOUNTS_ON, "2026-11-24T09:00:00Z")  # the same moment as the rotation, written otherwise
    assert answer(MIGRATED, opened).debt is Debt.OWED
    assert answer(MIGRATED, replace(opened, at="2026-11-24T09:30:00+01:00")).debt is Debt.NONE
    assert answer(MIGRATED, replace(opened, at="some day")).debt is Debt.OWED  # it may have been today
    assert answer(replace(MIGRATED, at="some day")).debt is Debt.UNKNOWN
    assert when("2026-11-24T09:00:00") == when("2026-11-24T09:00:00Z")


def test_a_ca_without_a_date_or_from_the_future_proves_nothing() -> None:
    closed = record(Sighting.ACCOUNTS_OFF, EARLIER)
    undated = replace(CLOSED, ca=replace(NEW_CA, not_before="?"))
    assert "cannot be read" in old_credentials(undated, (MIGRATED,), LOG, now=READ).because
    future = replace(CLOSED, ca=replace(NEW_CA, not_before="2026-11-25T00:00:00Z"))
    found = old_credentials(future, (closed,), LOG, now=READ)
    assert found.debt is Debt.UNKNOWN
    assert "later than this machine's clock" in found.because


@pytest.mark.parametrize("identity", [Identity.NONE, Identity.LEGACY, Identity.UNKNOWN])
def test_without_managed_entra_nothing_is_known_of_kubeconfigs(identity: Identity) -> None:
    found = old_credentials(replace(CLOSED, identity=identity), (MIGRATED,), LOG, now=READ)
    assert found.debt is Debt.UNKNOWN
    assert f"Microsoft Entra ID: {identity}" in found.because


def test_the_log_is_asked_only_where_it_can_change_the_answer() -> None:
    assert needs_log(CLOSED, (MIGRATED,), now=READ)
    assert not needs_log(CLOSED, (), now=READ)
    assert not needs_log(managed(), (MIGRATED,), now=READ)


def test_accounts_closed_under_another_ca_were_closed_before_this_one_served() -> None:
    """The order of two CAs is known without any clock: a date in whole seconds cannot make it wrong."""
    off = LocalAccountsDisabled(at="2026-11-24T08:30:00.400Z", changed=True)
    before = LocalAccountsDisabled(at="2026-11-24T08:30:00.600Z", changed=False, under_ca=OLD_CA.fingerprint)
    found = answer(*records_in(SHOP.key, (off, before, state(at=NOW, uid="6924a1"))))
    assert found.debt is Debt.NONE
    assert found.since == NEW_CA.not_before


def test_a_look_makes_no_evidence_stronger_than_what_it_saw() -> None:
    found = replace(ROTATED, changed=False, etag="e-7")
    sightings = [one.sighting for one in records_in(SHOP.key, (found, state(etag="e-7")))]
    assert sightings == [Sighting.FOUND_ROTATED, Sighting.ACCOUNTS_OFF]
    followed = replace(found, attached=True)
    assert records_in(SHOP.key, (followed, state()))[0].sighting is Sighting.ROTATED_CLOSED


def test_each_sighting_belongs_to_the_cluster_that_was_seen_next() -> None:
    """A cluster made anew under one name: evidence of both lies in one verdict."""
    evidence = (ROTATED, state(uid="old"), state(uid="new"), LocalAccountsDisabled(at=LATER, changed=False))
    assert [one.uid for one in records_in(SHOP.key, evidence)] == ["old", "old", "new", "new"]
    assert records_in(SHOP.key, (LocalAccountsDisabled(at=LATER, changed=False),))[0].uid == ""


def test_a_stored_log_still_speaks_when_azure_has_forgotten() -> None:
    log = replace(LOG, handed_out=(HandedOut(at=LATER, to="x"), HandedOut(at=NOW, to="y", ended=False)))
    records = records_in(SHOP.key, (log, state()), "r")
    assert [(one.sighting, one.source) for one in records[:2]] == [
        (Sighting.ACCOUNTS_ON, "activity log: handed out to x"),
        (Sighting.ACCOUNTS_ON, "activity log: asked for by y"),
    ]
    assert answer(MIGRATED, *records).debt is Debt.OWED


def test_a_report_keeps_what_was_weighed() -> None:
    old = OldCredentials(debt=Debt.NONE, because="rotated", since=NOW, ca=NEW_CA.fingerprint, through=READ)

    def report(answer: OldCredentials) -> FleetReport:
        verdict = Verdict(
            cluster=SHOP, outcome=Outcome.VERIFIED, because=(), evidence=(state(uid="u"),), old_credentials=answer
        )
        return FleetReport(name="f", plan_digest="d", started_at=NOW, ended_at=NOW, verdicts=(verdict,))

    (_, dead) = records_of(report(old), "r")
    known = Record(
        cluster=SHOP.key,
        sighting=Sighting.KNOWN_DEAD,
        at=READ,
        ca=NEW_CA.fingerprint,
        source="r",
        uid="u",
        since=NOW,
        because="rotated",
    )
    assert dead == known
    assert records_of(report(replace(old, since=None)), "r")[1] == replace(known, since="")
    assert len(records_of(report(replace(old, debt=Debt.UNKNOWN)), "r")) == 1
    assert report(old).digest != report(replace(old, through=LATER)).digest


def test_gaps_are_closed_by_several_stretches_one_after_the_other() -> None:
    def at(text: str) -> Look:
        moment = when(text)
        assert moment is not None
        return Look(at=moment, etag="")

    start, middle, end = (at(one).at for one in (NOW, LATER, READ))
    looks = (Look(at=start, etag="a"), Look(at=middle, etag="a"))
    log = replace(LOG, since=LATER)
    assert gap(start, end, looks, log) is None
    assert gap(start, start, (), None) is None
    found = gap(start, end, (), log)
    assert isinstance(found, Gap)
    assert not found.unread


def test_a_ca_dated_before_accounts_were_closed_came_after_them_all_the_same() -> None:
    """A CA's date is in whole seconds: that it replaced the CA which served when accounts were off says more."""
    closing = LocalAccountsDisabled(at=NEW_CA.not_before.replace("Z", ".900Z"), changed=True)
    under = LocalAccountsDisabled(
        at=NEW_CA.not_before.replace("Z", ".950Z"), changed=False, under_ca=OLD_CA.fingerprint
    )
    assert answer(*records_in(SHOP.key, (closing,))).debt is Debt.OWED
    assert answer(*records_in(SHOP.key, (closing, under))).debt is Debt.NONE
