"""`aks-entra approve`: decide at gates, signed at Microsoft Entra ID where approvers are named, or else by a claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.decision import Approver, Ticket, signed_in
from aks_entra.cli.deferred import prefect_client
from aks_entra.cli.shown import show_plan
from aks_entra.cli.signing import NoBrowser, by_application, sign_all, to_sign
from aks_entra.errors import Refused
from aks_entra.text.safe import for_terminal

if TYPE_CHECKING:
    from aks_entra.cli.signing import Signed, ToSign
    from aks_entra.prefect_client import Gate


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(approve)


def approve(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="The beginning of the waiting run's id, or its name.", show_default=False),
    ] = None,
    *,
    plan: Annotated[
        str,
        typer.Option(
            "--plan",
            metavar="DIGEST",
            help="The digest of the plan, or at least its first six digits. Without it, you confirm each plan.",
            show_default=False,
        ),
    ] = "",
    reason: Annotated[
        str, typer.Option("--reason", callback=output.typed, metavar="TEXT", help="Give the reason. It is recorded.")
    ],
    ticket: Ticket = "",
    approver: Approver = None,
    reject: Annotated[
        bool, typer.Option("--reject", help="Reject the plan: this stage and all later stages are skipped.")
    ] = False,
    all_waiting: Annotated[
        bool, typer.Option("--all-waiting", help="Ask about every run that waits for an approval.")
    ] = False,
    no_browser: NoBrowser = False,
) -> None:
    """Approve or reject a plan at a gate. The decision applies to exactly this plan.

    With several runs, or --all-waiting, the command shows each plan and asks about it. If the fleet file or the worker
    names approvers, you sign the approvals at Microsoft Entra ID: one sign-in signs all that you confirmed.
    """
    named = runs or []
    with output.guarded():
        if bool(named) == all_waiting:
            output.usage("neither or both of RUN and --all-waiting were given", remedy="name the runs, or all of them")
        if plan and len(named) != 1:
            output.usage("--plan names the plan of one run", remedy="name one RUN, or leave --plan out")
        if reject and not plan:
            output.usage("a rejection names its plan", remedy="name one RUN, and its plan with --plan DIGEST")
    if not plan:
        output.run(
            approve_several(
                named,
                reason=reason,
                ticket=ticket,
                approver=approver,
                all_waiting=all_waiting,
                no_browser=no_browser,
            )
        )
        return
    output.run(
        decide_at_gate(
            named[0], plan, reason=reason, ticket=ticket, approver=approver, reject=reject, no_browser=no_browser
        )
    )


async def decide_at_gate(
    run: str,
    plan: str,
    *,
    reason: str,
    approver: str | None,
    reject: bool,
    ticket: str = "",
    no_browser: bool = False,
) -> None:
    """Answer the gate of a waiting run, signed if its fleet file says so, or else in the name of `approver`.

    Default of `approver`: the identity that is signed in.
    """
    await prefect_client.require_server()
    await _decide(
        await prefect_client.gate_named(run, plan), reason, ticket, approver, reject=reject, no_browser=no_browser
    )


async def _decide(
    gate: Gate, reason: str, ticket: str, approver: str | None, *, reject: bool, no_browser: bool
) -> None:
    signing = await to_sign(gate)
    if signing is not None and not reject:
        _no_claim(approver)
        (signed,) = await sign_all((signing,), reason, ticket, no_browser=no_browser)
        await _answer_signed(signed, reason, ticket)
        return
    name = approver or await signed_in()
    await prefect_client.decide(
        str(gate.run),
        gate.plan,
        decision="reject" if reject else "approve",
        approver=name,
        reason=reason,
        ticket=ticket,
        code="none" if signing else "",
    )
    _say("rejected" if reject else "approved", f"{name}, a claim", reason, ticket)
    output.say(f"  {gate.page}")


async def _answer_signed(signed: Signed, reason: str, ticket: str) -> None:
    """Answer a gate with a signed approval, or say who else has to sign."""
    gate = signed.gate
    if signed.missing:
        _say("signed", signed.name, reason, ticket, f": {signed.missing} so far")
        digits = prefect_client.short(gate.plan)
        output.say(f"  another person: aks-entra approve {str(gate.run)[:8]} --plan {digits} --reason …")
        return
    await prefect_client.decide(
        str(gate.run),
        gate.plan,
        decision="approve",
        approver=signed.name,
        reason=reason,
        ticket=ticket,
        code=signed.code,
    )
    _say("approved", f"{signed.name}, signed at Microsoft Entra ID", reason, ticket)
    output.say(f"  {gate.page}")


async def approve_several(
    runs: list[str], *, reason: str, ticket: str, approver: str | None, all_waiting: bool, no_browser: bool
) -> None:
    """Show what each run waits for, ask about each, and approve those that a person confirmed, with one sign-in."""
    await prefect_client.require_server()
    if all_waiting:
        gates = list(await prefect_client.gates())
    else:
        gates = [await prefect_client.gate_waiting(run) for run in runs]
    if not gates:
        output.say("no run waits for an approval")
        return
    if not output.interactive():
        output.usage("each plan is confirmed, but there is no terminal to ask on", remedy="approve one RUN with --plan")
    signed_ones = [(gate, await to_sign(gate)) for gate in gates]
    if any(signing for _, signing in signed_ones):
        _no_claim(approver)
    confirmed = [(gate, signing) for gate, signing in signed_ones if await _confirmed(gate, signing)]
    for gate in [gate for gate, signing in confirmed if signing is None]:
        await _decide(gate, reason, ticket, approver, reject=False, no_browser=no_browser)
    for together in by_application(signing for _, signing in confirmed if signing is not None):
        for signed in await sign_all(together, reason, ticket, no_browser=no_browser, shown=True):
            await _answer_signed(signed, reason, ticket)


async def _confirmed(gate: Gate, signing: ToSign | None) -> bool:
    """Show what a gate asks, and return whether the person approves it. If not, the run goes on waiting."""
    await _show(gate, signing)
    question = f"Approve {prefect_client.short(gate.plan)} for run {for_terminal(gate.run_name)}?"
    return typer.confirm(question, err=True)


async def _show(gate: Gate, signing: ToSign | None) -> None:
    """Show what a gate asks about."""
    if signing is not None:
        signing.show()
        return
    plan = await prefect_client.frozen_plan(gate.run)
    if plan is not None and plan.digest == gate.plan:
        show_plan(plan)
        output.say(f"{gate.moment} stage {plan.stages[gate.stage].name}, run {gate.run_name}", style="warning")
    else:
        output.say(f"run {gate.run_name}: read what it asks on {gate.page}", style="warning")


def _no_claim(approver: str | None) -> None:
    if approver is not None:
        raise Refused("--approver is a claim, and this gate takes signed approvals", remedy="leave it out")


def _say(verb: str, who: str, reason: str, ticket: str, more: str = "") -> None:
    numbered = f", ticket {ticket}" if ticket else ""
    output.say(f"✓ {verb} by {who} ({reason}{numbered}){more}", style="good")
