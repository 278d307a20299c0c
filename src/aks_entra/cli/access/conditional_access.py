"""`aks-entra access conditional-access apply | show`: a policy for sign-ins at AKS clusters, report-only first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aks_entra.access.conditional_access import PolicyRequest, policy_writer
from aks_entra.access.policy_file import load_policy_file
from aks_entra.cli import output
from aks_entra.cli.access import sign_in
from aks_entra.cli.deferred import wiring
from aks_entra.cli.plan_input import read_settings
from aks_entra.core.access.conditional_access import ENFORCED, Control, preflight
from aks_entra.errors import Refused
from aks_entra.report.terminal import table

if TYPE_CHECKING:
    from aks_entra.access.conditional_access import Applied
    from aks_entra.core.access.conditional_access import SeenSignIn
    from aks_entra.ports.access import PersonSpec

group = typer.Typer(
    name="conditional-access",
    help="Write or show a Conditional Access policy for the AKS server application: report-only first, then enforced.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group.command(short_help="Create a policy report-only, or enforce it.")(apply)
    group.command(short_help="Show sign-ins with the policy's result.")(show)
    app.add_typer(group)


def apply(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Policy file (YAML) with name, groups, require and break_glass."),
    ] = None,
    *,
    name: Annotated[
        str, typer.Option("--name", "-n", metavar="NAME", help="Display name of the policy.")
    ] = "aks-policy",
    groups: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="NAME|ID", help="Apply the policy to this group. Can be repeated."),
    ] = None,
    require: Annotated[
        list[Control] | None, typer.Option("--require", help="Require this of a sign-in. Can be repeated.")
    ] = None,
    break_glass: Annotated[
        list[str] | None,
        typer.Option(
            "--break-glass",
            metavar="UPN|GROUP",
            help="Exclude this user or group, so that nobody is locked out. Can be repeated.",
        ),
    ] = None,
    trusted_location: Annotated[
        list[str] | None,
        typer.Option(
            "--trusted-location", metavar="ID", help="Exempt sign-ins from this named location. Can be repeated."
        ),
    ] = None,
    enforce: Annotated[bool, typer.Option("--enforce", help="Enforce the policy that ran report-only.")] = False,
    client_id: sign_in.ClientId = "",
    tenant_id: sign_in.TenantId = "",
    login: sign_in.Login = sign_in.Way.DEVICE_CODE,
    yes: output.Yes = False,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Create the policy report-only; with --enforce, enforce exactly the policy that ran report-only."""
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
    output.say(f"✓ {request.name} {applied.id}: {word}{'' if applied.changed else ' (unchanged)'}", style="good")
    _show(applied.sign_ins)


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Display name of the policy.")],
    *,
    user: Annotated[str, typer.Option("--user", metavar="USER", help="Show only sign-ins of this user.")] = "",
    until_applied: Annotated[
        bool,
        typer.Option(
            "--until-applied",
            help="Wait until the log shows a sign-in to which the policy applied. Exit with 1 if none appears.",
        ),
    ] = False,
    client_id: sign_in.ClientId = "",
    tenant_id: sign_in.TenantId = "",
    login: sign_in.Login = sign_in.Way.DEVICE_CODE,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Show sign-ins at AKS clusters in the last two weeks, and the policy's result for each.

    A sign-in appears in the log of Microsoft Entra ID after some minutes.
    """
    person = sign_in.person(client_id, tenant_id, login)

    async def work() -> tuple[SeenSignIn, ...] | None:
        async with wiring.open_session(read_settings(), person=person) as session:
            found = await session.access.policies.named(name)
            if len(found) != 1:
                raise Refused(f"{len(found)} policies are called {name!r}", remedy="name a policy whose name is unique")
            rules = policy_writer(session.ports, session.access, session.settings)
            user_id = (await session.ports.directory.principal(user)).id if user else ""
            return await (rules.seen_applied if until_applied else rules.sign_ins)(found[0], user_id)

    seen = output.run(work())
    if format_ is output.Format.JSON:
        output.emit_json({"kind": "aks-entra/sign-ins", "signIns": [_plain(one) for one in seen or ()]})
    else:
        _show(seen)


async def _apply(request: PolicyRequest, person: PersonSpec | None, *, enforce: bool, yes: bool) -> Applied:
    async with wiring.open_session(read_settings(), person=person) as session:
        rules = policy_writer(session.ports, session.access, session.settings)
        for finding in preflight(*await rules.prepared(request, enforce=enforce), enforce=enforce):
            output.say(f"{finding.rule} {finding.message} → {finding.remedy}", style="warning")
        await output.confirm(f"{'Enforce' if enforce else 'Write report-only'} policy {request.name!r}?", yes=yes)
        return await rules.apply(request, enforce=enforce)


def document(applied: Applied) -> dict[str, Any]:
    """Return the result of writing a policy as a JSON document."""
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
        output.say("the sign-in log cannot be read: grant AuditLog.Read.All and Directory.Read.All", style="warning")
        return
    rows = [(one.at, one.user, one.client, one.result or "not evaluated", str(one.error or "")) for one in seen]
    output.emit(table(("AT", "USER", "CLIENT", "POLICY", "ERROR"), rows))
    output.say(f"{len(seen)} sign-ins at AKS clusters · the policy applied to {sum(one.applied for one in seen)}")
