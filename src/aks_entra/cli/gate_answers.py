"""Shows what a gate asks, asks the person at the terminal, and answers the gate."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from aks_entra.cli import output
from aks_entra.cli.decision import signed_in
from aks_entra.cli.deferred import prefect_client
from aks_entra.cli.each_gate import exit_if_refused
from aks_entra.cli.shown import show_plan
from aks_entra.cli.signing import sign_all, to_sign
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from aks_entra.cli.signing import Signed, ToSign
    from aks_entra.prefect_client import Gate


async def decide_at_gate(
    run: str,
    plan: str,
    *,
    reason: str,
    approver: str | None,
    reject: bool,
    ticket: str = "",
    no_browser: bool = False,
    sign: bool = False,
) -> None:
    """Answer the gate of a waiting run, signed if its fleet file says so, or else in the name of `approver`.

    Default of `approver`: the identity that is signed in.
    """
    await prefect_client.require_server()
    await decide(
        await prefect_client.gate_named(run, plan),
        reason,
        ticket,
        approver,
        reject=reject,
        no_browser=no_browser,
        sign=sign,
    )


async def decide(
    gate: Gate, reason: str, ticket: str, approver: str | None, *, reject: bool, no_browser: bool, sign: bool
) -> None:
    """Answer a gate, signed if it has approvers, or with `sign`."""
    signing = await to_sign(gate, sign=sign)
    if signing is not None and not reject:
        no_claim(approver)
        answer = partial(answer_signed, reason=reason, ticket=ticket)
        exit_if_refused(await sign_all((signing,), reason, ticket, answer, no_browser=no_browser), of=1)
        return
    await claim(gate, reason, ticket, approver, reject=reject, code="none" if signing else "")


async def claim(
    gate: Gate, reason: str, ticket: str, approver: str | None, *, reject: bool = False, code: str = ""
) -> None:
    """Answer a gate with a typed name. Default of `approver`: the identity that is signed in."""
    name = approver or await signed_in()
    await prefect_client.decide(
        str(gate.run),
        gate.plan,
        decision="reject" if reject else "approve",
        approver=name,
        reason=reason,
        ticket=ticket,
        code=code,
    )
    _say("rejected" if reject else "approved", f"{name}, a claim", reason, ticket)
    output.say(f"  {gate.page}")


async def answer_signed(signed: Signed, reason: str, ticket: str) -> None:
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
        code="" if signed.voluntary else signed.code,  # the form of a gate without approvers has no such field
    )
    _say("approved", f"{signed.name}, signed at Microsoft Entra ID", reason, ticket)
    output.say(f"  {gate.page}")


async def confirmed(gate: Gate, signing: ToSign | None, *, unanswered: str) -> bool:
    """Show what a gate asks, and return whether the person approves it. If not, the run goes on waiting.

    `unanswered` is said if the command ends during the question.
    """
    await _show(gate, signing)
    question = f"Approve {prefect_client.short(gate.plan)} for run {gate.run_name}?"
    return await output.asked(question, unanswered=unanswered)


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


def need_terminal() -> None:
    """Exit if nobody can be asked."""
    if not output.interactive():
        output.usage("each plan is confirmed, but there is no terminal to ask on", remedy="approve one RUN with --plan")


def no_claim(approver: str | None) -> None:
    """Raise Refused for a name that was typed where a signature is needed."""
    if approver is not None:
        raise Refused("--approver is a claim, and this gate takes signed approvals", remedy="leave it out")


def _say(verb: str, who: str, reason: str, ticket: str, more: str = "") -> None:
    numbered = f", ticket {ticket}" if ticket else ""
    output.say(f"✓ {verb} by {who} ({reason}{numbered}){more}", style="good")
