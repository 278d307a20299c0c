"""`aks-entra approve`: decide at gates, signed at Microsoft Entra ID where approvers are named, or else by a claim."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.cli import output
from aks_entra.cli.decision import Approver, Reason, Ticket
from aks_entra.cli.deferred import prefect_client
from aks_entra.cli.each_gate import exit_if_refused, for_each
from aks_entra.cli.gate_answers import answer_signed, claim, confirmed, decide_at_gate, need_terminal, no_claim
from aks_entra.cli.signing import NoBrowser, by_application, need_ticket, sign_all, to_sign
from aks_entra.cli.watching import LONGEST, watch_gates
from aks_entra.core.durations import span

if TYPE_CHECKING:
    from datetime import timedelta


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
    reason: Reason,
    ticket: Ticket = "",
    approver: Approver = None,
    reject: Annotated[
        bool, typer.Option("--reject", help="Reject the plan: this stage and all later stages are skipped.")
    ] = False,
    all_waiting: Annotated[
        bool, typer.Option("--all-waiting", help="Ask about every run that waits for an approval.")
    ] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="With --all-waiting: stay, and ask about each gate that begins to wait."),
    ] = False,
    duration: Annotated[
        str,
        typer.Option("--duration", metavar="TIME", help="End --watch after this long, as in 45m or 8h; 24h at most."),
    ] = "8h",
    sign: Annotated[bool, typer.Option("--sign", help="Sign the approval although nobody requires it.")] = False,
    no_browser: NoBrowser = False,
) -> None:
    """Approve or reject a plan at a gate. The decision applies to exactly this plan.

    With several runs, or --all-waiting, the command shows each plan and asks about it. If the fleet file or the worker
    names approvers, you sign the approvals at Microsoft Entra ID: one sign-in signs all that you confirmed.
    With --watch it signs the gates of the next hours too, until the duration is over or you press Ctrl-C.
    """
    named = runs or []
    with output.guarded():
        if bool(named) == all_waiting:
            output.usage("neither or both of RUN and --all-waiting were given", remedy="name the runs, or all of them")
        if plan and len(named) != 1:
            output.usage("--plan names the plan of one run", remedy="name one RUN, or leave --plan out")
        if reject and not plan:
            output.usage("a rejection names its plan", remedy="name one RUN, and its plan with --plan DIGEST")
        if reject and sign:
            output.usage("a rejection is not signed", remedy="leave --sign out")
        if watch and not all_waiting:
            output.usage("--watch asks about every run", remedy="add --all-waiting, and name no RUN")
        lasting = _lasting(duration)
    if watch:
        output.run(
            watch_gates(
                reason=reason, ticket=ticket, approver=approver, no_browser=no_browser, sign=sign, lasting=lasting
            )
        )
        return
    if not plan:
        output.run(
            approve_several(
                named,
                reason=reason,
                ticket=ticket,
                approver=approver,
                all_waiting=all_waiting,
                no_browser=no_browser,
                sign=sign,
            )
        )
        return
    output.run(
        decide_at_gate(
            named[0],
            plan,
            reason=reason,
            ticket=ticket,
            approver=approver,
            reject=reject,
            no_browser=no_browser,
            sign=sign,
        )
    )


def _lasting(duration: str) -> timedelta:
    try:
        found = span(duration)
    except ValueError:
        found = None
    if found is None or found > LONGEST:
        output.usage(f"--duration {duration} is no time up to 24h", remedy="write 45m, 8h or 1d")
    return found


async def approve_several(
    runs: list[str], *, reason: str, ticket: str, approver: str | None, all_waiting: bool, no_browser: bool, sign: bool
) -> None:
    """Show what each run waits for, ask about each, and approve those that a person confirmed, with one sign-in."""
    await prefect_client.require_server()
    if all_waiting:
        gates = list(await prefect_client.gates())
    else:
        named = [await prefect_client.gate_waiting(run) for run in runs]
        gates = list({gate.run: gate for gate in named}.values())
    if not gates:
        output.say("no run waits for an approval")
        return
    need_terminal()
    signed_ones = [(gate, await to_sign(gate, sign=sign)) for gate in gates]
    if any(signing for _, signing in signed_ones):
        no_claim(approver)
    for _, signing in signed_ones:
        if signing is not None:
            need_ticket(signing, ticket)
    unanswered = "nothing was approved: every run goes on waiting"
    agreed = [one for one in signed_ones if await confirmed(*one, unanswered=unanswered)]
    signed = [signing for _, signing in agreed if signing is not None]
    claims = [gate for gate, signing in agreed if signing is None]
    refused = await for_each([(gate, partial(claim, gate, reason, ticket, approver)) for gate in claims])
    for together in by_application(signed):
        answer = partial(answer_signed, reason=reason, ticket=ticket)
        refused += await sign_all(together, reason, ticket, answer, no_browser=no_browser, shown=True)
    exit_if_refused(refused, of=len(agreed))
