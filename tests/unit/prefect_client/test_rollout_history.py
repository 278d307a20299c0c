"""What Prefect's server shows of a rollout becomes the history of its report."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from aks_entra.core.planning.approval import Approval, WithoutGates
from aks_entra.core.planning.gates import Gate
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.verdict.history import Asking, BatchHistory, CoordinatorHistory, UngatedDecision
from aks_entra.prefect_client import names
from aks_entra.prefect_client.checked_signatures import Checked
from aks_entra.prefect_client.rollout_history import Seen, history_of, read_history, show_timeline
from azure_sandbox.cluster.real.process import free_port
from tests.support.history_samples import decided, decision
from tests.support.report_samples import fleet_plan, planned, posture
from tests.support.timeline_samples import BEGAN, at, timed

PLAN = fleet_plan(("canary", (planned(posture("shop-01")),)), ("prod", (planned(posture("shop-02")),)))


def moment(minute: int) -> datetime:
    return BEGAN + timedelta(minutes=minute)


def run(minute: int, kind: StateType, *tags: str, ended: int | None = None) -> FlowRun:
    return FlowRun.model_validate(
        {
            "id": uuid4(),
            "flow_id": uuid4(),
            "tags": list(tags),
            "start_time": moment(minute),
            "end_time": None if ended is None else moment(ended),
            "state": State(type=kind),
            "state_type": kind,
        }
    )


def question(plan: FleetPlan, side: str, attempt: int, place: int = 0) -> str:
    return f"gate-{place}-{side}-{names.short(plan.digest)}-{attempt}"


def test_each_gate_has_its_own_questions_and_times() -> None:
    second = Asking(asked_at=at(3), answered_at=at(4), decision=decided(decision("canary", at(4))))
    first, after = Asking(asked_at=at(1), answered_at=at(2)), Asking(asked_at=at(9))
    seen = Seen(
        runs=(),
        askings=(
            (question(PLAN, "before", 1), second),  # a resumed run asks under the same key
            (question(PLAN, "after", 1), after),
            (question(PLAN, "before", 1), first),
            ("gate-0-before-000000000000-1", Asking(asked_at=at(0))),
        ),
        reached={("canary", "before"): moment(1), ("canary", "after"): moment(9), ("prod", "after"): moment(9)},
        began={0: moment(4)},
    )
    canary, prod = history_of(PLAN, seen).stages
    assert canary.before is not None
    assert canary.before.askings == (first, second)
    assert (canary.before.reached_at, canary.before.passed_at) == (at(1), at(4))
    assert canary.before.conditions == Gate().conditions
    assert canary.after is not None
    assert (canary.after.askings, canary.after.reached_at, canary.after.passed_at) == ((after,), at(9), "")
    assert (prod.after, prod.clusters) == (None, PLAN.stages[1].members)
    assert history_of(PLAN, replace(seen, passed={0: moment(11)})).stages[0].after == replace(
        canary.after, passed_at=at(11)
    )


def test_the_decisions_of_a_lost_run_come_before_what_the_server_still_knows() -> None:
    lost = Asking(asked_at="", answered_at=at(2), decision=replace(decided(decision("x", at(2))), unconfirmed=True))
    asked = Asking(asked_at=at(5))
    askings = ((question(PLAN, "before", 1), asked), (question(PLAN, "before", 1), lost))
    before = history_of(PLAN, Seen(runs=(), askings=askings)).stages[0].before
    assert before is not None
    assert before.askings == (lost, asked)


def test_what_was_asked_about_the_plan_that_was_replaced_is_kept() -> None:
    again = replace(PLAN, replaces=PLAN.digest)
    asked = Asking(asked_at=at(1), answered_at=at(2), decision=decided(decision("canary", at(2))))
    before = history_of(again, Seen(runs=(), askings=((question(PLAN, "before", 1), asked),))).stages[0].before
    assert before is not None
    assert before.askings == (asked,)


def test_runs_and_batches_say_when_they_began_and_how_they_ended() -> None:
    own = names.stage_tag("canary"), names.batch_tag(1)
    dead, alive = run(0, StateType.CRASHED, ended=5), run(6, StateType.RUNNING)
    never = FlowRun(id=uuid4(), flow_id=uuid4(), tags=list(own))
    batches = (
        run(7, StateType.COMPLETED, *own, ended=9),
        run(1, StateType.CRASHED, *own, ended=5),
        run(8, StateType.RUNNING, names.stage_tag("prod")),
        dead,
        never,
    )
    history = history_of(PLAN, Seen(runs=(dead, alive), batches=batches))
    assert history.runs == (
        CoordinatorHistory(run=str(dead.id), began_at=at(0), ended_at=at(5), state="CRASHED"),
        CoordinatorHistory(run=str(alive.id), began_at=at(6), state="RUNNING"),
    )
    canary, prod = history.stages
    assert canary.batches == (
        BatchHistory(number=1, began_at=at(1), ended_at=at(5), state="CRASHED"),
        BatchHistory(number=1, began_at=at(7), ended_at=at(9), state="COMPLETED"),
    )
    assert prod.batches == (BatchHistory(number=0, began_at=at(8), state="RUNNING"),)


def test_only_who_let_this_plan_begin_without_an_approval_is_named() -> None:
    let = WithoutGates(plan=PLAN.digest, facts=PLAN.facts_digest, by="erin", reason="CHG-7", at=at(0), token="t")
    other = replace(let, facts="sha256:0", by="mallory")
    assert history_of(PLAN, Seen(runs=(), typed=(let, other))).ungated == (
        UngatedDecision(by="erin", reason="CHG-7", at=at(0)),
    )
    lost = replace(let, by="frank", token="u")
    assert history_of(PLAN, Seen(runs=(), typed=(let,), typed_for_lost_runs=(let, lost, other))).ungated == (
        UngatedDecision(by="erin", reason="CHG-7", at=at(0)),
        UngatedDecision(by="frank", reason="CHG-7", at=at(0), unconfirmed=True),
    )


async def nothing_signed(_plan: FleetPlan, _decisions: Iterable[Approval]) -> Checked:
    return {}


async def test_a_history_that_cannot_be_read_is_unknown_and_stops_no_report(caplog: pytest.LogCaptureFixture) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/api"
    with (
        temporary_settings({PREFECT_API_URL: nobody, PREFECT_CLIENT_MAX_RETRIES: 0}),
        caplog.at_level(logging.INFO),
    ):
        assert await read_history(uuid4(), PLAN, nothing_signed) is None
        await show_timeline(timed(1))
    assert "the report has no history of the rollout: ConnectError" in caplog.text
    assert "the page with the timeline could not be stored: ConnectError" in caplog.text
