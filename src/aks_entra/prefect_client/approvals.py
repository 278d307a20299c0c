"""Gates: a suspended run whose form names one plan. The form itself refuses another digest.

Every field is required, so that an empty answer, or the defaults of a run that crashed while it was suspended, approve
nothing.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound, Pause
from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput
from pydantic import Field, ValidationError, create_model

from aks_entra.core.durations import stamp
from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.gates import Side as Moment
from aks_entra.core.planning.signed_approval import Count
from aks_entra.core.planning.signed_request import SignedRequest
from aks_entra.documents import dump_signed_approval, dump_signed_request, load_signed_request
from aks_entra.errors import Refused
from aks_entra.host import entra_key_file
from aks_entra.prefect_client import artifacts, events, migration_records, names, pages
from aks_entra.prefect_client.decisions import Question, answers_of
from aks_entra.prefect_client.flow_run_list import all_runs
from aks_entra.prefect_client.liveness import register, unregister
from aks_entra.prefect_client.run_log import tell
from aks_entra.prefect_client.waiting import NO_ERROR
from aks_entra.settings import Settings
from aks_entra.text.markdown import for_markdown
from aks_entra.text.safe import visible
from aks_entra.typed_text import LONGEST_APPROVER, LONGEST_REASON, LONGEST_TICKET, one_line

_SAID = r"\S"
_REQUEST: Final = "aks-entra-request"
"""The key in a form's JSON schema under which the request is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A run that waits for a decision: on which plan, on which side of which stage (by its place in the plan)."""

    run: UUID
    run_name: str
    plan: str
    stage: int
    moment: Moment
    asked: str = ""  # tells one question from the next: a gate asks again when an approval expired
    since: datetime | None = None  # when the server suspended the run
    request: SignedRequest | None = None  # what it asks, if its approval is signed and it asks about no plan

    @property
    def page(self) -> str:
        """Where the form is."""
        return names.run_page(self.run)


def form(
    digest: str, question: str, *, ticket: bool = False, signed: bool = False, request: SignedRequest | None = None
) -> type[RunInput]:
    """Return the form of a gate. `question` is markdown; `ticket`: whether a change ticket is required.

    `signed`: whether an approval has to be signed, so that the form asks for its code. `request`: what the form asks,
    if it is about no plan; commands that sign find it there.

    No field that decides has a default, so that an empty answer approves nothing. Every field is text, because a choice
    in this dialog of Prefect's V1 UI (3.8.8) closes as soon as it opens. The descriptions of the fields are plain text,
    because V2 does not render markdown there.
    """
    digits = names.short(digest)
    fields: dict[str, Any] = {
        "decision": (
            Annotated[str, Field(pattern=r"^\s*([Aa]pprove|[Rr]eject)\s*$")],
            Field(description="Type approve or reject. After a rejection nothing is written."),
        ),
        "plan": (
            Annotated[str, Field(pattern=rf"^\s*(sha256:)?({digits}|{names.hexadecimal(digest)})\s*$")],
            Field(
                description=f"Type {digits}. The decision holds for exactly what is said above.",
                json_schema_extra={"examples": [digest]},
            ),
        ),
        "approver": (
            Annotated[str, Field(pattern=_SAID, max_length=LONGEST_APPROVER)],
            Field(
                description="Who decides. The signatures prove who it was."
                if signed
                else "Who decides. It is a claim, not a proof, unless a proxy signs people in."
            ),
        ),
        "reason": (
            Annotated[str, Field(pattern=_SAID, max_length=LONGEST_REASON)],
            Field(description="Why you decide so."),
        ),
        "ticket": (
            Annotated[str, Field(pattern=_SAID if ticket else None, max_length=LONGEST_TICKET)],
            Field(description="The change ticket.")
            if ticket
            else Field(default="", description="The change ticket, if there is one."),
        ),
    }
    if signed:
        fields["code"] = (
            Annotated[str, Field(pattern=r"^\s*([0-9a-f]{24}|none)\s*$")],
            Field(
                description="Type the approval code that aks-entra sign RUN prints, or none for a rejection.",
                json_schema_extra={_REQUEST: dump_signed_request(request)} if request else None,
            ),
        )
    model: type[RunInput] = create_model("Decision", __base__=RunInput, **fields)
    return model.with_initial_data(description=question)


def words_of(answer: RunInput) -> dict[str, str]:
    """Return what was typed at a form, each field on one line without hidden characters, because others read it."""
    return {name: visible(str(value).strip()) for name, value in answer.model_dump().items()}


async def ask_anew(
    asked: Question,
    question: Callable[[], str],
    *,
    about: events.Subject,
    instead_of: Approval | None = None,
    ticket: bool = False,
    signatures: Callable[[Approval], Awaitable[Count]] | None = None,
    voluntary: Callable[[Approval], Awaitable[Approval]] | None = None,
    request: SignedRequest | None = None,
) -> Approval:
    """Suspend the flow run until a person decides.

    Its process ends. After the resume, the flow starts again from the top and comes here for the answer. If the answer
    does not fit the form, the question is asked again.

    Args:
        asked: what the gate asks.
        question: renders the page that the person reads.
        about: what the events of the gate say about it.
        instead_of: the approval that expired, if there was one.
        ticket: whether a change ticket is required.
        signatures: counts the signatures for an approval. None: a typed name is enough.
        voluntary: adds to an approval whose typed name is enough what people signed all the same.
        request: what is asked, if its approval is signed and it is no stage of a plan.
    """
    missing = ""
    base = names.key(asked.key, instead_of.at if instead_of else "")
    for attempt in itertools.count(1):
        pause = names.key(base, str(attempt))
        try:
            await unregister()
            page = f"**The last answer did not open the gate: {for_markdown(missing)}.**\n\n" if missing else ""
            how = _how_to_sign(asked.plan) if signatures else ""
            text = f"{page}{how}{question()}"
            asking = form(asked.plan, text, ticket=ticket, signed=signatures is not None, request=request)
            answer = await _suspend(asking, pause, asked.plan, about, instead_of)
            run = await register()  # answered: this process carries the run on
            said = words_of(answer)
            decision = Approval(
                plan=asked.plan,
                stage=asked.stage,
                moment=asked.side,
                at=await _answered(run, pause),
                run=str(run),
                question=pause,
                facts=asked.facts,
                decision="approve" if said["decision"].lower() == "approve" else "reject",
                approver=said["approver"],
                reason=said["reason"],
                ticket=said["ticket"],
            )
            if signatures is not None and decision.decision == "approve":
                found = await signatures(decision)
                if missing := what_is_missing(found, said["code"]):
                    tell(f"the gate stays shut: {missing}")
                    continue
                decision = replace(
                    decision, approver=found.words, signed=tuple(map(dump_signed_approval, found.signed))
                )
            elif voluntary is not None and decision.decision == "approve":
                decision = await voluntary(decision)
        except Pause:
            digits = names.short(asked.plan)
            command = f"aks-entra approve {str(artifacts.own_flow_run())[:8]} --plan {digits} --reason …"
            tell(
                f"the run waits for a decision on {digits}: choose Resume on its page, or type `{command}`; {NO_ERROR}"
            )
            raise
        except (ValidationError, ObjectNotFound):
            continue
        await migration_records.store_approval(decision)
        await events.emit(events.gate_decided(about, decision))
        tell(_words_of_decision(decision))
        return decision
    raise AssertionError  # pragma: no cover - count() never ends


def _how_to_sign(plan: str) -> str:
    old = entra_key_file.warning(Settings(), datetime.now(UTC))
    if old:
        tell(old)
    return pages.how_to_sign(str(artifacts.own_flow_run()), plan, old)


def what_is_missing(found: Count, code: str) -> str:
    """Return why an approval with this code does not open a gate. Empty if it does."""
    if not found.missing and code in found.codes:
        return ""
    return "; ".join((found.missing or f"the approval code {code} does not count", *found.refused))


async def _suspend(
    form: type[RunInput], pause: str, digest: str, about: events.Subject, instead_of: Approval | None
) -> RunInput:
    """Suspend the flow run, or return the answer. People are told once the server has the suspension and its form."""
    try:
        return await asuspend_flow_run(wait_for_input=form, key=pause)
    except Pause:
        expired = [events.gate_expired(about, instead_of)] if instead_of else []
        await events.emit(*expired, events.gate_waiting(about, digest))
        raise


def _words_of_decision(decision: Approval) -> str:
    verb = "approved" if decision.decision == "approve" else "rejected"
    ticket = f", ticket {decision.ticket}" if decision.ticket else ""
    return f"{names.short(decision.plan)} was {verb} by {decision.by} ({decision.reason}{ticket})"


async def gates(run: str | None = None) -> tuple[Gate, ...]:
    """Return the gates that wait now, of one run (the beginning of its id, or its name) or of all runs."""
    async with get_client() as client:
        waiting = await all_runs(
            client,
            flow_filter=FlowFilter(name=FlowFilterName(any_=list(names.GATED))),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED]))
            ),
        )
        found = [await _gate(client, one) for one in waiting if run is None or _named(one, run)]
    return tuple(gate for gate in found if gate is not None)


async def gate_of(client: PrefectClient, run: FlowRun) -> Gate | None:
    """Return the gate at which a run waits, or None."""
    return await _gate(client, run)


async def decide(
    run: str,
    plan: str,
    *,
    decision: Literal["approve", "reject"],
    approver: str,
    reason: str,
    ticket: str = "",
    code: str = "",
) -> Gate:
    """Answer a gate. `run`: the beginning of its id; `plan`: the digest, or at least six digits of it.

    `code` is the approval code, at a gate whose approvals are signed; it is `none` for a rejection there.

    Raises:
        Refused: no such run waits, it waits for another plan, or the form refuses the answer.
    """
    for field, text in (("approver", approver), ("reason", reason), ("ticket", ticket)):
        one_line(field, text)
    gate = await gate_named(run, plan)
    answer = {"decision": decision, "plan": gate.plan, "approver": approver, "reason": reason}
    answer |= {name: value for name, value in (("ticket", ticket), ("code", code)) if value}
    async with get_client() as client:
        result = await client.resume_flow_run(gate.run, run_input=answer)
    if result.status is not SetStateStatus.ACCEPT:
        why = getattr(result.details, "reason", "") or "Prefect's server did not say why"
        raise Refused(f"the gate did not take the answer: {why}", remedy="give --reason, --approver and --ticket")
    return gate


async def gate_named(run: str, plan: str) -> Gate:
    """Return the gate of a run (the beginning of its id) that asks about a plan (at least six digits of its digest).

    Raises Refused if no such run waits, or if it waits for another plan.
    """
    gate, digits = await gate_waiting(run), names.hexadecimal(plan).lower()
    if len(digits) < migration_records.SHORTEST or not names.hexadecimal(gate.plan).startswith(digits):
        raise Refused(
            f"run {gate.run_name} waits for plan {names.short(gate.plan)}, not for {digits or 'nothing'}",
            remedy=f"read that plan, then approve it by its own digest: --plan {names.short(gate.plan)}",
            code="PlanMismatch",
        )
    return gate


async def gate_waiting(run: str) -> Gate:
    """Return the gate at which a run (the beginning of its id) waits. Raises Refused unless exactly one waits."""
    waiting = await gates(run)
    if not waiting:
        raise Refused(
            f"no run {run!r} waits for an approval",
            remedy="Prefect's UI shows the suspended runs; a run's page shows its state",
        )
    if len(waiting) > 1:
        raise Refused(f"{len(waiting)} waiting runs begin with {run!r}", remedy="give more digits of the run's id")
    return waiting[0]


async def _answered(run: UUID, question: str) -> str:
    """Return when the server resumed the run from this question: a worker may have been offline since then."""
    async with get_client() as client:
        given = await answers_of(client, run)
    return next((stamp(one.at) for one in reversed(given) if one.question == question), "")


def _named(run: FlowRun, name: str) -> bool:
    return str(run.id).startswith(name.lower()) or run.name == name


async def _gate(client: PrefectClient, run: FlowRun) -> Gate | None:
    state = run.state
    if state is None or state.type is not StateType.PAUSED or state.state_details.run_input_keyset is None:
        return None
    _, place, moment, *_ = (state.state_details.pause_key or "").split("-")
    try:
        schema = json.loads(await client.read_flow_run_input(run.id, state.state_details.run_input_keyset["schema"]))
    except httpx.HTTPStatusError as error:
        if error.response.status_code != HTTPStatus.NOT_FOUND:
            raise
        return None  # it was suspended just now, and its form is not stored yet
    return Gate(
        run=run.id,
        run_name=run.name,
        plan=schema["properties"]["plan"]["examples"][0],
        stage=int(place),
        moment="after" if moment == "after" else "before",
        asked=state.state_details.pause_key or "",
        since=state.timestamp,
        request=request_in(schema),
    )


def request_in(schema: dict[str, Any]) -> SignedRequest | None:
    """Return the request in a form. None if there is none, or if it cannot be read."""
    text = schema["properties"].get("code", {}).get(_REQUEST)
    try:
        return load_signed_request(text) if isinstance(text, str) else None
    except Refused:
        return None
