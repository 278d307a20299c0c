"""The decisions that count for a run, proven by Prefect's server: who answered which question of which run, and when.

An artifact alone approves nothing, because anybody may post one. It counts only if the run that asked stored it, and if
the server's own history of that run shows the same question, its answer and the time of the resume.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.exceptions import ObjectNotFound

from aks_entra.core.planning.approval import Answer, Approval, RunState, WithoutGates, answers, is_proven
from aks_entra.core.planning.gates import Side
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.errors import Refused
from aks_entra.prefect_client import artifacts, migration_records, names, progress
from aks_entra.prefect_client.artifacts import Stored
from aks_entra.prefect_client.lineage import lineage
from aks_entra.text.markdown import code, for_markdown


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a gate asks: of which plan (its digests), about which side of which stage (its place and its name)."""

    plan: str
    place: int
    stage: str
    side: Side
    facts: str = ""

    @property
    def key(self) -> str:
        """How the pause keys of all its askings begin."""
        return names.key("gate", str(self.place), self.side, names.short(self.plan))

    def is_asked_by(self, pause_key: str) -> bool:
        """Whether a suspension with this pause key asked it."""
        return pause_key == self.key or pause_key.startswith(f"{self.key}-")


def question_of(plan: FleetPlan, place: int, side: Side) -> Question:
    """The question of a gate of a stage."""
    stage = plan.stages[place].name
    return Question(plan=plan.digest, place=place, stage=stage, side=side, facts=plan.facts_digest)


async def decided(run: UUID, question: Question) -> Approval | None:
    """Return the approval of a question that counts for a run, or None: nobody approved, or somebody rejected later.

    Approvals of dead runs that this run resumes count as its own. The caller checks whether the approval has expired.
    """
    async with get_client() as client:
        for one in await lineage(client, run):
            given = [answer for answer in await answers_of(client, one.id) if question.is_asked_by(answer.question)]
            for answer in reversed(given):
                said = await _said(client, one.id, answer.question)
                if said.get("decision") == "reject":
                    return None
                if said.get("decision") == "approve":
                    found = await _recorded(one.id, question, answer)
                    if found is not None:
                        return found
    return None


async def answers_of(client: PrefectClient, run: UUID) -> tuple[Answer, ...]:
    """Return the answered questions of a run, oldest first, from the server's own history of its states."""
    return answers(await states_of(client, run))


async def states_of(client: PrefectClient, run: UUID) -> tuple[RunState, ...]:
    """Return the states of a run, as the server keeps them."""
    return tuple(
        RunState(
            name=state.name or "",
            at=state.timestamp,
            question=(state.state_details.pause_key or "") if state.is_paused() else "",
        )
        for state in await client.read_flow_run_states(run)
    )


async def _said(client: PrefectClient, run: UUID, question: str) -> dict[str, str]:
    """Return the answer that the server took from the form. Empty if there is none, or if it does not fit the form."""
    try:
        given = json.loads(await client.read_flow_run_input(run, f"suspended-{question}-response"))
    except (ObjectNotFound, httpx.HTTPStatusError, ValueError):
        return {}
    said: dict[str, Any] = given if isinstance(given, dict) else {}
    return {name: str(value).strip() for name, value in said.items()} | {
        "decision": str(said.get("decision", "")).strip().lower()
    }


async def _recorded(run: UUID, question: Question, answer: Answer) -> Approval | None:
    """Return our record of an approving answer, stored by the run that asked, or None if no record fits."""
    name = migration_records.approval_key("approval", question.plan, question.side, question.stage)
    for one in await artifacts.versions(name):
        found = migration_records.read_approval(one) if one.flow_run == run else None
        if found is None or found.decision != "approve":
            continue
        same = (found.plan, found.stage, found.moment, found.facts) == (
            *(question.plan, question.stage, question.side),
            question.facts,
        )
        if same and is_proven(found, str(run), (answer,), now=progress.now()):
            return found
    return None


async def store_without_gates(decision: WithoutGates) -> None:
    """Record that a person typed that a plan may begin stages without an approval."""
    name = _without_gates(decision.plan, decision.token)
    page = f"plan {code(names.short(decision.plan))} may begin stages without an approval: {for_markdown(decision.by)}"
    await artifacts.put(name, json.dumps(asdict(decision)), kind="without-gates", page=page)


async def may_go_ungated(run: UUID, plan: FleetPlan, *, began: datetime | None = None) -> bool:
    """Whether a person typed, for exactly this plan and this run, that stages may begin without an approval.

    `began`: when the stage began. A decision that counted then still counts for that stage.
    """
    moments = [at for at in (progress.now(), began) if at is not None]
    async with get_client() as client:
        tokens = [token for one in await lineage(client, run) for token in names.typed(one.tags)]
    return any(
        decision.counts(plan.digest, plan.facts_digest, tokens, now=at)
        for decision in await typed_decisions(plan.digest, tokens)
        for at in moments
    )


async def typed_decisions(digest: str, tokens: Iterable[str]) -> list[WithoutGates]:
    """Return the decisions with these tokens that stages of a plan may begin without an approval.

    Unreadable ones are left out. The caller asks each whether it counts.
    """
    stored = [await artifacts.get(_without_gates(digest, token)) for token in tokens]
    return _readable(one for one in stored if one is not None)


async def kept_typed_decisions(digest: str) -> list[WithoutGates]:
    """Return every such decision about a plan that the store of records has. Empty without a store."""
    return _readable(await artifacts.kept_versions(names.key("without-gates", names.hexadecimal(digest))))


def _readable(stored: Iterable[Stored]) -> list[WithoutGates]:
    found = []
    for one in stored:
        try:
            found.append(WithoutGates(**json.loads(one.text)))
        except (TypeError, ValueError, Refused):
            continue
    return found


def _without_gates(digest: str, token: str) -> str:
    return names.key("without-gates", names.hexadecimal(digest), token)
