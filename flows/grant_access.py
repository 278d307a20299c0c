"""Give access for a limited time: request, approval in the UI, grant, proof, end, proof of the end.

The run waits for the end without a process, as it does at a gate. If the worker or the server dies meanwhile, the run
continues when the time comes. If even that fails, the sweep ends the grant.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed
from pydantic import AfterValidator, Field

from aks_entra.access.approvers import access_approvers
from aks_entra.access.grants import Ended
from aks_entra.core.access.grants import Approval, Ask, Grant, Level, Via
from aks_entra.core.durations import NEVER, span
from aks_entra.core.planning.approval import Approval as Decision
from aks_entra.core.planning.signed_request import SignedRequest
from aks_entra.errors import Refused
from aks_entra.prefect_client import access_pages, events, grant_records, progress, signed_requests
from aks_entra.prefect_client.liveness import register
from aks_entra.prefect_client.names import END_ACCESS, RunName
from aks_entra.prefect_client.run_log import tell
from aks_entra.prefect_client.scheduled_sweeps import EndNotScheduled
from aks_entra.prefect_client.schedules import overdue_schedules
from aks_entra.prefect_client.waiting import postpone
from aks_entra.settings import Settings
from aks_entra.text.safe import for_log
from aks_entra.typed_text import typed
from flows.rollout.signatures import read_signatures
from tasks.access import check_request, end_access, give_access, name_request
from tasks.session import open_session

Said = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S"), AfterValidator(typed)]


@flow(name="grant-access", flow_run_name=RunName("grant {role} on {cluster} to {to}"), persist_result=False)
async def grant_access(
    cluster: Said,
    to: Said,
    role: Level,
    duration: Said,
    reason: Said,
    *,
    namespace: str = "",
    via: Via | None = None,
    subscription: str | None = None,
    requested_by: str = "",
) -> State[Any]:
    """Wait for an approval of exactly this request, grant access, prove it, end it, and prove the end.

    Args:
        cluster: `resource-group/name`, or the cluster's ARM id.
        to: user principal name, group, application id or object id.
        role: cluster-user, reader, writer, admin or cluster-admin.
        duration: 45m, 2h, 1d. It counts from the request, so that waiting for the approval shortens it.
        reason: why access is needed, such as a change number.
        namespace: empty for the whole cluster.
        via: azure-rbac or kubernetes-rbac. If empty, what the cluster uses.
        subscription: name or id; not needed with an ARM id.
        requested_by: name of the person who asks.
    """
    run = await register()
    grant = await grant_records.given_by(run)
    if grant is None:
        end = (requested_at() + _length(duration)).replace(microsecond=0)
        async with open_session(Settings()):
            ask = await name_request(cluster, subscription or "", (to, role, namespace, via), end, reason, requested_by)
            decision = await decide(ask)
            if decision.decision == "reject":
                because = for_log(f"rejected by {decision.by} ({decision.reason})")
                return Completed(name="Rejected", message=because)
            grant = await give(run, ask, decision)
            await events.emit(events.access_granted(ask, grant, decision))
    if grant.until is None:
        return Completed(
            message=f"{for_log(grant.id)} already allows this without an end, by another approval: it is kept"
        )
    if grant.until > progress.now():
        await postpone(grant.until, f"then the access of {grant.principal_id} to {grant.where} ends")
    async with open_session(Settings()):
        ended = await end_access(grant)
    await events.emit(*events.access_ended((ended,)))
    await access_pages.show_ended((ended,))
    return outcome(ended)


async def decide(ask: Ask) -> Decision:
    """Return this run's decision on a request. The run asks once."""
    findings = await check_request(ask)
    late = await overdue_schedules((END_ACCESS,))
    approvers = access_approvers(Settings())
    request = (
        SignedRequest(
            subject="access request",
            text=ask.text,
            approvers=approvers,
            requester=ask.requested_by or None,
            beneficiaries=(ask.principal.id, ask.principal.called),
        )
        if approvers
        else None
    )
    return await signed_requests.ask(
        ask.digest,
        "access request",
        lambda: access_pages.question(ask, findings, late),
        about=events.grant_subject(ask),
        request=request,
        read=read_signatures,
    )


async def give(run: UUID, ask: Ask, decision: Decision) -> Grant:
    """Write the grant. It is recorded before and after the write, so that the sweep finds it even if this run dies."""
    approval = Approval(digest=decision.plan, approver=decision.approver, separate=True, by=decision.by)
    try:
        await grant_records.announce(ask, attended=True)
    except EndNotScheduled as error:  # this run itself waits for the end, and the slow schedule ends what it left
        tell(f"{error}: if this run dies, the schedule of end-access ends the access", level=logging.WARNING)
    given = await give_access(ask, approval)
    await grant_records.note_given(run, given.grant)
    tell(f"{ask}: {'granted' if given.changed else 'existed already'}, until {given.grant.ends}: {given.proof}")
    await access_pages.show_given(ask, given, decision)
    return given.grant


def outcome(ended: Ended) -> State[Any]:
    """Return the final state. The run fails if the end is not proven, or if a new token is still allowed."""
    message = for_log(f"{ended.grant.principal_id}: {ended.grant.role} on {ended.grant.where} until {ended.grant.ends}")
    if ended.error:
        return Failed(message=f"{message}: {for_log(ended.error)}")
    if ended.extended:
        later = "without an end" if ended.extended == NEVER else f"until {ended.extended}"
        return Completed(message=f"{message}: another approval extended it {later}, and this run leaves it there")
    message = f"{message}: {for_log(ended.proof)}"
    if ended.still_allowed:
        return Failed(message=f"{message}, but a new token is still allowed: {for_log(ended.still_allowed)}")
    return Completed(message=f"{message}; a new token is refused; {for_log(ended.tokens)}")


def requested_at() -> datetime:
    """Return when this run was requested. It is the same after every suspension."""
    context = FlowRunContext.get()
    created = context.flow_run.created if context and context.flow_run else None
    return created or datetime.now(UTC)


def _length(duration: str) -> timedelta:
    try:
        return span(duration)
    except ValueError as error:
        raise Refused(f"duration: {error}", remedy="for example 2h") from None
