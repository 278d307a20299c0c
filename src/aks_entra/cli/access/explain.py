"""`aks-entra access explain`: why a person has access or not, with the remedy and who can grant it. It only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from aks_entra.access import explain as access_survey
from aks_entra.cli import cluster_argument, output
from aks_entra.cli.deferred import wiring
from aks_entra.cli.plan_input import read_settings
from aks_entra.core.access import explain as access
from aks_entra.core.access.resource_access import EVERYTHING, ResourceAttributes, attributes, forbidden
from aks_entra.report.terminal import table

if TYPE_CHECKING:
    from aks_entra.core.access.access_facts import AccessFacts
    from aks_entra.core.access.explanation import Explanation


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


def explain(
    cluster: cluster_argument.Cluster,
    verb: Annotated[
        str | None, typer.Argument(metavar="[VERB", help="A Kubernetes verb, such as get, list, create or delete.")
    ] = None,
    resource: Annotated[
        str | None,
        typer.Argument(metavar="RESOURCE]", help="A Kubernetes resource, such as nodes or deployments.apps/scale."),
    ] = None,
    *,
    as_: Annotated[
        str,
        typer.Option(
            "--as", metavar="USER", help="Explain for this user principal name, group, application or object id."
        ),
    ] = "",
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", metavar="NAME", help="Limit it to this namespace.")
    ] = "",
    message: Annotated[
        str,
        typer.Option(
            "--message",
            metavar="TEXT",
            help="Take user, verb and resource from the Forbidden error that kubectl printed.",
        ),
    ] = "",
    subscription: output.Subscription = None,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Explain why a person can or cannot get into a cluster, or do one thing in it.

    The exit code is 0 if they can, and 1 if they cannot or if it is not known.
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


def _asked(
    who: str, verb: str | None, resource: str | None, namespace: str, message: str
) -> tuple[str, ResourceAttributes]:
    if message:
        read = forbidden(message)
        if read is None:
            output.usage(
                "--message is not a Forbidden error of an API server",
                remedy='copy the whole error, which contains: cannot list resource "nodes" …',
            )
        return who or read[0], read[1]
    if not who:
        output.usage("no user is named", remedy="add --as USER, or --message with the error that kubectl printed")
    if (verb is None) != (resource is None):
        output.usage("a verb needs a resource", remedy="add one, as in: list nodes")
    return who, attributes(verb, resource, namespace=namespace) if verb and resource else _everything(namespace)


def _everything(namespace: str) -> ResourceAttributes:
    return attributes("*", "*", namespace=namespace) if namespace else EVERYTHING


async def _explain(
    named: str, subscription: str | None, who: str, wanted: ResourceAttributes
) -> tuple[AccessFacts, Explanation]:
    with output.progress(f"reading {named} and {who}"):
        async with wiring.open_session(read_settings()) as session:
            cluster = await cluster_argument.found(session.ports.arm, named, subscription)
            facts = await access_survey.gather(session.ports, session.access, cluster, who)
    return facts, access.explain(facts, wanted)


def document(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as a JSON document."""
    token = explanation.token
    return {
        "kind": "aks-entra/access",
        "wish": str(explanation.wanted),
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


def _print(facts: AccessFacts, explanation: Explanation) -> None:
    word = {True: "yes", False: "no", None: "not known"}[explanation.allowed]
    output.emit_lines(
        f"May {facts.person.called} do {explanation.wanted} on {facts.posture.cluster}? {word}: {explanation.because}"
    )
    token = explanation.token
    groups = (
        "more than 200, asked from Graph" if token.overage else "unknown" if token.groups is None else len(token.groups)
    )
    output.emit_lines(
        f"A new token: user {token.username} · oid {token.object_id} · tenant {token.tenant_id} · groups {groups}"
    )
    marks = {"grants": "✓", "blocks": "✗", "warns": "⚠", "tells": "·", "unknown": "?"}
    rows = [(marks[one.effect.value], one.rule, one.message, one.remedy, one.by) for one in explanation.reasons]
    output.emit(table(("", "RULE", "WHAT", "REMEDY", "WHO CAN"), rows))
