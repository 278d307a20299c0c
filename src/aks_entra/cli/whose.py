"""`aks-entra whose`: which cluster a leaked credential belongs to, and whether it still opens it. It only reads."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aks_entra.adapters.credential_file import read_credentials, with_current_context
from aks_entra.cli import output
from aks_entra.cli.deferred import wiring
from aks_entra.cli.earlier_reports import EvidenceFrom, gather
from aks_entra.cli.plan_input import LARGEST_KUBECONFIG, located, read_settings, teller
from aks_entra.core.evidence.found_credentials import Judgement, Kind, Life
from aks_entra.core.evidence.observations import Moment
from aks_entra.core.planning.fleet import Selector
from aks_entra.errors import AksEntraError
from aks_entra.planning.found_credentials import Answer, trace
from aks_entra.planning.selection import Selection
from aks_entra.probes.old_credentials import CONNECTIONS, tried
from aks_entra.report.found_credentials import document, render

if TYPE_CHECKING:
    from aks_entra.wiring import Session


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(whose)


def whose(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A kubeconfig, a certificate (PEM) or a token. - reads standard input.",
            show_default=False,
        ),
    ],
    *,
    subscription: Annotated[
        list[str] | None,
        typer.Option(
            "--subscription",
            metavar="NAME|ID",
            help="Look among the clusters of this subscription. Can be repeated. "
            "Default: $AZURE_SUBSCRIPTION_ID, or every subscription that this identity can see.",
            show_default=False,
        ),
    ] = None,
    tenant: Annotated[bool, typer.Option("--tenant", help="Every subscription that this identity can see.")] = False,
    evidence: EvidenceFrom = None,
    try_: Annotated[
        bool,
        typer.Option("--try", help="Also present the credential to its API server. Its audit log shows that."),
    ] = False,
    format_: output.Output = output.Format.TABLE,
) -> None:
    """Say which cluster a leaked credential belongs to, whether it is dead, and who could have fetched it.

    The credential is not presented to anybody, unless you add --try. Nothing of it is stored or printed. The exit code
    is 0 only if every credential in the file is dead, or is none.
    """
    with output.guarded():
        content = _content(file)
        read_credentials(content)  # refuses another kind of file before anything is read from Azure
        places = subscription or [one for one in [os.environ.get("AZURE_SUBSCRIPTION_ID")] if one and not tenant]
        if subscription and tenant:
            output.usage("--subscription and --tenant exclude each other", remedy="give one of them")
        selectors = tuple(Selector(subscription=one) for one in dict.fromkeys(places)) or (Selector(tenant=True),)
    problems: list[AksEntraError] = []
    wanted = Selection(selectors=selectors, fresh=False, on_problem=problems.append)
    answers = output.run(_whose(content, wanted, evidence, present=try_))
    if format_ is output.Format.JSON:
        output.emit_json(document(answers))
    else:
        output.emit(*render(answers))
    for problem in problems:
        output.say(*f"Not looked at: {problem}".split("\n"), style="error")
    if any(one.judgement.life in {Life.ALIVE, Life.UNKNOWN} for one in answers):
        raise typer.Exit(output.ExitCode.FAILED)


async def _whose(
    content: bytes, wanted: Selection, evidence: list[Path] | None, *, present: bool
) -> tuple[Answer, ...]:
    settings = read_settings()
    with output.progress("looking for the cluster of the credential (it is not presented)") as tell:
        records = await gather(evidence, settings)
        found = read_credentials(content, records)
        async with wiring.open_session(settings) as session:
            with located(None):
                answers = await trace(session.ports, found, wanted, records, teller(tell))
            if not present:
                return answers
            return tuple([await _presented(session, one, content) for one in answers])


async def _presented(session: Session, answer: Answer, content: bytes) -> Answer:
    """Present one credential to the API server of its own cluster, and judge it by the answers."""
    found, posture, ports = answer.found, answer.posture, session.ports
    if not found.static or posture is None or posture.ca is None or answer.judgement.life is Life.DEAD:
        return answer
    output.say(
        f"presenting the {found.kind} once to {posture.fqdn}, on {CONNECTIONS} connections; its audit log shows this",
        style="warning",
    )
    try:
        held = ports.vault.hand_in(posture.cluster, with_current_context(content, found.name))
        only = replace(
            held,
            has_certificate=held.has_certificate and found.kind is Kind.CERTIFICATE,
            has_static_token=held.has_static_token and found.kind is Kind.STATIC_TOKEN,
        )
        tries = await tried(ports, posture, Moment.AFTER, only)
    except AksEntraError as error:
        output.say(f"it could not be presented: {error}", style="warning")
        return answer
    finally:
        ports.vault.forget(posture.cluster)
    if not tries or tries[0].status is None:
        output.say("the API server did not answer", style="warning")
        return answer
    lives: dict[int, Life] = {HTTPStatus.OK: Life.ALIVE, HTTPStatus.UNAUTHORIZED: Life.DEAD}
    life = lives.get(tries[0].status, Life.UNKNOWN)
    because = f"the API server answered {tries[0].mixed or tries[0].status} when it was presented"
    then = answer.judgement.next if life is Life.ALIVE else ""
    return replace(answer, judgement=Judgement(life=life, because=because, next=then))


def _content(file: Path) -> bytes:
    """Read the file. An error names it, and never quotes it."""
    named = "standard input" if str(file) == "-" else str(file)
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(LARGEST_KUBECONFIG + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(LARGEST_KUBECONFIG + 1)
    except OSError as error:
        output.usage(f"{named}: {error.strerror}", remedy="name a file that can be read")
    if len(content) > LARGEST_KUBECONFIG:
        output.usage(f"{named} is too large to be a credential", remedy="name a kubeconfig, a certificate or a token")
    return content
