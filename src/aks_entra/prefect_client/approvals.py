"""Gates: a suspended run whose form names one plan. A stale digest is refused by the form itself.

Every field is required: an empty answer, or the defaults of a run that crashed while it was suspended, approve nothing.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

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
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput
from pydantic import Field, ValidationError, create_model

from aks_entra.core.durations import stamp
from aks_entra.core.gates import Side as Moment
from aks_entra.errors import Refused
from aks_entra.prefect_client import archive, names, notes
from aks_entra.prefect_client.archive import Approval
from aks_entra.prefect_client.life import sign_off, sign_on

_SAID = r"\S"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A run that waits for a decision: on which plan, on which side of which stage (by its place in the plan)."""

    run: UUID
    run_name: str
    plan: str
    stage: int
    moment: Moment
    asked: str = ""  # tells one question from the next: the same is asked again when an approval expired

    @property
    def page(self) -> str:
        """Where the form is."""
        return names.run_page(self.run)


def form(digest: str, question: str, *, ticket: bool = False) -> type[RunInput]:
    """The form of a gate; `question` is markdown. `ticket`: whether a change ticket has to be named.

    What decides never gets a default: an empty answer must approve nothing. Everything is typed: a choice opens and
    shuts at once when it is clicked in this dialog of Prefect's UI (3.8.8).
    """
    digits = names.short(digest)
    numbered = "the change ticket"
    fields: dict[str, Any] = {
        "decision": (
            Annotated[str, Field(pattern=r"^\s*([Aa]pprove|[Rr]eject)\s*$")],
            Field(description="type **approve**, or **reject**: then nothing is written"),
        ),
        "plan": (
            Annotated[str, Field(pattern=rf"^\s*(sha256:)?({digits}|{names.hexadecimal(digest)})\s*$")],
            Field(
                description=f"type **{digits}**: the decision holds for exactly what is said above",
                json_schema_extra={"examples": [digest]},
            ),
        ),
        "approver": (
            Annotated[str, Field(pattern=_SAID, max_length=200)],
            Field(description="who decides (a claim, not a proof, unless a proxy signs people in)"),
        ),
        "reason": (
            Annotated[str, Field(pattern=_SAID, max_length=500)],
            Field(description="why"),
        ),
        "ticket": (
            Annotated[str, Field(pattern=_SAID if ticket else None, max_length=100)],
            Field(description=numbered) if ticket else Field(default="", description=f"{numbered}, where there is one"),
        ),
    }
    model: type[RunInput] = create_model("Decision", __base__=RunInput, **fields)
    return model.with_initial_data(description=question)


async def ask(digest: str, stage: tuple[int, str], moment: Moment, question: Callable[[], str]) -> Approval:
    """Wait for a decision on a stage (its place in the plan, its name), unless this digest was approved already."""
    known = await archive.approval(digest, stage[1], moment)
    return known or await ask_anew(digest, stage, moment, question)


async def ask_anew(
    digest: str,
    stage: tuple[int, str],
    moment: Moment,
    question: Callable[[], str],
    *,
    instead_of: Approval | None = None,
    ticket: bool = False,
) -> Approval:
    """Wait for a decision; `instead_of` an approval that counts no more. `ticket`: whether one has to be named.

    Suspends the flow run: its process ends, and after the resume the flow runs from the top and comes here again.
    An answer that does not fit the form is asked again.
    """
    place, name = stage
    asked = names.key("gate", str(place), moment, names.short(digest), instead_of.at if instead_of else "")
    for attempt in itertools.count(1):
        try:
            await sign_off()
            answer = await asuspend_flow_run(
                wait_for_input=form(digest, question(), ticket=ticket), key=names.key(asked, str(attempt))
            )
            run = await sign_on()  # answered: this process carries the run on
            said = answer.model_dump()
            said |= {"decision": said["decision"].strip().lower(), "plan": digest}
            decision = Approval(stage=name, moment=moment, at=await _answered(run), **said)
        except (ValidationError, ObjectNotFound):
            continue
        await archive.store_approval(decision)
        return decision
    raise AssertionError  # pragma: no cover - count() never ends


async def gates(run: str | None = None) -> tuple[Gate, ...]:
    """The gates that wait now; of one run (the beginning of its id, or its name), or of all."""
    async with get_client() as client:
        waiting = await client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=list(names.GATED))),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED]))
            ),
        )
        found = [await _gate(client, one) for one in waiting if run is None or _named(one, run)]
    return tuple(gate for gate in found if gate is not None)


async def gate_of(client: PrefectClient, run: FlowRun) -> Gate | None:
    """The gate at which a run waits, if it does."""
    return await _gate(client, run)


async def decide(
    run: str, plan: str, *, decision: Literal["approve", "reject"], approver: str, reason: str, ticket: str = ""
) -> Gate:
    """Answer a gate. `run`: the beginning of its id; `plan`: the digest, or at least six digits of it.

    Raises Refused when no such run waits, when it waits for another plan, or when the form refuses the answer.
    """
    digits = names.hexadecimal(plan).lower()
    waiting = await gates(run)
    if not waiting:
        raise Refused(
            f"no run {run!r} waits for an approval",
            remedy="Prefect's UI shows the suspended runs; a run's page says how it stands",
        )
    if len(waiting) > 1:
        raise Refused(f"{len(waiting)} waiting runs begin with {run!r}", remedy="give more digits of the run's id")
    gate = waiting[0]
    if len(digits) < archive.SHORTEST or not names.hexadecimal(gate.plan).startswith(digits):
        raise Refused(
            f"run {gate.run_name} waits for plan {names.short(gate.plan)}, not for {digits or 'nothing'}",
            remedy=f"read that plan, then approve it by its own digest: --plan {names.short(gate.plan)}",
            code="PlanMismatch",
        )
    answer = {"decision": decision, "plan": gate.plan, "approver": approver, "reason": reason}
    if ticket:
        answer["ticket"] = ticket
    async with get_client() as client:
        result = await client.resume_flow_run(gate.run, run_input=answer)
    if result.status is not SetStateStatus.ACCEPT:
        why = getattr(result.details, "reason", "") or "Prefect's server did not say why"
        raise Refused(f"the gate did not take the answer: {why}", remedy="give --reason, --approver and --ticket")
    return gate


async def _answered(run: UUID) -> str:
    """When the run's newest answer was given: a worker may have been away between the answer and this process."""
    async with get_client() as client:
        states = await client.read_flow_run_states(run)
    resumed = [state.timestamp for state in states if state.name == "Resuming" and state.timestamp is not None]
    return stamp(max(resumed, default=notes.now()))


def _named(run: FlowRun, name: str) -> bool:
    return str(run.id).startswith(name.lower()) or run.name == name


async def _gate(client: PrefectClient, run: FlowRun) -> Gate | None:
    state = run.state
    if state is None or state.type is not StateType.PAUSED or state.state_details.run_input_keyset is None:
        return None
    _, place, moment, *_ = (state.state_details.pause_key or "").split("-")
    try:
        schema = json.loads(await client.read_flow_run_input(run.id, state.state_details.run_input_keyset["schema"]))
    except ObjectNotFound:
        return None  # suspended this very moment: the form is about to be stored
    return Gate(
        run=run.id,
        run_name=run.name,
        plan=schema["properties"]["plan"]["examples"][0],
        stage=int(place),
        moment="after" if moment == "after" else "before",
        asked=state.state_details.pause_key or "",
    )
