"""`aks-entra access explain`: why a person can or cannot, with the remedy and who can grant it. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from aks_entra.cli import clusters, output
from aks_entra.cli.planning import read_settings
from aks_entra.core.wishes import EVERYTHING, Wish, forbidden, wish

if TYPE_CHECKING:
    from aks_entra.core.access import Explanation, Facts


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Why a person can or cannot get in, or do something.")(explain)


def explain(
    cluster: clusters.Cluster,
    verb: Annotated[str | None, typer.Argument(metavar="[VERB", help="get, list, create, delete, …")] = None,
    resource: Annotated[
        str | None, typer.Argument(metavar="RESOURCE]", help="nodes, deployments.apps/scale, …")
    ] = None,
    *,
    as_: Annotated[
        str, typer.Option("--as", metavar="USER", help="User principal name, group, application or object id.")
    ] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n", metavar="NAME", help="Only in this namespace.")] = "",
    message: Annotated[
        str, typer.Option("--message", metavar="TEXT", help="The Forbidden that kubectl printed, instead of the above.")
    ] = "",
    subscription: output.Subscription = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Say why a person can or cannot get into a cluster, or do one thing in it.

    Exit code 0 when they can, 1 when they cannot or it is not known.
    """
    with output.guarded():
        who, wanted = _asked(as_, verb, resource, namespace, message)
    facts, explanation = output.run(_explain(cluster, subscription, who, wanted))
    if format_ is output.Format.JSON:
        output.emit_json(document(explanation))
    else:
        _print(facts, explanation)
    if explanation.allowed is not True:
        raise typer.Exit(output.ExitCode.FAILED)


def _asked(who: str, verb: str | None, resource: str | None, namespace: str, message: str) -> tuple[str, Wish]:
    if message:
        read = forbidden(message)
        if read is None:
            output.usage(
                "the message is no Forbidden of an API server", remedy='it reads … cannot list resource "nodes" …'
            )
        return who or read[0], read[1]
    if not who:
        output.usage("who is meant?", remedy="add --as USER, or --message with what kubectl printed")
    if (verb is None) != (resource is None):
        output.usage("a verb needs a resource", remedy="for example: list nodes")
    return who, wish(verb, resource, namespace=namespace) if verb and resource else _everything(namespace)


def _everything(namespace: str) -> Wish:
    return wish("*", "*", namespace=namespace) if namespace else EVERYTHING


async def _explain(named: str, subscription: str | None, who: str, wanted: Wish) -> tuple[Facts, Explanation]:
    from aks_entra import access_survey  # noqa: PLC0415 - startup is quick without it
    from aks_entra.core import access  # noqa: PLC0415 - as above
    from aks_entra.wiring import open_session  # noqa: PLC0415 - Azure's libraries take long to import

    with output.progress(f"looking at {named} and {who}"):
        async with open_session(read_settings()) as session:
            cluster = await clusters.found(session.ports.arm, named, subscription)
            facts = await access_survey.gather(session.ports, session.access, cluster, who)
    return facts, access.explain(facts, wanted)


def document(explanation: Explanation) -> dict[str, Any]:
    """An explanation for programs."""
    token = explanation.token
    return {
        "kind": "aks-entra/access",
        "wish": str(explanation.wish),
        "allowed": explanation.allowed,
        "because": explanation.because,
        "kubeconfig": explanation.kubeconfig,
        "token": {
            "username": token.username,
            "oid": token.object_id,
            "tid": token.tenant_id,
            "groups": None if token.groups is None else list(token.groups),
            "overage": token.overage,
        },
        "reasons": [
            {
                "rule": one.rule,
                "effect": one.effect.value,
                "message": one.message,
                "remedy": one.remedy,
                "by": one.by,
            }
            for one in explanation.reasons
        ],
    }


def _print(facts: Facts, explanation: Explanation) -> None:
    from rich.table import Table  # noqa: PLC0415 - startup is quick without it

    word = {True: "yes", False: "no", None: "not known"}[explanation.allowed]
    output.emit_text(
        f"May {facts.person.called} do {explanation.wish} on {facts.posture.cluster}? {word}: {explanation.because}"
    )
    token = explanation.token
    groups = (
        "more than 200, asked from Graph" if token.overage else "unknown" if token.groups is None else len(token.groups)
    )
    output.emit_text(
        f"A new token: user {token.username} · oid {token.object_id} · tenant {token.tenant_id} · groups {groups}"
    )
    marks = {"grants": "✓", "blocks": "✗", "warns": "⚠", "tells": "·", "unknown": "?"}
    table = Table(box=None, pad_edge=False)
    for heading in ("", "RULE", "WHAT", "REMEDY", "WHO CAN"):
        table.add_column(heading, overflow="fold")
    for one in explanation.reasons:
        table.add_row(marks[one.effect.value], one.rule, one.message, one.remedy, one.by)
    output.emit(table)
