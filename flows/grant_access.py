"""Give access for a time: request, approval in the UI, grant, proof, end, proof of the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed
from pydantic import Field

from aks_entra.core.durations import span
from aks_entra.core.grants import Approval, Level, Via
from aks_entra.errors import Refused
from aks_entra.prefect_client import access_pages, approvals
from aks_entra.prefect_client.life import sign_on
from aks_entra.settings import Settings
from aks_entra.wiring import open_session
from tasks.access import check_request, end_access, give_access, name_request, wait_for_end

Said = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]


@flow(name="grant-access", flow_run_name="grant {role} on {cluster} to {to}", persist_result=False)
async def grant_access(  # noqa: PLR0913 - one parameter for each field of the form in Prefect's UI
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
    """Wait for an approval of exactly this request, grant it, prove it, end it, and prove the end.

    Args:
        cluster: `resource-group/name`, or the cluster's ARM id.
        to: user principal name, group, application id or object id.
        role: cluster-user, reader, writer, admin or cluster-admin.
        duration: 45m, 2h, 1d; it counts from the request, so that waiting for the approval shortens it.
        reason: a change number, a ticket.
        namespace: empty for the whole cluster.
        via: azure-rbac or kubernetes-rbac; empty for what the cluster uses.
        subscription: name or id; not needed with an ARM id.
        requested_by: who asks.
    """
    await sign_on()
    end = (requested_at() + _length(duration)).replace(microsecond=0)
    async with open_session(Settings()):
        what = (to, role, namespace, via)
        ask = await name_request(cluster, subscription or "", what, end, reason, requested_by)
        findings = await check_request(ask)
        decision = await approvals.ask(ask.digest, (0, "grant"), "before", lambda: access_pages.question(ask, findings))
        if decision.decision == "reject":
            return Completed(name="Rejected", message=f"rejected by {decision.approver} ({decision.reason})")
        await access_pages.announce(ask)
        given = await give_access(ask, Approval(digest=decision.plan, approver=decision.approver, separate=True))
        await access_pages.show_given(ask, given)
        await wait_for_end(ask)
        ended = await end_access(given.grant)
        await access_pages.show_ended((ended,))
    message = f"{ask}: {ended.proof}"
    if ended.still_allowed:
        return Failed(message=f"{message}, but a new token is still allowed: {ended.still_allowed}")
    return Completed(message=f"{message}; a new token is refused; {ended.tokens}")


def requested_at() -> datetime:
    """When this run was asked for: the same after every suspension and resumption."""
    context = FlowRunContext.get()
    created = context.flow_run.created if context and context.flow_run else None
    return created or datetime.now(UTC)


def _length(duration: str) -> timedelta:
    try:
        return span(duration)
    except ValueError as error:
        raise Refused(f"duration: {error}", remedy="for example 2h") from None
