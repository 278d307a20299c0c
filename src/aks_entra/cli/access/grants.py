"""`aks-entra access grant | request | revoke | list | sweep`: access for a time, given, ended and shown."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aks_entra.cli import clusters, output
from aks_entra.cli.planning import read_settings
from aks_entra.core.durations import span
from aks_entra.core.grants import Approval, Ask, Grant, Level, Via
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from aks_entra.core.cluster import Posture
    from aks_entra.granting import Ended, Granter
    from aks_entra.wiring import Session

if TYPE_CHECKING:
    Scope = tuple[tuple[str, ...], tuple[Posture, ...]]
To = Annotated[
    str, typer.Option("--to", "--for-whom", metavar="USER|GROUP", help="User principal name, group, appId or id.")
]
Role = Annotated[Level, typer.Option("--role", help="How much is allowed.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", metavar="NAME", help="Only in this namespace.")]
Through = Annotated[
    Via | None,
    typer.Option("--via", help="Default: Azure RBAC where it is on, else Kubernetes RBAC.", show_default=False),
]
For = Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 45m, 2h, 1d.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why: a change number, a ticket.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(short_help="Give access now, by your own authority, for a time.")(grant)
    app.command(short_help="Ask for access: it is given when somebody approved it.")(request)
    app.command(short_help="End grants before their time, or a membership.")(revoke)
    app.command("list", short_help="What was granted, to whom, until when.")(list_)
    app.command(short_help="End every grant whose time is over.")(sweep)


def grant(  # noqa: PLR0913 - one parameter for each option
    cluster: clusters.Cluster,
    *,
    to: To,
    role: Role,
    reason: Reason,
    namespace: Namespace = "",
    via: Through = None,
    for_: For = "2h",
    permanent: Annotated[bool, typer.Option("--permanent", help="Without an end. Never the default.")] = False,
    yes: output.Yes = False,
    subscription: output.Subscription = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Give access, prove that it works, and write its end beside it. `access sweep` (or its flow) ends it."""
    length = None if permanent else _span(for_)

    async def work() -> dict[str, Any]:
        from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

        async with open_session(read_settings()) as session:
            granter = _granter(session)
            ask = await _ask(session, (cluster, subscription), (to, role, namespace, via), length, reason)
            for finding in await granter.preflight(ask):
                output.say(f"{finding.rule} {finding.message}", style="warning")
            output.say(str(ask))
            output.confirm("Grant it?", yes=yes)
            given = await granter.give(ask, Approval(digest=ask.digest, approver=ask.requested_by))
        return {**plain(given.grant), "changed": given.changed, "proof": given.proof}

    shown = output.run(work())
    if format_ is output.Format.JSON:
        output.emit_json({"kind": "aks-entra/grant", **shown})
        return
    output.say(f"✓ {'granted' if shown['changed'] else 'stands already'} until {shown['until']}", style="good")
    output.emit_text(f"{shown['id']}\n  {shown['proof']}")


def request(
    cluster: clusters.Cluster,
    *,
    to: To,
    role: Role,
    reason: Reason,
    namespace: Namespace = "",
    via: Through = None,
    for_: For = "2h",
    subscription: output.Subscription = None,
) -> None:
    """Start the runbook grant-access: it waits for an approval, grants, proves, ends, and proves the end."""
    _span(for_)
    output.run(
        _request(
            {
                "cluster": cluster,
                "to": to,
                "role": role.value,
                "namespace": namespace,
                "via": via.value if via else None,
                "duration": for_,
                "reason": reason,
                "subscription": subscription,
            }
        )
    )


async def _request(parameters: dict[str, Any]) -> None:
    import os  # noqa: PLC0415 - only here

    from aks_entra import prefect_client  # noqa: PLC0415 - prefect takes a second to import
    from aks_entra.cli.migrate import signed_in  # noqa: PLC0415 - as above

    parameters["subscription"] = parameters["subscription"] or os.environ.get("AZURE_SUBSCRIPTION_ID")
    await prefect_client.require_online(prefect_client.GRANT_ACCESS)
    parameters["requested_by"] = await signed_in()
    run = await prefect_client.start(prefect_client.GRANT_ACCESS, parameters)
    output.say(f"run {run.name} · {prefect_client.page_of(run.id)}")
    output.say("  it waits for an approval: aks-entra access approve --list")
    output.emit_text(str(run.id))


def revoke(
    cluster: clusters.Cluster,
    *,
    to: To,
    yes: output.Yes = False,
    subscription: output.Subscription = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """End every grant of ours that a person or group holds on a cluster, now, and prove that it is gone."""

    async def work() -> tuple[Ended, ...]:
        from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

        async with open_session(read_settings()) as session:
            granter = _granter(session)
            named = await clusters.found(session.ports.arm, cluster, subscription)
            who = await session.access.people.principal(to)
            posture = await session.ports.arm.cluster(named)
            mine = [
                one
                for one in await granter.standing((named.subscription_id,), (posture,))
                if one.cluster_key == named.key and one.principal_id.casefold() == who.id.casefold()
            ]
            if not mine:
                raise Refused(
                    f"{who.called} holds no grant of ours on {named}", remedy="aks-entra access list shows them"
                )
            output.confirm(f"End {len(mine)} grants of {who.called} on {named}?", yes=yes)
            return tuple([await granter.end(one) for one in mine])

    _show_ended(output.run(work()), format_)


def list_(
    cluster: Annotated[
        str | None, typer.Argument(metavar="CLUSTER", help="One cluster (resource-group/name or id); default: all.")
    ] = None,
    *,
    group: Annotated[str, typer.Option("--group", metavar="NAME|ID", help="Members of a group in PIM instead.")] = "",
    subscription: output.Subscription = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Show grants of ours with their ends; with --group who is eligible and who is active in PIM."""
    if group:
        from aks_entra.cli.access.groups import show_members  # noqa: PLC0415 - only where it is asked for

        show_members(group, format_)
        return

    async def work() -> tuple[Grant, ...]:
        from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

        async with open_session(read_settings()) as session:
            _, found = await _standing(session, cluster, subscription)
        return found

    found = output.run(work())
    if format_ is output.Format.JSON:
        output.emit_json({"kind": "aks-entra/grants", "grants": [plain(one) for one in found]})
        return
    output.emit(table(("CLUSTER", "NAMESPACE", "WHO", "ROLE", "VIA", "UNTIL", "WHY"), [_row(one) for one in found]))
    output.say(f"{len(found)} grants")


def sweep(
    cluster: Annotated[
        str | None, typer.Argument(metavar="CLUSTER", help="One cluster (resource-group/name or id); default: all.")
    ] = None,
    *,
    subscription: output.Subscription = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """End every grant whose time is over. Exit code 1 when one could not be ended."""

    async def work() -> tuple[Ended, ...]:
        from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

        async with open_session(read_settings()) as session:
            scope, _ = await _scope(session, cluster, subscription)
            return await _granter(session).sweep(*scope)

    _show_ended(output.run(work()), format_)


def plain(one: Grant) -> dict[str, Any]:
    """A grant for programs."""
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
    }


def _span(text: str) -> timedelta:
    with output.guarded():
        try:
            return span(text)
        except ValueError:
            output.usage(f"--for {text}: no span of time", remedy="write 45m, 2h, 1d or PT8H")


async def _ask(
    session: Session,
    place: tuple[str, str | None],
    what: tuple[str, Level, str, Via | None],
    length: timedelta | None,
    reason: str,
) -> Ask:
    from aks_entra import granting  # noqa: PLC0415 - startup is quick without it

    named = await clusters.found(session.ports.arm, *place)
    return await granting.ask_for(session.ports, session.access, named, what, length, reason)


async def _scope(session: Session, cluster: str | None, subscription: str | None) -> tuple[Scope, str]:
    """The subscriptions and clusters that are meant, and the key of the one cluster that was named."""
    import os  # noqa: PLC0415 - only here

    arm = session.ports.arm
    if cluster:
        named = await clusters.found(arm, cluster, subscription)
        return ((named.subscription_id,), (await arm.cluster(named),)), named.key
    chosen = subscription or os.environ.get("AZURE_SUBSCRIPTION_ID")
    if not chosen:
        output.usage("no subscription is named", remedy="add --subscription NAME|ID, or set AZURE_SUBSCRIPTION_ID")
    one = await arm.subscription_id(chosen)
    return ((one,), tuple([posture async for posture in arm.list_clusters(one)])), ""


async def _standing(session: Session, cluster: str | None, subscription: str | None) -> tuple[Scope, tuple[Grant, ...]]:
    scope, key = await _scope(session, cluster, subscription)
    found = await _granter(session).standing(*scope)
    return scope, tuple(one for one in found if not key or one.cluster_key == key)


def _granter(session: Session) -> Granter:
    from aks_entra.granting import granter_of  # noqa: PLC0415 - startup is quick without it

    return granter_of(session.ports, session.access, session.settings)


def _row(one: Grant) -> tuple[str, ...]:
    cluster = "/".join(one.cluster_key.split("/")[i] for i in (4, 8))
    why = one.text.partition("reason=")[2].partition(";")[0]
    return cluster, one.namespace or "(all)", one.principal_id, one.role, one.via.value, one.ends, why


def _show_ended(ended: tuple[Ended, ...], format_: output.Format) -> None:
    if format_ is output.Format.JSON:
        output.emit_json({"kind": "aks-entra/ended", "grants": [_plain_ended(one) for one in ended]})
    else:
        rows = [
            (*_row(one.grant)[:4], one.error or one.proof, one.still_allowed or "a new token is refused", one.tokens)
            for one in ended
        ]
        output.emit(table(("CLUSTER", "NAMESPACE", "WHO", "ROLE", "END", "STILL ALLOWED BY", "OLD TOKENS"), rows))
        output.say(f"{sum(not one.error for one in ended)} of {len(ended)} grants ended")
    if any(one.error for one in ended):
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


def table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    """A plain table."""
    from rich.table import Table  # noqa: PLC0415 - startup is quick without it

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
