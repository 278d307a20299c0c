"""What a report keeps of a rollout: which answers count as decisions, and when a stage ran."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from aks_entra.core.planning.approval import RunState
from aks_entra.core.verdict.history import (
    Asking,
    BatchHistory,
    GateHistory,
    RolloutHistory,
    StageHistory,
    askings_in,
    askings_of_lost_runs,
)
from aks_entra.documents import signature_proofs
from tests.support.history_samples import FIRST, SECOND, decided, decision, rolled_out, signed
from tests.support.timeline_samples import BEGAN, at

ASKED, AGAIN = "gate-0-before-9f319f319f31-1", "gate-0-before-9f319f319f31-2"


def state(minute: int, name: str, question: str = "") -> RunState:
    return RunState(name=name, at=BEGAN + timedelta(minutes=minute), question=question)


def test_a_decision_counts_if_the_run_was_resumed_from_its_question_at_its_moment() -> None:
    states = [
        state(4, "Resuming"),
        state(0, "Running"),
        state(1, "Suspended", ASKED),
        state(2, "Resuming"),
        state(3, "Suspended", AGAIN),
    ]
    given = decision("canary", at(4), question=AGAIN)
    forged = decision("canary", at(3), question=ASKED)
    assert askings_in(states, [given, forged], signature_proofs) == (
        (ASKED, Asking(asked_at=at(1), answered_at=at(2))),
        (AGAIN, Asking(asked_at=at(3), answered_at=at(4), decision=decided(given))),
    )


def test_a_run_that_waits_or_died_at_its_gate_was_not_answered() -> None:
    said = decision("canary", "", question=ASKED)
    waits = [state(1, "Suspended", ASKED)]
    assert askings_in(waits, [said], signature_proofs) == ((ASKED, Asking(asked_at=at(1))),)
    assert askings_in([*waits, state(2, "Crashed")], [said], signature_proofs) == ((ASKED, Asking(asked_at=at(1))),)


def test_the_record_of_a_decision_is_all_that_is_left_of_a_run_that_the_server_lost() -> None:
    late, early = signed("canary", at(4), name="erin"), decision("canary", at(2), decision="reject")
    known = decision("canary", at(3), run=SECOND)
    without = decision("canary", at(1), run=""), decision("canary", ""), decision("canary", at(1), question="")
    found = askings_of_lost_runs([late, early, early, known, *without], {SECOND}, signature_proofs)
    assert found == tuple(
        (
            one.question,
            Asking(asked_at="", answered_at=one.at, decision=replace(decided(one), unconfirmed=True)),
        )
        for one in (early, late)
    )
    assert askings_of_lost_runs([late], {FIRST}, signature_proofs) == ()


def test_a_decision_that_no_server_confirms_says_so() -> None:
    lost = replace(decided(decision("canary", at(2))), unconfirmed=True)
    assert lost.by == "dana@contoso.com, a claim; Prefect no longer knows the run, so only the record says it"


def test_digests_of_earlier_reports_stay_valid() -> None:
    assert rolled_out(7).digest == "sha256:59b9f71468be55d848313121a701a4d6d9be1ff0176e64bdeb76f895f6ce77a0"


def test_a_stage_lasts_from_its_first_batch_to_the_end_of_its_last_one() -> None:
    first = BatchHistory(number=1, began_at=at(1), ended_at=at(9))
    second = BatchHistory(number=2, began_at=at(0), ended_at=at(5))
    stage = StageHistory(name="canary", clusters=(), batches=(first, second))
    assert (stage.began_at, stage.ended_at) == (at(0), at(9))
    running = replace(stage, batches=(first, replace(second, ended_at="")))
    assert (running.began_at, running.ended_at) == (at(0), "")
    assert (replace(stage, batches=()).began_at, replace(stage, batches=()).ended_at) == ("", "")


def test_decisions_are_in_the_order_of_the_stages_and_their_gates() -> None:
    def gate(side: str, who: str) -> GateHistory:
        said = decided(decision("x", at(0), who))
        asked = (Asking(asked_at=at(0)), Asking(asked_at=at(0), answered_at=at(0), decision=said))
        return GateHistory(side="after" if side == "after" else "before", conditions=(), askings=asked)

    stages = (
        StageHistory(name="a", clusters=(), before=gate("before", "1"), after=gate("after", "2")),
        StageHistory(name="b", clusters=()),
        StageHistory(name="c", clusters=(), after=gate("after", "3")),
    )
    assert [(gate, one.by) for gate, one in RolloutHistory(runs=(), stages=stages).decisions] == [
        *(("before stage a", "1, a claim"), ("after stage a", "2, a claim"), ("after stage c", "3, a claim")),
    ]


def test_the_digest_of_a_report_covers_its_history() -> None:
    found = rolled_out(7)
    assert found.history is not None
    digests = {
        found.digest,
        replace(found, history=None).digest,
        replace(found, history=replace(found.history, runs=found.history.runs[1:])).digest,
    }
    assert len(digests) == 3


def test_a_decision_is_proven_by_its_signatures_alone() -> None:
    yes, no = decided(signed("canary", at(0))), decided(decision("canary", at(0), "erin", decision="reject"))
    assert (yes.verb, yes.proof) == ("approved", "signed at Microsoft Entra ID")
    assert (no.verb, no.by) == ("rejected", "erin, a claim")
    assert replace(no, signatures=yes.signatures).by == "erin, signed at Microsoft Entra ID"
