"""`aks-entra sign`: sign an approval at Microsoft Entra ID, for a gate whose fleet file names approvers."""

from __future__ import annotations

import asyncio
import webbrowser
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.access.approvers import sign_in_application
from aks_entra.cli import output
from aks_entra.cli.decision import Reason, Ticket
from aks_entra.cli.deferred import prefect_client, wiring
from aks_entra.cli.each_gate import exit_if_refused, for_each
from aks_entra.cli.shown import show_plan
from aks_entra.core.durations import stamp
from aks_entra.core.planning.signed_approval import Asked, Statement, count
from aks_entra.core.planning.signed_request import SignedRequest
from aks_entra.core.planning.voluntary import voluntary_gate
from aks_entra.errors import Refused
from aks_entra.ports.approvals import Browser
from aks_entra.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from datetime import datetime
    from uuid import UUID

    from aks_entra.core.planning import gates as core_gates
    from aks_entra.core.planning.approvers import Approvers
    from aks_entra.core.planning.plan import FleetPlan
    from aks_entra.core.planning.signed_approval import Signature, SignedApproval, SignIn
    from aks_entra.ports.approvals import Approvals, SigningKey
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
    wanted: dict[UUID, ToSign] = {}
    for run in runs:
        gate = await prefect_client.gate_waiting(run)
        found = await to_sign(gate)
        if found is None:
            raise Refused(
                f"the approval of run {gate.run_name} is not signed: neither its fleet file nor its worker names "
                "approvers",
                remedy=f"aks-entra approve {str(gate.run)[:8]} --plan {prefect_client.short(gate.plan)} --reason …",
            )
        wanted[gate.run] = found
    refused = await sign_all(tuple(wanted.values()), reason, ticket, _say_code, no_browser=no_browser)
    exit_if_refused(refused, of=len(wanted))


async def _say_code(one: Signed) -> None:
    output.emit_lines(f"{one.code}  run {str(one.gate.run)[:8]} · {one.gate.page}")
    if one.missing:
        output.say(f"  {one.missing} so far: another person signs it too", style="warning")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToSign:
    """A gate whose approval has to be signed, the question, and the plan or the request that it asks about."""

    gate: Gate
    asked: Asked
    conditions: core_gates.Gate
    approvers: Approvers
    about: FleetPlan | SignedRequest
    voluntary: bool = False  # the gate accepts an approval without a signature

    def show(self) -> None:
        """Show what is approved."""
        if isinstance(self.about, SignedRequest):
            output.say(*self.about.lines)
            output.say(f"You approve this {self.about.subject}, run {self.gate.run_name}", style="warning")
            return
        show_plan(self.about)
        output.say(
            f"You approve: {self.asked.side} stage {self.asked.stage}, run {self.gate.run_name}", style="warning"
        )

    @property
    def application(self) -> tuple[str, str]:
        """The tenant and the application through which people sign in for it."""
        return self.approvers.tenant_id, self.approvers.client_id

    @property
    def ticket_required(self) -> bool:
        """Whether the approval has to name a change ticket."""
        return not isinstance(self.about, SignedRequest) and self.about.ticket_required


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed approval that is stored: its code, who signed, and which signatures are still missing (empty: none)."""

    gate: Gate
    code: str
    name: str
    missing: str
    voluntary: bool = False


async def to_sign(gate: Gate, *, sign: bool = False) -> ToSign | None:
    """Return the gate with its plan, or None if a typed name is enough there.

    `sign`: the person signs there all the same. Refused if that is not possible.
    """
    if gate.request is not None:
        return _request(gate, gate.request)
    plan = await prefect_client.frozen_plan(gate.run)
    if plan is None or plan.digest != gate.plan:  # a request whose worker takes typed names
        if sign:
            raise Refused(f"run {gate.run_name} waits at no gate of a plan", remedy="leave --sign out")
        return None
    conditions = plan.stages[gate.stage].gate(gate.moment)
    voluntary = sign and conditions is not None and conditions.approvers is None
    if voluntary and conditions is not None:
        conditions = voluntary_gate(conditions, _application())
    if conditions is None or conditions.approvers is None:
        return None
    asked = Asked(
        plan=plan.digest,
        facts=plan.facts_digest,
        stage=plan.stages[gate.stage].name,
        side=gate.moment,
        run=str(gate.run),
        requester=await prefect_client.requester_of(gate.run),
    )
    return ToSign(
        gate=gate,
        asked=asked,
        conditions=conditions,
        approvers=conditions.approvers,
        about=plan,
        voluntary=voluntary,
    )


def _application() -> Approvers:
    """Return the application through which the person signs in voluntarily."""
    found = sign_in_application(Settings())
    if found is None:
        raise Refused(
            "nobody has to sign here, and no application for it is known",
            remedy="set AKS_ENTRA_SIGN_IN_APPLICATION=TENANT/CLIENT here and for the workers: "
            "`aks-entra approvals setup`",
        )
    return found


def _request(gate: Gate, request: SignedRequest) -> ToSign:
    """Return a gate that asks about a request. Refused unless the request is what the gate's digest names."""
    if request.digest != gate.plan or not request.lines:
        raise Refused(
            f"run {gate.run_name} shows another request than it asks about",
            remedy="do not approve it; find out who changed the run's form",
        )
    asked = request.asked(str(gate.run))
    return ToSign(gate=gate, asked=asked, conditions=request.gate, approvers=request.approvers, about=request)


def by_application(wanted: Iterable[ToSign]) -> tuple[tuple[ToSign, ...], ...]:
    """Return what one sign-in can sign together: the gates whose approvers have the same application."""
    found: dict[tuple[str, str], list[ToSign]] = {}
    for one in wanted:
        found.setdefault(one.application, []).append(one)
    return tuple(map(tuple, found.values()))


async def sign_all(
    wanted: tuple[ToSign, ...],
    reason: str,
    ticket: str,
    answer: Callable[[Signed], Awaitable[None]],
    *,
    no_browser: bool,
    shown: bool = False,
) -> int:
    """Show each plan, let a person sign in once, store each signature that counts, and call `answer` with it.

    Return for how many gates it would not count, or was refused. `shown`: whether the person has seen and confirmed
    each plan already.
    """
    first = wanted[0].approvers
    if len(by_application(wanted)) > 1:
        raise Refused("these runs have approvers of different applications", remedy="sign each run alone")
    for one in wanted:
        need_ticket(one, ticket)
        if not shown:
            one.show()
    statements = tuple(stated(one.asked, reason, ticket) for one in wanted)
    async with approvals_port() as port:
        key = await signed_in(port, statements[0], first, browser_here(no_browser=no_browser))

        async def signed(one: ToSign, said: Statement) -> None:
            await answer(await stored(port, one, key.sign(said)))

        pairs = zip(wanted, statements, strict=True)
        return await for_each([(one.gate, partial(signed, one, said)) for one, said in pairs])


async def signed_in(
    port: Approvals, first: Statement, approvers: Approvers, browser: Browser, *, until: datetime | None = None
) -> SigningKey:
    """Let a person sign in, as `Approvals.sign_in` does. If the command ends meanwhile, say that nothing was signed."""
    try:
        return await port.sign_in(first, approvers, browser, until=until)
    except asyncio.CancelledError:
        output.say("", "nobody signed in: nothing was signed")
        raise


@asynccontextmanager
async def approvals_port() -> AsyncIterator[Approvals]:
    """Open a session, for its calls for signed approvals."""
    async with wiring.open_session(Settings()) as session:
        port = session.ports.approvals
        assert port is not None  # noqa: S101 - a session on the real services has every port
        yield port


def need_ticket(one: ToSign, ticket: str) -> None:
    """Raise Refused if an approval has to name a change ticket, and does not."""
    if one.ticket_required and not ticket:
        raise Refused(f"run {one.gate.run_name} needs a change ticket", remedy="add --ticket ID")


async def stored(port: Approvals, one: ToSign, signed: SignedApproval) -> Signed:
    """Store a signed approval if it counts, and say what is missing."""

    async def read(several: tuple[SignedApproval, ...], approvers: Approvers) -> tuple[Signature, ...]:
        found = await _readable(port, several, approvers)
        return tuple(replace(each, member=True) for each in found) if one.voluntary else found

    now = wiring.SystemClock().now()
    own = count(one.conditions, one.asked, await read((signed,), one.approvers), at=[now])
    if not own.people:
        raise Refused(
            f"this signature would not count: {own.refused[0]}", remedy=f"at this gate, {one.approvers.words}"
        )
    await prefect_client.store_signed(signed)
    found = await prefect_client.count_stored(read, one.conditions, one.asked, at=[now])
    return Signed(
        gate=one.gate,
        code=signed.code,
        name=_name(own.people[0]),
        missing=found.missing,
        voluntary=one.voluntary,
    )


async def sign_request(
    port: Approvals, request: SignedRequest, reason: str, ticket: str, browser: Browser
) -> tuple[SignedApproval, SignIn]:
    """Let a person sign a request that asks in no run. Refused if the signature would not count."""
    now = wiring.SystemClock().now()
    said = stated(request.asked(""), reason, ticket)
    signed = (await signed_in(port, said, request.approvers, browser)).sign(said)
    own = count(request.gate, request.asked(""), await _readable(port, (signed,), request.approvers), at=[now])
    if not own.people:
        raise Refused(f"this signature would not count: {own.refused[0]}", remedy=request.approvers.words)
    return signed, own.people[0]


def browser_here(*, no_browser: bool) -> Browser:
    """Return how the person at this terminal signs in."""
    return Browser(tell=output.say, open=webbrowser.open, pasted=_paste if no_browser else None)


async def _readable(
    port: Approvals, several: tuple[SignedApproval, ...], approvers: Approvers
) -> tuple[Signature, ...]:
    """Check signatures. Whoever acts on them asks Graph about a person with too many groups: here that may fail."""
    found = await port.read(several, approvers)
    return tuple(replace(each, member=True) if each.member is None else each for each in found)


def _name(person: SignIn) -> str:
    return person.name or person.object_id


def stated(asked: Asked, reason: str, ticket: str) -> Statement:
    """Return what a person approves now."""
    return Statement(
        decision="approve",
        plan=asked.plan,
        facts=asked.facts,
        stage=asked.stage,
        side=asked.side,
        run=asked.run,
        subject=asked.subject,
        reason=reason,
        ticket=ticket,
        at=stamp(wiring.SystemClock().now()),
    )


def _paste() -> str:
    try:
        return str(typer.prompt("address", err=True))
    except typer.Abort:
        raise Refused("no address was pasted: nothing was signed", remedy="type the command again") from None
