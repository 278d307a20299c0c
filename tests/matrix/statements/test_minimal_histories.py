"""Minimal histories in which a statement was once false, and the statements after a migration without trouble."""

from __future__ import annotations

from pathlib import Path

import pytest

from aks_entra.core.target import RotationPolicy
from aks_entra.core.verdict.verdict import Grade, Outcome
from tests.matrix.statements.archive import HARMS, Harm
from tests.matrix.statements.cluster_history import KUBECONFIGS, ClusterHistory, FalseStatementError, Kubeconfig
from tests.matrix.statements.portal import VISIT
from tests.matrix.statements.statement import Statement

AT_ONCE, LATER = RotationPolicy.AT_ONCE, RotationPolicy.LATER
MINUTE, DAY = 60, 86400


async def migrated(start: str = "managed, accounts on") -> ClusterHistory:
    history = ClusterHistory.begin(start)
    await history.migrate(AT_ONCE)
    assert not history.live
    return history


async def opened_fetched_and_closed(history: ClusterHistory) -> None:
    await history.in_portal("opens", "fetches")
    await history.pass_time(DAY)
    await history.in_portal("closes")
    assert history.live


@pytest.mark.parametrize("start", ["legacy", "none", "managed, accounts on", "managed, another group"])
async def test_an_undisturbed_migration_has_every_positive_result(start: str) -> None:
    history = await migrated(start)
    await history.pass_time(DAY)
    await history.check_everything()
    said = {(by, statement) for by, statement, _ in history.counted}
    assert ("migrate", str(Outcome.VERIFIED)) in said
    assert (f"migrate, grade {Grade.CREDENTIAL_REFUSED}", "dead") in said
    for by in ("inventory --read", "plan"):
        assert (by, "dead") in said
    assert ("plan, 0 steps", "as it should be") in said
    assert ("access review", "no static credential among the ways in") in said
    for by in ("verify FLEET.yaml", "verify PLAN.json"):
        assert (by, str(Outcome.VERIFIED)) in said


async def test_the_night_after_a_migration_says_verified() -> None:
    history = await migrated()
    for _ in range(4):
        await history.pass_time(30 * DAY)
        await history.verify_nightly()
    assert history.counted["nightly verify-fleet", str(Outcome.VERIFIED), False] == 4


async def test_after_break_glass_every_command_says_that_a_rotation_is_owed() -> None:
    history = await migrated()
    await history.open_glass(hand_out=True)
    await history.pass_time(45 * MINUTE)
    await history.close_glass()
    await history.check_everything()
    await history.verify_nightly()
    await history.check_everything()
    await history.verify("plan", "server", None)
    await history.check_everything()


async def test_what_somebody_fetched_in_the_portal_is_found() -> None:
    history = await migrated()
    await opened_fetched_and_closed(history)
    await history.check_everything()
    await history.verify_nightly()
    await history.check_everything()


@pytest.mark.parametrize("start", ["managed, accounts on", "closed, never rotated"])
async def test_a_look_at_a_rotation_makes_no_evidence_of_closed_accounts(start: str) -> None:
    history = await migrated(start)
    await opened_fetched_and_closed(history)
    await history.verify("first plan", "server", None)
    history.log("unreadable")
    await history.check_everything()


async def test_an_activity_log_that_cannot_be_read_does_not_say_that_nobody_fetched() -> None:
    history = await migrated()
    history.log("unreadable")
    await opened_fetched_and_closed(history)
    await history.check_everything()


async def test_an_activity_log_that_is_late_does_not_say_that_nobody_fetched() -> None:
    history = await migrated()
    history.log("late")
    await history.in_portal("opens", "fetches", "closes")
    await history.check_everything()


async def test_an_activity_log_that_forgot_does_not_say_that_nobody_fetched() -> None:
    history = await migrated()
    await opened_fetched_and_closed(history)
    await history.pass_time(95 * DAY)
    await history.check_everything()
    await history.verify_nightly()
    await history.check_everything()


async def test_a_certificate_authority_from_after_accounts_were_closed_can_still_have_handed_out() -> None:
    history = await migrated()
    history.log("unreadable")
    await history.in_portal("rotates", "opens", "fetches", "closes")
    await history.check_everything()
    await history.pass_time(95 * DAY)
    history.log("readable")
    await history.check_everything()


async def test_what_a_rollback_opened_is_owed_after_it_was_closed_again() -> None:
    history = await migrated()
    await history.roll_back()
    await history.in_portal("closes")
    assert history.live
    await history.check_everything()
    await history.verify("first plan", "server", "expired")
    await history.check_everything()


async def test_a_plan_from_before_an_opening_says_nothing_of_after_it() -> None:
    history = await migrated()
    await history.migrate(LATER)
    await opened_fetched_and_closed(history)
    await history.check_everything()


async def test_a_migration_that_is_resumed_later_does_not_verify_what_was_fetched_meanwhile() -> None:
    history = await migrated()
    await opened_fetched_and_closed(history)
    await history.resume()
    await history.check_everything()


@pytest.mark.parametrize("harm", HARMS)
async def test_a_lost_record_does_not_make_a_credential_dead(harm: Harm, tmp_path: Path) -> None:
    history = ClusterHistory.begin("managed, accounts on", tmp_path)
    await history.migrate(AT_ONCE)
    await history.open_glass(hand_out=True)
    await history.close_glass()
    await history.pass_time(95 * DAY)
    for place in range(2):
        await history.archive.harm(harm, place)
        history.archive.forget()
        await history.check_everything()
        await history.resume()
        await history.check_everything()


async def test_a_store_of_records_that_refuses_or_is_slow_makes_no_credential_dead(tmp_path: Path) -> None:
    history = ClusterHistory.begin("managed, accounts on", tmp_path)
    await history.migrate(AT_ONCE)
    await history.open_glass(hand_out=True)
    await history.close_glass()
    history.archive.place.reach = "refusing"
    await history.check_everything()
    await history.resume()
    history.archive.place.reach = "slow"
    await history.check_everything()
    said = {(by, statement) for by, statement, _ in history.counted}
    assert ("verify FLEET.yaml", "nothing") in said
    assert ("migrate", str(Outcome.REFUSED)) in said
    assert ("plan", "owed") in said


async def test_a_cluster_that_was_made_anew_is_not_the_one_that_was_verified() -> None:
    history = await migrated()
    history.log("unreadable")
    await history.in_portal("makes anew, open", "fetches", "closes")
    assert history.live
    await history.check_everything()
    await history.verify_nightly()
    await history.check_everything()


async def test_a_killed_rotation_that_somebody_used_to_fetch_is_not_verified_afterwards() -> None:
    history = ClusterHistory.begin("managed, accounts on")
    await history.migrate(AT_ONCE, kill=150)
    await opened_fetched_and_closed(history)
    await history.resume()
    await history.check_everything()


@pytest.mark.parametrize("kubeconfig", KUBECONFIGS)
async def test_a_kubeconfig_that_is_handed_in_counts_only_if_it_could_have_worked(kubeconfig: Kubeconfig) -> None:
    """Its certificate shows that: the earlier CA signed it, and it is not expired. A static token shows nothing."""
    history = await migrated("closed, never rotated")
    (plan,) = history.archive.plans.values()
    report = await history.statements.verify_plan(history.archive, plan, history.kubeconfig(kubeconfig))
    (verdict,) = report.verdicts
    assert (verdict.grade is Grade.CREDENTIAL_REFUSED) is (kubeconfig == "old"), verdict.because
    assert (verdict.outcome is Outcome.VERIFIED) is (kubeconfig != "present"), verdict.because


async def test_an_access_review_lists_the_old_credential_of_a_closed_cluster() -> None:
    history = await migrated()
    await opened_fetched_and_closed(history)
    (statement,) = await history.statements.review(history.archive)
    assert statement.said == "static admin credential from before local accounts were off (owed"


async def test_a_visit_between_the_end_of_the_rotation_and_our_next_look_is_found() -> None:
    """The rotation ends, somebody opens, fetches and closes, and only then we read the cluster again."""
    undisturbed = ClusterHistory.begin("legacy")
    await undisturbed.migrate(AT_ONCE)
    calls = undisturbed.world.calls
    found = 0
    for after in range(calls.index("arm.rotate_certificates"), len(calls)):
        history = ClusterHistory.begin("legacy")
        history.at_calls((after, VISIT[0]), *((0, deed) for deed in VISIT[1:]))
        await history.migrate(AT_ONCE)  # raises FalseStatementError
        found += history.counted["migrate", str(Outcome.NOT_VERIFIED), True]
    assert found > 0


async def test_a_visit_while_our_last_look_is_answered_is_not_covered_by_its_etag() -> None:
    """The read is sent before the visit and answered after it, so its ETag is from after the visit."""
    undisturbed = await migrated("closed, never rotated")
    before = len(undisturbed.world.calls)
    await undisturbed.migrate(AT_ONCE)
    for after in range(len(undisturbed.world.calls) - before):
        history = await migrated("closed, never rotated")
        history.at_calls((after, VISIT[0]), *((0, deed) for deed in VISIT[1:]))
        await history.migrate(AT_ONCE)
        await history.check_everything()


async def test_a_false_statement_raises_an_error_that_names_it() -> None:
    history = ClusterHistory.begin("managed, accounts on")
    assert history.live
    history.check(Statement(by="somebody", said="owed"))
    with pytest.raises(FalseStatementError, match="somebody says 'dead'"):
        history.check(Statement(by="somebody", said="dead"))
    await history.migrate(AT_ONCE)
    history.check(Statement(by="somebody", said="dead"))
