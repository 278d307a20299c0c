"""`aks-entra access grant | request | revoke | list | sweep`: give access for a time, end it, and show it."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from aks_entra.access import grant_sweep
from aks_entra.access import grants as granting
from aks_entra.access.grants import granter_of
from aks_entra.cli import cluster_argument, output, overdue_schedules
from aks_entra.cli.access.groups import show_members
from aks_entra.cli.decision import signed_in
from aks_entra.cli.deferred import prefect_client, wiring
from aks_entra.cli.plan_input import read_settings
from aks_entra.core.access.grants import Approval, Ask, Grant, Level, Via
from aks_entra.core.durations import span
from aks_entra.errors import Refused
from aks_entra.report.terminal import table

if TYPE_CHECKING:
    from aks_entra.access.grant_sweep import Swept, Unseen
    from aks_entra.access.grants import Ended, Granter
    from aks_entra.core.cluster import Posture
    from aks_entra.wiring import Session

if TYPE_CHECKING:
    Scope = tuple[tuple[str, ...], tuple[Posture, ...]]
END_ACCESS: Final = "end-access/end-access"
To = Annotated[
    str, typer.Option("--to", metavar="USER|GROUP", help="User principal name, group, application id or object id.")
]
Role = Annotated[Level, typer.Option("--role", help="Role to grant.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", metavar="NAME", help="Limit it to this namespace.")]
Through = Annotated[
    Via | None,
    typer.Option(
        "--via",
        help="Grant through Azure RBAC or Kubernetes RBAC. Default: Azure RBAC if the cluster uses it.",
        show_default=False,
    ),
]
Duration = Annotated[
    str, typer.Option("--duration", metavar="TIME", help="Give it for this long, as in 45m, 2h or 1d.")
]
Reason = Annotated[
    str,
    typer.Option(
        "--reason",
        callback=output.typed,
        metavar="TEXT",
        help="Give the reason, such as a change number. It is recorded.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(grant)
    app.command()(request)
    app.command()(revoke)
    app.command("list")(list_)
    app.command()(sweep)


def grant(
    cluster: cluster_argument.Cluster,
    *,
    to: To,
    role: Role,
    reason: Reason,
    namespace: Namespace = "",
    via: Through = None,
    duration: Duration = "2h",
    permanent: Annotated[bool, typer.Option("--permanent", help="Grant it without an end.")] = False,
    yes: output.Yes = False,
    subscription: output.Subscription = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Give access for a time, and prove that it works. The flow end-access ends it, or `access sweep`."""
    length = None if permanent else _span(duration)

    async def work() -> dict[str, Any]:
        async with wiring.open_session(read_settings()) as session:
            granter = _granter(session)
            ask = await _ask(session, (cluster, subscription), (to, role, namespace, via), length, reason)
            for finding in await granter.preflight(ask):
                output.say(f"{finding.rule} {finding.message}", style="warning")
            await overdue_schedules.warn(END_ACCESS, "End it yourself when its time is over: aks-entra access sweep")
            output.say(str(ask))
            await output.confirm("Grant it?", yes=yes)
            await announce(ask)
            given = await granter.give(ask, Approval(digest=ask.digest, approver=ask.requested_by))
        return {**plain(given.grant), "changed": given.changed, "proof": given.proof}

    shown = output.run(work())
    if format_ is output.Format.JSON:
        output.emit_json({"kind": "aks-entra/grant", **shown})
        return
    output.say(f"✓ {'granted' if shown['changed'] else 'already granted'} until {shown['until']}", style="good")
    output.emit_lines(str(shown["id"]), f"  {shown['proof']}")


async def announce(ask: Ask) -> None:
    """Schedule the end at Prefect's server before the write, if a server is named. Warn if this fails."""
    if not os.environ.get("PREFECT_API_URL"):
        return
    try:
        await prefect_client.announce_grant(ask, attended=False)
    except prefect_client.EndNotScheduled as error:
        output.say(f"{error.message}: its schedule ends the access, up to an hour after its end", style="warning")
    except Exception as error:  # noqa: BLE001 - the grant itself needs no Prefect
        output.say(
            f"Prefect's server did not take our record of this grant ({type(error).__name__}): nothing there ends it",
            "  → end it yourself when its time is over: aks-entra access sweep",
            style="warning",
        )


def request(
    cluster: cluster_argument.Cluster,
    *,
    to: To,
    role: Role,
    reason: Reason,
    namespace: Namespace = "",
    via: Through = None,
    duration: Duration = "2h",
    subscription: output.Subscription = None,
) -> None:
    """Start the flow grant-access, which waits for an approval, grants and proves access, then ends it."""
    _span(duration)
    output.run(
        _request(
            {
                "cluster": cluster,
                "to": to,
                "role": role.value,
                "namespace": namespace,
                "via": via.value if via else None,
                "duration": duration,
                "reason": reason,
                "subscription": subscription,
            }
        )
    )


async def _request(parameters: dict[str, Any]) -> None:
    parameters["subscription"] = parameters["subscription"] or os.environ.get("AZURE_SUBSCRIPTION_ID")
    await prefect_client.require_online(prefect_client.GRANT_ACCESS)
    await overdue_schedules.warn(END_ACCESS, "If the run dies, nothing ends the access")
    parameters["requested_by"] = await signed_in()
    run = await prefect_client.start(prefect_client.GRANT_ACCESS, parameters)
    output.say(f"run {run.name} · {prefect_client.page_of(run.id)}")
    output.say("  it waits for an approval: aks-entra access approve --list")
    output.emit_lines(str(run.id))


def revoke(
    cluster: cluster_argument.Cluster,
    *,
    to: To,
    yes: output.Yes = False,
    subscription: output.Subscription = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """End every grant that aks-entra gave a person or group on a cluster, and prove that it is gone."""

    async def work() -> tuple[Ended, ...]:
        async with wiring.open_session(read_settings()) as session:
            granter = _granter(session)
            named = await cluster_argument.found(session.ports.arm, cluster, subscription)
            who = await session.ports.directory.principal(to)
            posture = await session.ports.arm.cluster(named)
            mine = [
                one
                for one in await granter.active((named.subscription_id,), (posture,))
                if one.cluster_key == named.key and one.principal_id.casefold() == who.id.casefold()
            ]
            if not mine:
                raise Refused(
                    f"{who.called} holds no grant from aks-entra on {named}", remedy="see aks-entra access list"
                )
            await output.confirm(f"End {len(mine)} grants of {who.called} on {named}?", yes=yes)
            return tuple([await granter.end(one) for one in mine])

    _show_ended(output.run(work()), format_)


def list_(
    cluster: Annotated[
        str | None,
        typer.Argument(
            metavar="CLUSTER", help="`resource-group/name`, or the cluster's ARM id. Default: all clusters."
        ),
    ] = None,
    *,
    group: Annotated[
        str, typer.Option("--group", metavar="NAME|ID", help="Show the members of this group in PIM instead.")
    ] = "",
    subscription: output.Subscription = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """List the grants that aks-entra gave, with their ends; with --group, the members of a group in PIM."""
    if group:
        show_members(group, format_)
        return

    async def work() -> tuple[tuple[Grant, ...], tuple[Unseen, ...]]:
        async with wiring.open_session(read_settings()) as session:
            scope, key = await _scope(session, cluster, subscription)
            seen = await grant_sweep.look(_granter(session), *scope)
        there = (*seen.grants, *seen.foreign)
        return tuple(one for one in there if not key or one.cluster_key == key), seen.unseen

    found, unseen = output.run(work())
    if format_ is output.Format.JSON:
        grants, unknown = [plain(one) for one in found], [str(one) for one in unseen]
        output.emit_json({"kind": "aks-entra/grants", "grants": grants, "unseen": unknown})
    else:
        headings = ("CLUSTER", "NAMESPACE", "WHO", "ROLE", "VIA", "UNTIL", "WHY")
        output.emit(table(headings, [_row(one) for one in found]))
        output.say(f"{len(found)} grants")
    _tell_unseen(unseen)


def sweep(
    cluster: Annotated[
        str | None,
        typer.Argument(
            metavar="CLUSTER", help="`resource-group/name`, or the cluster's ARM id. Default: all clusters."
        ),
    ] = None,
    *,
    subscription: output.Subscription = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """End every grant whose time is over. The exit code is 1 if a grant could not be ended."""

    async def work() -> Swept:
        async with wiring.open_session(read_settings()) as session:
            scope, _ = await _scope(session, cluster, subscription)
            return await grant_sweep.sweep(_granter(session), *scope)

    swept = output.run(work())
    for one in swept.foreign:
        output.say(f"{one.id} has our tag, but aks-entra did not create it: it is not changed", style="warning")
    _show_ended(swept.ended, format_, unseen=swept.unseen)


def plain(one: Grant) -> dict[str, Any]:
    """Return a grant as a JSON document."""
    return {
        "id": one.id,
        "via": one.via.value,
        "cluster": one.cluster_key,
        "namespace": one.namespace,
        "principal": one.principal_id,
        "principalType": one.principal_kind,
        "role": one.role,
        "until": one.ends,
        "text": one.text,
        "ours": not one.foreign,
    }


def _span(text: str) -> timedelta:
    with output.guarded():
        try:
            return span(text)
        except ValueError:
            output.usage(f"--duration {text}: not a duration", remedy="write 45m, 2h, 1d or PT8H")


async def _ask(
    session: Session,
    place: tuple[str, str | None],
    what: tuple[str, Level, str, Via | None],
    length: timedelta | None,
    reason: str,
) -> Ask:
    named = await cluster_argument.found(session.ports.arm, *place)
    return await granting.ask_for(session.ports, named, what, length, reason)


async def _scope(session: Session, cluster: str | None, subscription: str | None) -> tuple[Scope, str]:
    """Return the subscriptions and clusters to read, and the key of the cluster if one was named."""
    arm = session.ports.arm
    if cluster:
        named = await cluster_argument.found(arm, cluster, subscription)
        return ((named.subscription_id,), (await arm.cluster(named),)), named.key
    chosen = subscription or os.environ.get("AZURE_SUBSCRIPTION_ID")
    if not chosen:
        output.usage("no subscription is named", remedy="add --subscription NAME|ID, or set AZURE_SUBSCRIPTION_ID")
    one = await arm.subscription_id(chosen)
    return ((one,), tuple([posture async for posture in arm.list_clusters(one)])), ""


def _granter(session: Session) -> Granter:
    return granter_of(session.ports, session.access, session.settings)


def _row(one: Grant) -> tuple[str, ...]:
    cluster = "/".join(one.cluster_key.split("/")[i] for i in (4, 8))
    why = one.text.partition("reason=")[2].partition(";")[0]
    until = "not ours" if one.foreign else one.ends
    return cluster, one.namespace or "(all)", one.principal_id, one.role, one.via.value, until, why


def _show_ended(ended: tuple[Ended, ...], format_: output.Format, *, unseen: tuple[Unseen, ...] = ()) -> None:
    if format_ is output.Format.JSON:
        grants, unknown = [_plain_ended(one) for one in ended], [str(one) for one in unseen]
        output.emit_json({"kind": "aks-entra/ended", "grants": grants, "unseen": unknown})
    else:
        rows = [
            (*_row(one.grant)[:4], one.error or one.proof, one.still_allowed or "a new token is refused", one.tokens)
            for one in ended
        ]
        output.emit(table(("CLUSTER", "NAMESPACE", "WHO", "ROLE", "END", "STILL ALLOWED BY", "OLD TOKENS"), rows))
        output.say(f"{sum(not one.error for one in ended)} of {len(ended)} grants ended")
    _tell_unseen(unseen)
    if any(one.error for one in ended):
        raise typer.Exit(output.ExitCode.FAILED)


def _tell_unseen(unseen: tuple[Unseen, ...]) -> None:
    """Name what could not be read, and exit with 1, because its grants are unknown."""
    for one in unseen:
        output.say(f"? {one.where} could not be read: {one.error}", style="warning")
    if unseen:
        raise typer.Exit(output.ExitCode.FAILED)


def _plain_ended(one: Ended) -> dict[str, Any]:
    return {
        **plain(one.grant),
        "removed": one.removed,
        "secondsLate": one.late,
        "proof": one.proof,
        "stillAllowedBy": one.still_allowed,
        "tokens": one.tokens,
        "error": one.error,
    }
