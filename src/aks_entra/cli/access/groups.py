"""`aks-entra access create-group | policy | assign | activate | approve | deactivate | prove-end`: PIM for Groups."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from aks_entra.cli import clusters, output
from aks_entra.cli.access import sign_in
from aks_entra.cli.planning import read_settings
from aks_entra.core.durations import iso, moment, span
from aks_entra.core.pim import ActivationPolicy, Kind
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime, timedelta

    from aks_entra.access_ports import PersonSpec
    from aks_entra.just_in_time import JustInTime

GroupName = Annotated[str, typer.Argument(metavar="GROUP", help="Name or object id.", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why: it stands in PIM's log.")]
For = Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 45m, 2h, 1d.")]
MaxDuration = Annotated[str, typer.Option("--max-duration", metavar="TIME", help="Longest activation.")]
Require = Annotated[
    list[str] | None,
    typer.Option("--require", metavar="WORD", help="justification, ticket, mfa; several by repeating it."),
]
Approver = Annotated[
    list[str] | None, typer.Option("--approver", metavar="USER|GROUP", help="Who approves activations; repeatable.")
]
_T = TypeVar("_T")
_WORDS = frozenset({"justification", "ticket", "mfa"})


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("create-group", short_help="A role-assignable group for just-in-time access.")(create_group)
    app.command(short_help="Show, or set, what an activation takes.")(policy)
    app.command(short_help="Make somebody an eligible or active member, for a time.")(assign)
    app.command(short_help="Activate your own membership.")(activate)
    app.command(short_help="End a membership.")(deactivate)
    app.command("prove-end", short_help="Prove that a membership is over.")(prove_end)
    app.command(short_help="Decide on a request, or show what waits.")(approve)


def create_group(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Display name.")],
    *,
    owner: Annotated[list[str], typer.Option("--owner", metavar="USER", help="Who may change it; repeatable.")],
    unique_name: Annotated[str, typer.Option("--unique-name", metavar="KEY", help="Default: made from the name.")] = "",
    description: Annotated[str, typer.Option("--description", metavar="TEXT", help="What it is for.")] = "",
    max_duration: MaxDuration = "8h",
    require: Require = None,
    approver: Approver = None,
) -> None:
    """Create the group unless it exists under its unique name, and write its activation policy."""
    from aks_entra.wanted import unique_name as made_from  # noqa: PLC0415 - startup is quick without it

    with output.guarded():
        words = _words(require or ["justification"])
    key = unique_name or f"aks-entra-{made_from(name)}"[:64]

    async def work(pim: JustInTime) -> tuple[str, bool]:
        wanted = await pim.policy_for(_time(max_duration), words, tuple(approver or ()))
        return await pim.create_group(name, key, description, tuple(owner), wanted)

    group_id, created = _run(work)
    output.say(f"✓ {'created' if created else 'there already'}: {name}", style="good")
    output.emit_text(group_id)


def policy(
    group: GroupName,
    *,
    max_duration: MaxDuration = "",
    require: Require = None,
    approver: Approver = None,
) -> None:
    """Show what an activation of the group takes; with options, set it."""
    change = bool(max_duration or require or approver)
    with output.guarded():
        words = _words(require or [])

    async def work(pim: JustInTime) -> ActivationPolicy | None:
        group_id = (await pim.access.people.principal(group)).id
        if change:
            wanted = await pim.policy_for(_time(max_duration or "8h"), words, tuple(approver or ()))
            await pim.set_policy(group_id, wanted)
        return await pim.access.pim.policy(group_id)

    found = _run(work)
    if found is None:
        output.emit_text("no policy: the group is not managed by PIM yet")
        return
    asks = ", ".join(found.enabled_rules) or "nothing"
    approved = ", ".join((*found.approvers, *found.approver_groups)) or "nobody"
    output.emit_text(f"maximum {iso(found.max_duration)} · asks for {asks} · approved by {approved}")


def assign(
    group: GroupName,
    *,
    to: Annotated[str, typer.Option("--to", metavar="USER", help="Who becomes a member.")],
    reason: Reason,
    kind: Annotated[Kind, typer.Option("--kind", help="eligible: they activate it; active: at once.")] = Kind.ELIGIBLE,
    for_: For = "180d",
    start: Annotated[
        str, typer.Option("--start", metavar="WHEN", help="2026-12-01T08:00:00Z. Default: now.", show_default=False)
    ] = "",
    ticket: Annotated[str, typer.Option("--ticket", metavar="NUMBER", help="Ticket number.")] = "",
) -> None:
    """Make somebody an eligible or active member with an end, which Azure itself keeps."""
    with output.guarded():
        begins = _begins(start)

    async def work(pim: JustInTime) -> str:
        made = await pim.assign(group, to, kind, _time(for_), reason, ticket, start=begins)
        return f"{made.status} {made.id}"

    output.emit_text(_run(work))


def activate(
    group: GroupName,
    *,
    reason: Reason,
    for_: For = "1h",
    ticket: Annotated[str, typer.Option("--ticket", metavar="NUMBER", help="Ticket number.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the approval, and see that it stands.")] = False,
    client_id: sign_in.ClientId = "",
    tenant_id: sign_in.TenantId = "",
    login: sign_in.Login = sign_in.Way.DEVICE_CODE,
) -> None:
    """Activate the membership that you are eligible for. Only a person can; a policy may ask for an approval.

    The identity needs PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup, which the Azure CLI's own token never has:
    name a public client that was consented to it (--client-id), or activate in the Entra admin center.
    """

    async def work(pim: JustInTime) -> tuple[str, bool]:
        made = await pim.activate(group, _time(for_), reason, ticket)
        if made.waits and wait:
            output.say(f"{made.status} {made.id}: waiting for an approval", style="warning")
            made = await pim.decided(made)
        return f"{made.status} {made.id}", made.waits

    said, waits = _run(work, sign_in.person(client_id, tenant_id, login))
    output.emit_text(said)
    if waits:
        output.say("  it waits for an approval: aks-entra access approve --list", style="warning")
    else:
        output.say("  sign in again, so that a token carries it: kubelogin remove-tokens")


def deactivate(
    group: GroupName,
    *,
    of: Annotated[str, typer.Option("--of", metavar="USER", help="Whose membership. Default: your own.")] = "",
    kind: Annotated[Kind, typer.Option("--kind", help="Which membership.")] = Kind.ACTIVE,
    reason: Reason = "",
    client_id: sign_in.ClientId = "",
    tenant_id: sign_in.TenantId = "",
    login: sign_in.Login = sign_in.Way.DEVICE_CODE,
) -> None:
    """End a membership before its time, prove that it is gone, and say until when old tokens live."""

    async def work(pim: JustInTime) -> str:
        return await pim.end(group, of, kind, reason or "ended with aks-entra access deactivate")

    output.emit_text(_run(work, sign_in.person(client_id, tenant_id, login)))


def prove_end(
    group: GroupName,
    *,
    of: Annotated[str, typer.Option("--of", metavar="USER", help="Whose active membership is over.")],
    cluster: Annotated[
        list[str] | None,
        typer.Option("--cluster", metavar="CLUSTER", help="Also ask its API server about a new token; repeatable."),
    ] = None,
    subscription: output.Subscription = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Prove that an active membership is over: gone, a new token refused, and who holds old ones until when.

    Exit code 1 when it still stands, or a cluster lets a new token in all the same.
    """
    from aks_entra import membership_end  # noqa: PLC0415 - startup is quick without it

    async def work(pim: JustInTime) -> membership_end.EndProof:
        named = [await clusters.found(pim.ports.arm, one, subscription) for one in cluster or ()]
        return await membership_end.prove_end(pim, group, of, tuple(named))

    found = _run(work)
    if format_ is output.Format.JSON:
        output.emit_json({"kind": "aks-entra/end", **asdict(found), "refused": found.refused})
    else:
        for one in found.clusters:
            text = f"✗ {one.cluster} still allows {one.still_allowed}" if one.still_allowed else f"✓ {one.proof}"
            output.emit_text(text)
        output.emit_text("\n".join((f"✓ {found.membership}", *(f"· {one}" for one in found.tokens))))
    if not found.refused:
        raise typer.Exit(output.ExitCode.FAILED)


def approve(
    request: Annotated[str, typer.Argument(metavar="[REQUEST]", help="Approval id of PIM, or a waiting run.")] = "",
    *,
    listed: Annotated[bool, typer.Option("--list", help="Show what waits for you.")] = False,
    digest: Annotated[str, typer.Option("--request", metavar="DIGEST", help="Of a run: the request's digest.")] = "",
    reason: Reason = "",
    reject: Annotated[bool, typer.Option("--reject", help="Deny it.")] = False,
    client_id: sign_in.ClientId = "",
    tenant_id: sign_in.TenantId = "",
    login: sign_in.Login = sign_in.Way.DEVICE_CODE,
) -> None:
    """Decide on a request: an activation in PIM by its approval id, or a run of grant-access by its digest."""
    person = sign_in.person(client_id, tenant_id, login)
    if listed or not request:
        _run(_show_waiting, person)
        return
    with output.guarded():
        if not reason.strip():
            output.usage("a decision needs a reason", remedy="add --reason …")
    if digest:
        from aks_entra.cli.migrate import decide_at_gate  # noqa: PLC0415 - only for runs of Prefect

        output.run(decide_at_gate(request, digest, reason=reason, approver=None, reject=reject))
        return

    async def work(pim: JustInTime) -> None:
        await pim.access.pim.decide(request, approve=not reject, reason=reason)

    _run(work, person)
    output.say(f"✓ {'denied' if reject else 'approved'}", style="good")


def show_members(group: str, format_: output.Format) -> None:
    """Who is eligible and who is active in a group."""
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
    from aks_entra.cli.access.grants import table  # noqa: PLC0415 - only for people

    columns = ("who", "kind", "from", "until")
    output.emit(table(tuple(one.upper() for one in columns), [tuple(str(it[one]) for one in columns) for it in rows]))


async def _show_waiting(pim: JustInTime) -> None:
    import os  # noqa: PLC0415 - only here

    lines: list[str] = []
    if os.environ.get("PREFECT_API_URL"):
        from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import

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
        output.say(f"requests in PIM: {refused}", style="warning")
    output.emit_text("\n".join(lines) or "nothing waits for you")


def _run(work: Callable[[JustInTime], Coroutine[Any, Any, _T]], person: PersonSpec | None = None) -> _T:
    async def inside() -> _T:
        from aks_entra.just_in_time import just_in_time  # noqa: PLC0415 - startup is quick without it
        from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

        async with open_session(read_settings(), person=person) as session:
            return await work(just_in_time(session.ports, session.access, session.settings))

    return output.run(inside())


def _time(text: str) -> timedelta:
    try:
        return span(text)
    except ValueError:
        raise Refused(f"{text}: no span of time", remedy="write 45m, 2h, 1d or PT8H") from None


def _begins(text: str) -> datetime | None:
    try:
        return moment(text) if text else None
    except ValueError:
        output.usage(f"--start {text}: not a moment", remedy="write 2026-12-01T08:00:00Z")


def _words(given: list[str]) -> frozenset[str]:
    if unknown := sorted(set(given) - _WORDS):
        output.usage(f"--require {', '.join(unknown)}: not known", remedy=f"one of {', '.join(sorted(_WORDS))}")
    return frozenset(given)
