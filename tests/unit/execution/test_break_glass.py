"""Local accounts open for a stated time: what stands on the cluster, who closes, and what is never closed."""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.evidence.break_glass import PREFIX, Opening, OpeningRecord, opening_on, strange_tags
from aks_entra.core.evidence.observations import LocalAccountsDisabled, LocalAccountsEnabled, SignInProven
from aks_entra.core.evidence.rotation_debt import Debt, old_credentials
from aks_entra.core.planning.prover import Prover
from aks_entra.core.verdict.break_glass import judge_gone, judge_opening, opening_digest, report_of
from aks_entra.core.verdict.report import records_of
from aks_entra.core.verdict.verdict import Outcome, Verdict
from aks_entra.documents import dump_opening, dump_verdict, load_opening, load_verdict
from aks_entra.errors import Refused, Rejected, TryLater
from aks_entra.execution.break_glass import BreakGlass
from aks_entra.host.private_file import PrivateFile
from aks_entra.probes.checks import stamp
from aks_entra.report.evidence_lines import line_of
from tests.support.cases import DENIES
from tests.support.memory_model import ADMINS, PROVER, Cluster, Killed, posture_of
from tests.support.memory_ports import Process, World

WHO = Prover(object_id=PROVER)
CLOSED: dict[str, Any] = {"identity": Identity.MANAGED, "local_accounts": False, "tags": (("env", "prod"),)}


def is_open(cluster: Cluster) -> bool:
    return cluster.local_accounts


def glass(process: Process) -> BreakGlass:
    return BreakGlass(process.ports, process.watch, process.executor, process.timeouts)


def opening(world: World, minutes: int = 45) -> Opening:
    now = world.now()
    return Opening(
        until=(now + timedelta(minutes=minutes)).isoformat(),
        since=now.isoformat(),
        reason="INC-77",
        ticket="CHG-9",
        opener="dana@contoso.com",
    )


async def opened(world: World, cluster: Cluster) -> Opening:
    wanted = opening(world)
    verdict = await glass(world.process()).open(cluster.id, wanted)
    assert verdict.outcome is Outcome.NOT_VERIFIED, verdict.because
    assert verdict.next == f"close it earlier with `aks-entra break-glass {cluster.id} --close`"
    return wanted


async def test_it_opens_says_until_when_and_closes_after_a_proof() -> None:
    world = World()
    cluster = world.add(**CLOSED)
    wanted = await opened(world, cluster)
    assert is_open(cluster)
    assert dict(cluster.tags)["env"] == "prod"
    assert opening_on(cluster.tags) == wanted
    assert not wanted.due(world.now())
    await world.clock.sleep(45 * 60)
    assert wanted.due(world.now())

    verdict = await glass(world.process()).close(cluster.id, WHO)  # in another process: the first one died

    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert verdict.because[0] == "local accounts are closed again"
    assert "rotation owed" in verdict.because[1]
    assert "approval of its own" in verdict.next
    assert not is_open(cluster)
    assert cluster.tags == (("env", "prod"),)
    assert cluster.rotations == 0
    assert any(isinstance(one, SignInProven) for one in verdict.evidence)
    assert load_verdict(dump_verdict(verdict)) == verdict
    lines = [line_of(one) for one in verdict.evidence]
    assert "INC-77; ticket CHG-9; by dana@contoso.com" in lines[0].detail


async def test_the_rotation_is_owed_as_far_as_our_records_say() -> None:
    world = World()
    cluster = world.add(**CLOSED)
    wanted = await opened(world, cluster)
    verdict = await glass(world.process()).close(cluster.id, WHO)
    report = report_of(cluster.id, wanted, verdict, ended_at="2026-11-24T10:00:00Z")
    assert report.plan_digest == opening_digest(cluster.id, wanted)
    assert (report.started_at, report.ended_at) == (wanted.since, "2026-11-24T10:00:00Z")
    known = old_credentials(posture_of(cluster).with_ca(cluster.ca), records_of(report, "r"))
    assert known.debt is Debt.OWED


async def test_without_a_sign_in_it_stays_open_and_says_so_until_a_person_repairs_it() -> None:
    world = World()
    cluster = world.add(**CLOSED)
    wanted = await opened(world, cluster)
    world.groups[ADMINS].members.clear()
    verdict = await glass(world.process()).close(cluster.id, WHO)
    assert verdict.outcome is Outcome.FAILED
    assert verdict.because[0].startswith("local accounts STAY OPEN")
    assert "--close" in verdict.next
    assert is_open(cluster)
    assert opening_on(cluster.tags) == wanted
    world.groups[ADMINS].members.add(PROVER)
    assert (await glass(world.process()).close(cluster.id, WHO)).because[0] == "local accounts are closed again"


async def test_an_opening_can_be_given_another_end() -> None:
    world = World()
    cluster = world.add(**CLOSED)
    await opened(world, cluster)
    await world.clock.sleep(600)
    later = await opened(world, cluster)
    assert opening_on(cluster.tags) == later
    again = await glass(world.process()).open(cluster.id, later)
    assert [one.changed for one in again.evidence if isinstance(one, LocalAccountsEnabled)] == [False]


@pytest.mark.parametrize("how", [{"identity": Identity.MANAGED}, {}, {"identity": Identity.LEGACY}])
async def test_a_cluster_that_is_open_anyway_has_nothing_to_break(how: dict[str, Identity]) -> None:
    world = World()
    cluster = world.add(**how)
    verdict = await glass(world.process()).open(cluster.id, opening(world))
    assert verdict.outcome is Outcome.REFUSED
    assert "az aks get-credentials --admin" in verdict.next
    assert world.writes == []


async def test_nothing_is_closed_that_was_not_opened_by_break_glass() -> None:
    world = World()
    cluster = world.add(identity=Identity.MANAGED)
    verdict = await glass(world.process()).close(cluster.id, WHO)
    assert verdict.outcome is Outcome.REFUSED
    assert "there is nothing to close" in verdict.because[0]
    assert is_open(cluster)


async def test_somebody_else_closed_meanwhile_and_only_the_tags_are_left() -> None:
    world = World()
    cluster = world.add(**CLOSED)
    await opened(world, cluster)
    cluster.local_accounts = False
    verdict = await glass(world.process()).close(cluster.id, WHO)
    assert verdict.because[0] == "local accounts are closed again"
    assert cluster.tags == (("env", "prod"),)


async def test_a_lost_answer_is_no_second_write() -> None:
    world = World()
    cluster = world.add(**CLOSED)
    await opened(world, cluster)
    process = world.process()
    arm = process.ports.arm

    def close() -> None:
        cluster.local_accounts, cluster.tags = False, (("env", "prod"),)

    world.faults["arm.set_local_accounts"] = [TryLater("the connection broke", after=1)]
    world.after["arm.set_local_accounts"] = close
    verdict = await glass(process).close(cluster.id, WHO)
    assert verdict.because[0] == "local accounts are closed again"
    assert world.writes == ["shop-01 Updating"]
    assert arm is process.ports.arm


@pytest.mark.parametrize("without", ["set_local_accounts", "tags"])
async def test_a_write_without_effect_is_said(without: str) -> None:
    world = World()
    cluster = world.add(**CLOSED)
    world.without_effect.add(without)
    verdict = await glass(world.process()).open(cluster.id, opening(world))
    assert verdict.outcome is Outcome.FAILED
    world.without_effect.clear()
    cluster.local_accounts = False
    await opened(world, cluster)
    world.without_effect.add(without)
    verdict = await glass(world.process()).close(cluster.id, WHO)
    assert verdict.outcome is Outcome.FAILED


async def test_a_failed_opening_that_is_open_all_the_same_is_no_refusal() -> None:
    world = World()
    cluster = world.add(**CLOSED)
    world.ends["Updating"] = ["Failed"]
    verdict = await glass(world.process()).open(cluster.id, opening(world))
    assert verdict.outcome is Outcome.FAILED
    assert "STAY OPEN" in verdict.because[0]
    world.faults["arm.cluster"] = [Rejected("a"), Rejected("b")]
    verdict = await glass(world.process()).open(cluster.id, opening(world))
    assert verdict.outcome is Outcome.FAILED
    assert verdict.because[0] == "not opened: a"


async def test_what_cannot_be_seen_at_the_end_is_not_closed_in_the_words_of_the_verdict() -> None:
    world = World()
    cluster = world.add(**CLOSED)
    await opened(world, cluster)
    cluster.refuses_at = world.now() + timedelta(days=2)
    verdict = await glass(world.process()).close(cluster.id, WHO)
    assert verdict.outcome is Outcome.FAILED
    assert verdict.because[0].startswith("closed, but not verified")
    cluster.tags = ()
    cluster.local_accounts = False
    await opened(world, cluster)
    world.faults["arm.certificate_authority"] = [Rejected("x"), Rejected("y")]
    verdict = await glass(world.process()).close(cluster.id, WHO)
    assert verdict.because[0] == "not opened: x" or "STAY OPEN" in verdict.because[0]
    world.faults["arm.certificate_authority"] = []
    world.faults["kubernetes.sign_in"] = [ZeroDivisionError("oh")]
    verdict = await glass(world.process()).close(cluster.id, WHO)
    assert "unexpected error: ZeroDivisionError" in verdict.because[0]


async def test_killed_at_any_moment_of_opening_or_closing() -> None:
    """The cluster itself says whether it is open, and until when: the next process brings it to its end."""
    for doing in ("open", "close"):
        moment = 0
        while True:
            moment += 1
            world = World()
            cluster = world.add(**CLOSED)
            wanted = opening(world)
            if doing == "close":
                await glass(world.process()).open(cluster.id, wanted)
            world.kill_at = world.moments + moment
            try:
                if doing == "open":
                    await glass(world.process()).open(cluster.id, wanted)
                else:
                    await glass(world.process()).close(cluster.id, WHO)
                break
            except Killed:
                assert opening_on(cluster.tags) == wanted or not is_open(cluster), "never open without an end"
            found = [one async for one in glass(world.process()).openings(cluster.id.subscription_id)]
            assert bool(found) is is_open(cluster)
            for one, _ in found:
                verdict = await glass(world.process()).close(one, WHO)
                assert verdict.because[0] == "local accounts are closed again"
            assert not is_open(cluster)
            assert cluster.tags == (("env", "prod"),)
        assert moment > 8


async def test_the_kubeconfig_goes_to_one_new_place_that_only_its_owner_reads(tmp_path: Path) -> None:
    world = World()
    cluster = world.add(**CLOSED)
    await opened(world, cluster)
    cluster.hands_out_at = world.now() + timedelta(seconds=60)
    file = tmp_path / "shop-01.kubeconfig"
    place = PrivateFile.reserve(file)
    await glass(world.process()).hand_out(cluster.id, place)
    assert file.read_text() == "generation 0"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(Refused, match="was handed out already"):
        place.put(b"again")
    place.give_up()
    assert file.exists()
    with pytest.raises(Refused, match="is there already"):
        PrivateFile.reserve(file)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Refused):
        PrivateFile.reserve(tmp_path / "link")
    with pytest.raises(Refused, match="cannot be made"):
        PrivateFile.reserve(tmp_path / "no" / "folder")
    other = PrivateFile.reserve(tmp_path / "other")
    other.give_up()
    assert not (tmp_path / "other").exists()


def test_an_end_that_cannot_be_read_is_over() -> None:
    world = World()
    assert opening_on((("env", "prod"),)) is None
    found = opening_on(((f"{PREFIX}until".upper(), "soon"),))
    assert found is not None
    assert found.due(world.now())
    naive = Opening(until="2026-11-24T08:00:01", since="", reason="")
    assert not naive.due(world.now())
    assert naive.due(world.now() + timedelta(seconds=1))


def test_a_failed_opening_of_which_nothing_is_known() -> None:
    world = World()
    cluster = world.add()
    verdict: Verdict = judge_opening(cluster.id, Opening(until="", since="", reason=""), ())
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert stamp(world.clock).endswith("Z")
    assert not any(isinstance(one, LocalAccountsDisabled) for one in verdict.evidence)


async def test_how_it_stands_is_read_from_the_cluster() -> None:
    world = World()
    cluster = world.add(**CLOSED)
    assert await glass(world.process()).current(cluster.id) == (None, False)
    wanted = await opened(world, cluster)
    assert await glass(world.process()).current(cluster.id) == (wanted, True)


def test_an_opening_that_somebody_else_took_away() -> None:
    world = World()
    cluster = world.add(**CLOSED)
    closed = judge_gone(cluster.id, opening(world), local_accounts=False)
    assert closed.outcome is Outcome.NOT_VERIFIED
    assert "closed by somebody else" in closed.because[0]
    assert "rotation owed" in closed.because[1]
    left = judge_gone(cluster.id, opening(world), local_accounts=True)
    assert left.outcome is Outcome.FAILED
    assert "nothing will close them" in left.because[0]
    assert "a person decides" in left.next


async def test_tags_that_vanished_do_not_make_an_opening_forgotten() -> None:
    """Terraform's next apply, or a policy, takes tags away: our own record closes, and extends."""
    world = World()
    cluster = world.add(**CLOSED)
    wanted = await opened(world, cluster)
    cluster.tags = (("env", "prod"),)
    longer = opening(world, 90)
    verdict = await glass(world.process()).open(cluster.id, longer, wanted)
    assert verdict.outcome is Outcome.NOT_VERIFIED
    assert opening_on(cluster.tags) == longer
    cluster.tags = (("env", "prod"),)
    assert (await glass(world.process()).close(cluster.id, WHO)).outcome is Outcome.REFUSED
    assert is_open(cluster)
    verdict = await glass(world.process()).close(cluster.id, WHO, longer)
    assert verdict.because[0] == "local accounts are closed again"
    assert not is_open(cluster)


async def test_the_record_counts_and_not_the_tags() -> None:
    world = World()
    cluster = world.add(**CLOSED)
    wanted = await opened(world, cluster)
    cluster.tags = replace(wanted, reason="not ours", since="2020-01-01T00:00:00Z").tags[:3]  # type: ignore[assignment]  # none is None
    verdict = await glass(world.process()).close(cluster.id, WHO, wanted)
    assert [one.reason for one in verdict.evidence if isinstance(one, LocalAccountsEnabled)] == ["INC-77"]
    assert not is_open(cluster)


async def test_a_record_does_not_close_a_cluster_that_was_made_anew_or_is_gone() -> None:
    world = World()
    cluster = world.add(**CLOSED)
    wanted = await opened(world, cluster)
    cluster.uid = "another"
    verdict = await glass(world.process()).close(cluster.id, WHO, wanted, uid="the first")
    assert (verdict.outcome, is_open(cluster)) == (Outcome.SKIPPED, True)
    assert "a new one has its name" in verdict.because[0]
    world.clusters.clear()
    verdict = await glass(world.process()).close(cluster.id, WHO, wanted, uid="another")
    assert verdict.outcome is Outcome.SKIPPED
    assert "does not exist any more" in verdict.because[0]


async def test_what_is_known_to_bar_the_way_back_leaves_accounts_open_for_a_person_to_decide() -> None:
    world = World()
    cluster = world.add(**CLOSED)
    await opened(world, cluster)
    world.policies = (DENIES,)
    verdict = await glass(world.process()).close(cluster.id, WHO)
    assert verdict.outcome is Outcome.FAILED
    assert "STAY OPEN: B021" in verdict.because[0]
    assert is_open(cluster)
    world.policies = world.locks = world.denials = None  # the opening showed that reopening is permitted
    assert (await glass(world.process()).close(cluster.id, WHO)).because[0] == "local accounts are closed again"


def test_a_tag_beside_our_record() -> None:
    now = World().now()
    mine = Opening(until="2026-11-24T09:00:00Z", since="2026-11-24T08:00:00Z", reason="INC-77")
    record = OpeningRecord(cluster="c", opening=mine, uid="u", at="2026-11-24T07:00:00Z")
    assert strange_tags(mine, record, now) == ""
    assert "no opening of it is recorded" in strange_tags(mine, None, now)
    assert "until unknown" in strange_tags(replace(mine, until=""), None, now)
    over = record.over("2026-11-24T07:30:00Z", "closed")
    assert over == replace(record, at="2026-11-24T07:30:00Z", ended="2026-11-24T07:30:00Z", because="closed")
    assert "no opening of it is recorded" in strange_tags(mine, over, now)
    assert "no opening of it is recorded" in strange_tags(mine, record.over("2026-11-24T07:59:59Z", "closed"), now)
    changed = replace(mine, until="2099-01-01T00:00:00Z")
    assert "they say until 2099" in strange_tags(changed, record, now)
    assert strange_tags(changed, replace(record, at="2026-11-24T07:59:00Z"), now) == "", "its tags are being written"
    assert "they say until 2099" in strange_tags(changed, replace(record, at="never"), now)


def test_a_record_is_read_as_it_was_stored_and_one_without_an_end_is_refused() -> None:
    mine = Opening(until="2026-11-24T09:00:00Z", since="2026-11-24T08:00:00Z", reason="INC-77")
    cluster = World().add(**CLOSED).id.resource_id
    record = OpeningRecord(cluster=cluster, opening=mine, uid="u", at="2026-11-24T07:00:00Z")
    assert load_opening(dump_opening(record)) == record
    with pytest.raises(Refused, match="malformed at cluster"):
        load_opening(dump_opening(replace(record, cluster="c")))
    with pytest.raises(Refused, match="malformed at until"):
        load_opening(dump_opening(replace(record, opening=replace(mine, until="soon"))))
