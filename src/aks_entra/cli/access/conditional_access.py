"""`aks-entra access conditional-access apply | show`: a policy for sign-ins at AKS clusters, report-only first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aks_entra.cli import output
from aks_entra.cli.access import sign_in
from aks_entra.cli.planning import read_settings
from aks_entra.core.conditional_access import ENFORCED, Control

if TYPE_CHECKING:
    from aks_entra.access_ports import PersonSpec
    from aks_entra.core.conditional_access import SeenSignIn
    from aks_entra.policies import Applied, PolicyRequest

group = typer.Typer(
    name="conditional-access",
    help="A Conditional Access policy for the AKS server application: report-only first, then enforced.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group.command(short_help="Create it report-only, or enforce it.")(apply)
    group.command(short_help="What it said to sign-ins.")(show)
    app.add_typer(group)


def apply(  # noqa: PLR0913 - one parameter for each option
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="YAML with name, groups, require, break_glass.")
    ] = None,
    *,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Display name.")] = "aks-policy",
    groups: Annotated[
        list[str] | None, typer.Option("--group", metavar="NAME|ID", help="Whom it is for; repeatable.")
    ] = None,
    require: Annotated[
        list[Control] | None, typer.Option("--require", help="What a sign-in must meet; repeatable.")
    ] = None,
    break_glass: Annotated[
        list[str] | None, typer.Option("--break-glass", metavar="UPN|GROUP", help="Never reached by it; repeatable.")
    ] = None,
    trusted_location: Annotated[
        list[str] | None, typer.Option("--trusted-location", metavar="ID", help="Asks nothing from there; repeatable.")
    ] = None,
    enforce: Annotated[bool, typer.Option("--enforce", help="Enforce the policy that ran report-only.")] = False,
    client_id: sign_in.ClientId = "",
    tenant_id: sign_in.TenantId = "",
    login: sign_in.Login = sign_in.Way.DEVICE_CODE,
    yes: output.Yes = False,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Create the policy report-only; with --enforce enforce the very policy that ran report-only."""
    from aks_entra.policies import PolicyRequest  # noqa: PLC0415 - startup is quick without it
    from aks_entra.policy_file import load_policy_file  # noqa: PLC0415 - as above

    with output.guarded():
        if file is not None:
            request = load_policy_file(file).to_request()
        else:
            request = PolicyRequest(
                name=name,
                groups=tuple(groups or ()),
                controls=tuple(require or ()),
                break_glass=tuple(break_glass or ()),
                trusted_locations=tuple(trusted_location or ()),
            )
    person = sign_in.person(client_id, tenant_id, login)
    applied = output.run(_apply(request, person, enforce=enforce, yes=yes))
    if format_ is output.Format.JSON:
        output.emit_json(document(applied))
        return
    word = "enforced" if applied.state == ENFORCED else "report-only"
    output.say(f"✓ {request.name} {applied.id}: {word}{'' if applied.changed else ', as it was'}", style="good")
    _show(applied.sign_ins)


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Display name of the policy.")],
    *,
    of: Annotated[str, typer.Option("--of", metavar="USER", help="Only this user's sign-ins.")] = "",
    until_applied: Annotated[
        bool,
        typer.Option("--until-applied", help="Wait until the log shows one that the policy met; else exit with 1."),
    ] = False,
    client_id: sign_in.ClientId = "",
    tenant_id: sign_in.TenantId = "",
    login: sign_in.Login = sign_in.Way.DEVICE_CODE,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Show sign-ins at AKS clusters in the last two weeks, and what the policy said to each.

    A sign-in takes minutes to get into Microsoft Entra ID's log.
    """
    person = sign_in.person(client_id, tenant_id, login)

    async def work() -> tuple[SeenSignIn, ...] | None:
        from aks_entra.errors import Refused  # noqa: PLC0415 - startup is quick without it
        from aks_entra.policies import sign_in_rules  # noqa: PLC0415 - as above
        from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

        async with open_session(read_settings(), person=person) as session:
            found = await session.access.policies.named(name)
            if len(found) != 1:
                raise Refused(f"{len(found)} policies are called {name!r}", remedy="name one that there is once")
            rules = sign_in_rules(session.ports, session.access, session.settings)
            user_id = (await session.access.people.principal(of)).id if of else ""
            return await (rules.seen_applied if until_applied else rules.sign_ins)(found[0], user_id)

    seen = output.run(work())
    if format_ is output.Format.JSON:
        output.emit_json({"kind": "aks-entra/sign-ins", "signIns": [_plain(one) for one in seen or ()]})
    else:
        _show(seen)


async def _apply(request: PolicyRequest, person: PersonSpec | None, *, enforce: bool, yes: bool) -> Applied:
    from aks_entra.core.conditional_access import preflight  # noqa: PLC0415 - startup is quick without it
    from aks_entra.policies import sign_in_rules  # noqa: PLC0415 - as above
    from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

    async with open_session(read_settings(), person=person) as session:
        rules = sign_in_rules(session.ports, session.access, session.settings)
        for finding in preflight(*await rules.prepared(request, enforce=enforce), enforce=enforce):
            output.say(f"{finding.rule} {finding.message} → {finding.remedy}", style="warning")
        output.confirm(f"{'Enforce' if enforce else 'Write report-only'} policy {request.name!r}?", yes=yes)
        return await rules.apply(request, enforce=enforce)


def document(applied: Applied) -> dict[str, Any]:
    """What became of a policy, for programs."""
    return {
        "kind": "aks-entra/conditional-access",
        "id": applied.id,
        "state": applied.state,
        "changed": applied.changed,
        "findings": [
            {"rule": one.rule, "severity": one.severity.value, "message": one.message} for one in applied.findings
        ],
        "signIns": None if applied.sign_ins is None else [_plain(one) for one in applied.sign_ins],
    }


def _plain(one: SeenSignIn) -> dict[str, Any]:
    return {"at": one.at, "user": one.user, "client": one.client, "result": one.result, "error": one.error}


def _show(seen: tuple[SeenSignIn, ...] | None) -> None:
    if seen is None:
        output.say("the sign-in log may not be read: grant AuditLog.Read.All and Directory.Read.All", style="warning")
        return
    from aks_entra.cli.access.grants import table  # noqa: PLC0415 - only for people

    rows = [(one.at, one.user, one.client, one.result or "not evaluated", str(one.error or "")) for one in seen]
    output.emit(table(("AT", "USER", "CLIENT", "POLICY", "ERROR"), rows))
    output.say(f"{len(seen)} sign-ins at AKS clusters · the policy met {sum(one.applied for one in seen)}")
