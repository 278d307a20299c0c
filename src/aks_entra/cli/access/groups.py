"""`aks-entra access create-group | policy | assign | activate | approve | deactivate | prove-end`: PIM for Groups."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from aks_entra.access import membership_end
from aks_entra.access.pim import just_in_time
from aks_entra.cli import cluster_argument, output
from aks_entra.cli.access import sign_in
from aks_entra.cli.deferred import prefect_client, wiring
from aks_entra.cli.gate_answers import decide_at_gate
from aks_entra.cli.plan_input import read_settings
from aks_entra.cli.signing import NoBrowser
from aks_entra.core.access.pim import ActivationPolicy, Kind
from aks_entra.core.durations import iso, moment, span
from aks_entra.errors import Refused
from aks_entra.planning.admin_groups import unique_name as made_from
from aks_entra.report.terminal import table
from aks_entra.typed_text import LONGEST_REASON, words

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime, timedelta

    from aks_entra.access.pim import JustInTime
    from aks_entra.ports.access import PersonSpec

GroupName = Annotated[str, typer.Argument(metavar="GROUP", help="Name or object id of the group.", show_default=False)]
Reason = Annotated[
    str, typer.Option("--reason", callback=output.typed, metavar="TEXT", help="Give the reason. PIM records it.")
]
Duration = Annotated[
    str, typer.Option("--duration", metavar="TIME", help="Give it for this long, as in 45m, 2h or 1d.")
]
MaxDuration = Annotated[
    str, typer.Option("--max-duration", metavar="TIME", help="Limit an activation to this time, as in 8h.")
]
Require = Annotated[
    list[str] | None,
    typer.Option("--require", metavar="WORD", help="Require justification, ticket or mfa. Can be repeated."),
]
Approver = Annotated[
    list[str] | None,
    typer.Option(
        "--approver",
        callback=output.typed,
        metavar="USER|GROUP",
        help="Let this user or group approve activations. Can be repeated.",
    ),
]
_T = TypeVar("_T")
_WORDS = frozenset({"justification", "ticket", "mfa"})


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("create-group")(create_group)
    app.command()(policy)
    app.command()(assign)
    app.command()(activate)
    app.command()(deactivate)
    app.command("prove-end")(prove_end)
    app.command()(approve)


def create_group(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Display name of the group.")],
    *,
    owner: Annotated[
        list[str],
        typer.Option("--owner", metavar="USER", help="Make this user an owner of the group. Can be repeated."),
    ],
    unique_name: Annotated[
        str,
        typer.Option(
            "--unique-name", metavar="KEY", help="Unique name of the group. Default: made from its display name."
        ),
    ] = "",
    description: Annotated[
        str,
        typer.Option("--description", callback=output.typed, metavar="TEXT", help="Describe what the group is for."),
    ] = "",
    max_duration: MaxDuration = "8h",
    require: Require = None,
    approver: Approver = None,
) -> None:
    """Create the group unless it exists under its unique name, and write its activation policy."""
    with output.guarded():
        words = _words(require or ["justification"])
    key = unique_name or f"aks-entra-{made_from(name)}"[:64]

    async def work(pim: JustInTime) -> tuple[str, bool]:
        wanted = await pim.policy_for(_time(max_duration), words, tuple(approver or ()))
        return await pim.create_group(name, key, description, tuple(owner), wanted)

    group_id, created = _run(work)
    output.say(f"✓ {'created' if created else 'exists already'}: {name}", style="good")
    output.emit_lines(group_id)


def policy(
    group: GroupName,
    *,
    max_duration: MaxDuration = "",
    require: Require = None,
    approver: Approver = None,
) -> None:
    """Show what an activation of the group requires; with options, set it."""
    change = bool(max_duration or require or approver)
    with output.guarded():
        words = _words(require or [])

    async def work(pim: JustInTime) -> ActivationPolicy | None:
        group_id = (await pim.ports.directory.principal(group)).id
        if change:
            wanted = await pim.policy_for(_time(max_duration or "8h"), words, tuple(approver or ()))
            await pim.set_policy(group_id, wanted)
        return await pim.access.pim.policy(group_id)

    found = _run(work)
    if found is None:
        output.emit_lines("no policy: the group is not managed by PIM yet")
        return
    asks = ", ".join(found.enabled_rules) or "nothing"
    approved = ", ".join((*found.approvers, *found.approver_groups)) or "nobody"
    output.emit_lines(f"maximum {iso(found.max_duration)} · asks for {asks} · approved by {approved}")


def assign(
    group: GroupName,
    *,
    to: Annotated[str, typer.Option("--to", metavar="USER", help="Make this user a member.")],
    reason: Reason,
    kind: Annotated[
        Kind,
        typer.Option("--kind", help="Make the membership eligible, to be activated when needed, or active at once."),
    ] = Kind.ELIGIBLE,
    duration: Duration = "180d",
    start: Annotated[
        str,
        typer.Option(
            "--start",
            metavar="WHEN",
            help="Begin at this time, as in 2026-12-01T08:00:00Z. Default: now.",
            show_default=False,
        ),
    ] = "",
    ticket: Annotated[
        str,
        typer.Option(
            "--ticket", callback=output.typed, metavar="ID", help="Give the number of a ticket. PIM records it."
        ),
    ] = "",
) -> None:
    """Make a user an eligible or active member for a time. Microsoft Entra ID ends the membership."""
    with output.guarded():
        begins = _begins(start)

    async def work(pim: JustInTime) -> str:
        made = await pim.assign(group, to, kind, _time(duration), reason, ticket, start=begins)
        return f"{made.status} {made.id}"

    output.emit_lines(_run(work))


def activate(
    group: GroupName,
    *,
    reason: Reason,
    duration: Duration = "1h",
    ticket: Annotated[
        str,
        typer.Option(
            "--ticket", callback=output.typed, metavar="ID", help="Give the number of a ticket. PIM records it."
        ),
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the approval.")] = False,
    client_id: sign_in.ClientId = "",
    tenant_id: sign_in.TenantId = "",
    login: sign_in.Login = sign_in.Way.DEVICE_CODE,
) -> None:
    """Activate a membership that you are eligible for. A policy may require an approval.

    The identity needs PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup, which the Azure CLI's own token never has:
    name a public client that was consented to it (--client-id), or activate in the Entra admin center.
    """

    async def work(pim: JustInTime) -> tuple[str, bool]:
        made = await pim.activate(group, _time(duration), reason, ticket)
        if made.waits and wait:
            output.say(f"{made.status} {made.id}: waiting for an approval", style="warning")
            made = await pim.decided(made)
        return f"{made.status} {made.id}", made.waits

    said, waits = _run(work, sign_in.person(client_id, tenant_id, login))
    output.emit_lines(said)
    if waits:
        output.say("  it waits for an approval: aks-entra access approve --list", style="warning")
    else:
        output.say("  sign in again to get a token with the group: kubelogin remove-tokens")


def deactivate(
    group: GroupName,
    *,
    user: Annotated[
        str, typer.Option("--user", metavar="USER", help="End the membership of this user. Default: your own.")
    ] = "",
    kind: Annotated[Kind, typer.Option("--kind", help="End the eligible or the active membership.")] = Kind.ACTIVE,
    reason: Reason = "",
    client_id: sign_in.ClientId = "",
    tenant_id: sign_in.TenantId = "",
    login: sign_in.Login = sign_in.Way.DEVICE_CODE,
) -> None:
    """End a membership early, prove that it is gone, and say when the last tokens expire."""

    async def work(pim: JustInTime) -> str:
        return await pim.end(group, user, kind, reason or "ended with aks-entra access deactivate")

    output.emit_lines(_run(work, sign_in.person(client_id, tenant_id, login)))


def prove_end(
    group: GroupName,
    *,
    user: Annotated[str, typer.Option("--user", metavar="USER", help="Prove it for this user.")],
    cluster: Annotated[
        list[str] | None,
        typer.Option(
            "--cluster",
            metavar="CLUSTER",
            help="Also ask this cluster's API server about a new token. Can be repeated.",
        ),
    ] = None,
    subscription: output.Subscription = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Prove that an active membership is over, that a new token is refused, and say when the last tokens expire.

    The exit code is 1 if the membership is still active, or if a cluster accepts a new token.
    """

    async def work(pim: JustInTime) -> membership_end.EndProof:
        named = [await cluster_argument.found(pim.ports.arm, one, subscription) for one in cluster or ()]
        return await membership_end.prove_end(pim, group, user, tuple(named))

    found = _run(work)
    if format_ is output.Format.JSON:
        output.emit_json({"kind": "aks-entra/end", **asdict(found), "refused": found.refused})
    else:
        for one in found.clusters:
            text = f"✗ {one.cluster} still allows {one.still_allowed}" if one.still_allowed else f"✓ {one.proof}"
            output.emit_lines(text)
        output.emit_lines(f"✓ {found.membership}", *(f"· {one}" for one in found.tokens))
    if not found.refused:
        raise typer.Exit(output.ExitCode.FAILED)


def approve(
    request: Annotated[
        str, typer.Argument(metavar="REQUEST", help="The approval id in PIM, or the id of a waiting run.")
    ] = "",
    *,
    listed: Annotated[bool, typer.Option("--list", help="List the requests that wait for you.")] = False,
    digest: Annotated[
        str, typer.Option("--request", metavar="DIGEST", help="Digest of the request. It is needed to decide on a run.")
    ] = "",
    reason: Reason = "",
    reject: Annotated[bool, typer.Option("--reject", help="Deny the request.")] = False,
    no_browser: NoBrowser = False,
    client_id: sign_in.ClientId = "",
    tenant_id: sign_in.TenantId = "",
    login: sign_in.Login = sign_in.Way.DEVICE_CODE,
) -> None:
    """Decide on a request: an activation in PIM by its approval id, or a run that waits by the digest of its request.

    If the worker names approvers, the command shows the request, and you sign the approval at Microsoft Entra ID.
    """
    person = sign_in.person(client_id, tenant_id, login)
    if listed or not request:
        _run(_show_waiting, person)
        return
    with output.guarded():
        if not reason.strip():
            output.usage("a decision needs a reason", remedy="add --reason …")
        if digest:
            words("--reason", reason, LONGEST_REASON)
    if digest:
        output.run(decide_at_gate(request, digest, reason=reason, approver=None, reject=reject, no_browser=no_browser))
        return

    async def work(pim: JustInTime) -> None:
        await pim.access.pim.decide(request, approve=not reject, reason=reason)

    _run(work, person)
    output.say(f"✓ {'denied' if reject else 'approved'}", style="good")


def show_members(group: str, format_: output.Format) -> None:
    """Print who is an eligible and who is an active member of a group."""
    found = _run(lambda pim: pim.members(group))
    rows = [
        {
            "who": who.called if who else one.principal_id,
            "principal": one.principal_id,
            "kind": one.kind.value,
            "activated": one.activated,
            "from": one.begins,
            "until": one.ends,
        }
        for one, who in found
    ]
    if format_ is output.Format.JSON:
        output.emit_json({"kind": "aks-entra/members", "members": rows})
        return
    columns = ("who", "kind", "from", "until")
    output.emit(table(tuple(one.upper() for one in columns), [tuple(str(it[one]) for one in columns) for it in rows]))


async def _show_waiting(pim: JustInTime) -> None:
    lines: list[str] = []
    if os.environ.get("PREFECT_API_URL"):
        lines += [
            f"run {str(gate.run)[:8]} {gate.run_name} · --request {prefect_client.short(gate.plan)} · {gate.page}"
            for gate in await prefect_client.gates()
        ]
    try:
        lines += [
            f"{one.approval_id} {one.principal_id} in group {one.group_id}: {one.justification}"
            for one in await pim.access.pim.waiting()
        ]
    except Refused as refused:
        output.say(*f"the requests in PIM cannot be read: {refused}".split("\n"), style="warning")
    output.emit_lines(*(lines or ["nothing waits for you"]))


def _run(work: Callable[[JustInTime], Coroutine[Any, Any, _T]], person: PersonSpec | None = None) -> _T:
    async def inside() -> _T:
        async with wiring.open_session(read_settings(), person=person) as session:
            return await work(just_in_time(session.ports, session.access, session.settings))

    return output.run(inside())


def _time(text: str) -> timedelta:
    try:
        return span(text)
    except ValueError:
        raise Refused(f"{text}: not a duration", remedy="write 45m, 2h, 1d or PT8H") from None


def _begins(text: str) -> datetime | None:
    try:
        return moment(text) if text else None
    except ValueError:
        output.usage(f"--start {text}: not a time with an offset", remedy="write 2026-12-01T08:00:00Z")


def _words(given: list[str]) -> frozenset[str]:
    if unknown := sorted(set(given) - _WORDS):
        output.usage(f"--require {', '.join(unknown)}: not known", remedy=f"use {', '.join(sorted(_WORDS))}")
    return frozenset(given)
