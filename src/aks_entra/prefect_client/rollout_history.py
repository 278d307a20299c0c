"""The course of a rollout as Prefect's server shows it: runs, gates, decisions and batches, for the report.

Decisions of runs that the server has lost come from the store of records, and are marked as unconfirmed.

It decides nothing: whether an approval counts is decided where a gate or a batch needs it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun

from aks_entra.core.durations import stamp
from aks_entra.core.planning.approval import Approval, WithoutGates
from aks_entra.core.planning.gates import Side
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.verdict.history import (
    Asking,
    BatchHistory,
    CoordinatorHistory,
    GateHistory,
    RolloutHistory,
    SignatureProof,
    StageHistory,
    UngatedDecision,
    askings_in,
    askings_of_lost_runs,
)
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Verdict
from aks_entra.documents import signature_proofs
from aks_entra.prefect_client import artifacts, entra_keys, migration_records, progress, runs
from aks_entra.prefect_client.checked_signatures import CheckAgain
from aks_entra.prefect_client.decisions import kept_typed_decisions, question_of, states_of, typed_decisions
from aks_entra.prefect_client.flow_run_list import all_runs
from aks_entra.prefect_client.lineage import lineage, named
from aks_entra.prefect_client.names import batch_of, hexadecimal, key, short, stage_of, typed
from aks_entra.prefect_client.progress_page import PATIENCE
from aks_entra.report import timeline_page

_log: Final = logging.getLogger(__name__)
_DECISIONS: Final = ("approval", "rejection")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What Prefect's server and the store of records show of a rollout.

    `runs` has the coordinators, oldest first. `askings` has each question with its pause key, `reached` the gates by
    stage and side. `began` and `passed` say when a stage (its place) was begun and passed. `typed` has the decisions
    that stages may begin without an approval, `typed_for_lost_runs` those that no run at the server was started with.
    """

    runs: tuple[FlowRun, ...]
    askings: tuple[tuple[str, Asking], ...] = ()
    reached: Mapping[tuple[str, Side], datetime] = field(default_factory=dict)
    began: Mapping[int, datetime] = field(default_factory=dict)
    passed: Mapping[int, datetime] = field(default_factory=dict)
    batches: tuple[FlowRun, ...] = ()
    typed: tuple[WithoutGates, ...] = ()
    typed_for_lost_runs: tuple[WithoutGates, ...] = ()


async def read_history(run: UUID, plan: FleetPlan, check: CheckAgain) -> RolloutHistory | None:
    """Return the course of the rollout that a run carries out. None, with a warning in its log, if that fails.

    A report is worth more than its history, so it does not fail with it, and waits `PATIENCE` seconds at most.
    `check` looks at the signatures once more, because a record may have been written by anybody.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            return history_of(plan, await _read(run, plan, check))
    except Exception as error:  # noqa: BLE001 - whatever it is, the report is stored without the history, and says so
        _log.warning("the report has no history of the rollout: %s", type(error).__name__)
        return None


async def _read(run: UUID, plan: FleetPlan, check: CheckAgain) -> Seen:
    digests = [digest for digest in (plan.digest, plan.replaces) if digest]
    async with get_client() as client:
        coordinators = tuple(reversed(await lineage(client, run)))
        ids = tuple(one.id for one in coordinators)
        tokens = [token for one in coordinators for token in typed(one.tags)]
        decisions = [
            found
            for digest in digests
            for kind in _DECISIONS
            for one in await artifacts.of_runs(client, ids, key(kind, hexadecimal(digest)))
            if (found := migration_records.read_approval(one)) is not None
        ]
        recorded = [
            found
            for digest in digests
            for kind in _DECISIONS
            for one in await artifacts.kept_versions(key(kind, hexadecimal(digest)))
            if (found := migration_records.read_approval(one)) is not None
        ]
        checked = await check(plan, (*decisions, *recorded))
        seen = await entra_keys.seen()

        def proofs(decision: Approval) -> tuple[SignatureProof, ...]:
            return signature_proofs(decision, seen, checked.get(decision, {}))

        askings: list[tuple[str, Asking]] = []
        for one in ids:
            own = (decision for decision in decisions if decision.run == str(one))
            askings += askings_in(await states_of(client, one), own, proofs)
        known = await _known(client, {*map(str, ids)}, {one.run for one in recorded})
        askings += askings_of_lost_runs(recorded, known, proofs)
        of_plan = [one for digest in digests for one in await runs.runs_of(client, digest)]
        started_with = {token for one in (*coordinators, *of_plan) for token in typed(one.tags)}
        return Seen(
            runs=coordinators,
            askings=tuple(askings),
            reached=await progress.all_reached(plan),
            began=await progress.begun(client, ids, plan.digest),
            passed=await progress.passed(client, ids, follows=plan.follows),
            batches=tuple(of_plan),
            typed=tuple(await typed_decisions(plan.digest, tokens)),
            typed_for_lost_runs=tuple(
                one for one in await kept_typed_decisions(plan.digest) if one.token not in started_with
            ),
        )


async def _known(client: PrefectClient, seen: set[str], recorded: set[str]) -> set[str]:
    """Return which runs the server knows: those that were `seen`, and those of `recorded` that it still has.

    A record whose run has no id is no decision of a lost run.
    """
    others = {one: named(one) for one in recorded - seen}
    ids = [run for one in others.values() for run in one]
    found = await all_runs(client, flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=ids))) if ids else []
    return {*seen, *(str(one.id) for one in found), *(one for one, run in others.items() if not run)}


async def show_timeline(report: FleetReport) -> None:
    """Store the page with the timeline. It waits `PATIENCE` seconds at most, and no rollout fails with it."""
    name = key("page-timeline", short(report.plan_digest))
    try:
        async with asyncio.timeout(PATIENCE):
            await artifacts.show(name, kind="markdown", data=timeline_page.render(report))
    except Exception as error:  # noqa: BLE001 - whatever it is, the rollout goes on without a page
        _log.info("the page with the timeline could not be stored: %s", type(error).__name__)


async def show_timeline_so_far(
    run: UUID, plan: FleetPlan, began: datetime, known: Mapping[str, Verdict], check: CheckAgain
) -> None:
    """Store the page with the timeline of a rollout that goes on. `known`: its verdicts, by `ClusterId.key`."""
    report = FleetReport(
        name=plan.name,
        plan_digest=plan.digest,
        started_at=stamp(began),
        ended_at=stamp(progress.now()),
        verdicts=tuple(known.values()),
        history=await read_history(run, plan, check),
    )
    await show_timeline(report)


def history_of(plan: FleetPlan, seen: Seen) -> RolloutHistory:
    """Put together what Prefect's server shows of the rollout of a plan."""
    return RolloutHistory(
        runs=tuple(
            CoordinatorHistory(run=str(one.id), began_at=_began(one), ended_at=_ended(one), state=_state(one))
            for one in seen.runs
        ),
        stages=tuple(
            StageHistory(
                name=stage.name,
                clusters=stage.members,
                before=_gate(plan, place, "before", seen),
                after=_gate(plan, place, "after", seen),
                batches=_batches(stage.name, seen.batches),
            )
            for place, stage in enumerate(plan.stages)
        ),
        ungated=tuple(
            UngatedDecision(by=one.by, reason=one.reason, at=one.at) for one in seen.typed if _is_of(plan, one)
        )
        + tuple(
            UngatedDecision(by=one.by, reason=one.reason, at=one.at, unconfirmed=True)
            for one in dict.fromkeys(seen.typed_for_lost_runs)
            if _is_of(plan, one) and one not in seen.typed
        ),
    )


def _is_of(plan: FleetPlan, decision: WithoutGates) -> bool:
    return (decision.plan, decision.facts) == (plan.digest, plan.facts_digest)


def _gate(plan: FleetPlan, place: int, side: Side, seen: Seen) -> GateHistory | None:
    stage = plan.stages[place]
    gate = stage.gate(side)
    if gate is None:
        return None
    question = question_of(plan, place, side)
    questions = [question, *([replace(question, plan=plan.replaces)] if plan.replaces else [])]
    askings = [one for pause, one in seen.askings if any(each.is_asked_by(pause) for each in questions)]
    return GateHistory(
        side=side,
        conditions=gate.conditions,
        reached_at=_stamp(seen.reached.get((stage.name, side))),
        passed_at=_stamp((seen.began if side == "before" else seen.passed).get(place)),
        askings=tuple(sorted(askings, key=lambda one: one.asked_at or one.answered_at)),
    )


def _batches(stage: str, found: Iterable[FlowRun]) -> tuple[BatchHistory, ...]:
    own = sorted((one for one in found if stage_of(one.tags) == stage and one.start_time), key=_began)
    return tuple(
        BatchHistory(number=batch_of(one.tags), began_at=_began(one), ended_at=_ended(one), state=_state(one))
        for one in own
    )


def _began(run: FlowRun) -> str:
    return stamp(runs.began_at(run))


def _ended(run: FlowRun) -> str:
    return _stamp(run.end_time) if run.state is not None and run.state.is_final() else ""


def _state(run: FlowRun) -> str:
    return run.state_type.value if run.state_type else ""


def _stamp(at: datetime | None) -> str:
    return stamp(at) if at is not None else ""
