"""`aks-entra sign`: sign an approval at Microsoft Entra ID, for a gate whose fleet file names approvers."""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.decision import Reason, Ticket
from aks_entra.cli.deferred import prefect_client, wiring
from aks_entra.cli.shown import show_plan
from aks_entra.core.durations import stamp
from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.signed_approval import Asked, Statement, count
from aks_entra.errors import Refused
from aks_entra.ports.approvals import Browser
from aks_entra.settings import Settings

if TYPE_CHECKING:
    from aks_entra.core.planning import gates as core_gates
    from aks_entra.core.planning.approvers import Approvers
    from aks_entra.core.planning.plan import FleetPlan
    from aks_entra.core.planning.signed_approval import Signature, SignedApproval, SignIn
    from aks_entra.ports.approvals import Approvals
    from aks_entra.prefect_client import Gate

NoBrowser = Annotated[
    bool,
    typer.Option("--no-browser", help="Sign in with a browser on another machine: paste the address at which it ends."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sign)


def sign(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help="The beginning of a waiting run's id, or its name.", show_default=False),
    ],
    *,
    reason: Reason,
    ticket: Ticket = "",
    no_browser: NoBrowser = False,
) -> None:
    """Show the plans, sign their approvals at Microsoft Entra ID, and print the approval codes.

    One sign-in signs the approvals of all runs that are named. Type each code in the form of its run.
    """
    output.run(_sign(runs, reason, ticket, no_browser=no_browser))


async def _sign(runs: list[str], reason: str, ticket: str, *, no_browser: bool) -> None:
    await prefect_client.require_server()
    wanted = []
    for run in runs:
        gate = await prefect_client.gate_waiting(run)
        found = await to_sign(gate)
        if found is None:
            raise Refused(
                f"the approval of run {gate.run_name} is not signed: its fleet file names no `approvers`",
                remedy=f"aks-entra approve {str(gate.run)[:8]} --plan {prefect_client.short(gate.plan)} --reason …",
            )
        wanted.append(found)
    for one in await sign_all(tuple(wanted), reason, ticket, no_browser=no_browser):
        output.emit_lines(f"{one.code}  run {str(one.gate.run)[:8]} · {one.gate.page}")
        if one.missing:
            output.say(f"  {one.missing} so far: another person signs it too", style="warning")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToSign:
    """A gate whose approval has to be signed, and the plan that it asks about."""

    gate: Gate
    plan: FleetPlan
    conditions: core_gates.Gate
    approvers: Approvers


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed approval that is stored: its code, who signed, and which signatures are still missing (empty: none)."""

    gate: Gate
    code: str
    name: str
    missing: str


async def to_sign(gate: Gate) -> ToSign | None:
    """Return the gate with its plan, or None if a typed name is enough there."""
    plan = await prefect_client.frozen_plan(gate.run)
    if plan is None or plan.digest != gate.plan:  # a request for access, or a Conditional Access policy
        return None
    conditions = plan.stages[gate.stage].gate(gate.moment)
    if conditions is None or conditions.approvers is None:
        return None
    return ToSign(gate=gate, plan=plan, conditions=conditions, approvers=conditions.approvers)


async def sign_all(wanted: tuple[ToSign, ...], reason: str, ticket: str, *, no_browser: bool) -> tuple[Signed, ...]:
    """Show each plan, let a person sign in once, and store what was signed. Refused if it would not count."""
    first = wanted[0].approvers
    for one in wanted:
        if (one.approvers.tenant_id, one.approvers.client_id) != (first.tenant_id, first.client_id):
            raise Refused("these runs have approvers of different applications", remedy="sign each run alone")
        if one.plan.ticket_required and not ticket:
            raise Refused(f"run {one.gate.run_name} needs a change ticket", remedy="add --ticket ID")
        show_plan(one.plan)
        stage = one.plan.stages[one.gate.stage].name
        output.say(f"You approve: {one.gate.moment} stage {stage}, run {one.gate.run_name}", style="warning")
    statements = tuple(_statement(one, reason, ticket) for one in wanted)
    browser = Browser(tell=output.say, open=webbrowser.open, pasted=_paste if no_browser else None)
    async with wiring.open_session(Settings()) as session:
        port = session.ports.approvals
        assert port is not None  # noqa: S101 - a session on the real services has every port
        signed = await port.sign(statements, first, browser)
        return tuple([await _stored(port, one, made) for one, made in zip(wanted, signed, strict=True)])


async def _stored(port: Approvals, one: ToSign, signed: SignedApproval) -> Signed:
    """Store a signed approval if it counts, and say what is missing."""

    async def read(several: tuple[SignedApproval, ...], approvers: Approvers) -> tuple[Signature, ...]:
        # the worker asks Graph about a person with too many groups; this machine may have no right to
        found = await port.read(several, approvers)
        return tuple(replace(each, member=True) if each.member is None else each for each in found)

    said, now = signed.statement, wiring.SystemClock().now()
    asked = Approval(
        plan=said.plan,
        facts=said.facts,
        stage=said.stage,
        moment=said.side,
        run=said.run,
        decision="approve",
        approver="",
        reason=said.reason,
    )
    requester = await prefect_client.requester_of(one.gate.run)
    own = count(one.conditions, Asked.of(asked, requester), await read((signed,), one.approvers), at=[now])
    if not own.people:
        raise Refused(
            f"this signature would not count: {own.refused[0]}", remedy=f"the gate waits for {one.approvers.words}"
        )
    await prefect_client.store_signed(signed)
    found = await prefect_client.count_stored(read, one.conditions, one.approvers, asked, at=[now])
    return Signed(gate=one.gate, code=signed.code, name=_name(own.people[0]), missing=found.missing)


def _name(person: SignIn) -> str:
    return person.name or person.object_id


def _statement(one: ToSign, reason: str, ticket: str) -> Statement:
    return Statement(
        decision="approve",
        plan=one.plan.digest,
        facts=one.plan.facts_digest,
        stage=one.plan.stages[one.gate.stage].name,
        side=one.gate.moment,
        run=str(one.gate.run),
        reason=reason,
        ticket=ticket,
        at=stamp(wiring.SystemClock().now()),
    )


def _paste() -> str:
    return str(typer.prompt("address", err=True))
