"""Asks for the approval of a request that is no stage of a plan: for access, or for a Conditional Access policy."""

from __future__ import annotations

from collections.abc import Callable

from aks_entra.core.planning.approval import Approval
from aks_entra.core.planning.signed_approval import Count, Subject
from aks_entra.core.planning.signed_request import SignedRequest
from aks_entra.errors import Refused
from aks_entra.prefect_client import artifacts, events, progress
from aks_entra.prefect_client.approvals import ask_anew
from aks_entra.prefect_client.decisions import Question, decided
from aks_entra.prefect_client.signed_approvals import Read, count_recorded, count_stored


async def ask(
    digest: str,
    subject: Subject,
    question: Callable[[], str],
    *,
    about: events.Subject,
    request: SignedRequest | None,
    read: Read,
) -> Approval:
    """Wait for a decision on a request, unless this run was decided already.

    With `request`, people sign the approval, and the signatures are counted again before it is returned, because
    anybody with Prefect's API can write a record. None: a typed name is enough.

    Raises:
        Refused: too few of those who have to sign did.
    """
    run = artifacts.own_flow_run()
    asked = Question(plan=digest, place=0, stage=subject, side="before")

    async def stored(_: Approval) -> Count:
        assert request is not None  # noqa: S101 - it is called only if there is one
        return await count_stored(read, request.gate, request.asked(str(run)), at=[progress.now()])

    signatures = stored if request else None
    known = await decided(run, asked)
    decision = known or await ask_anew(asked, question, about=about, signatures=signatures, request=request)
    if request is not None and decision.decision == "approve":
        counted = request.asked(decision.run)
        found = await count_recorded(read, request.gate, counted, decision, at=[progress.now()])
        if found.missing:
            why = "; ".join((found.missing, *found.refused))
            raise Refused(f"this {request.subject} was not approved: {why}", remedy="make a new request")
    return decision
