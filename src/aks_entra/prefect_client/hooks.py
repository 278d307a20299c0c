"""Hooks at Prefect's server: deployments to run, events to send, and what is known of earlier attempts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.events.schemas.events import Event, Resource
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from aks_entra import documents
from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import exact_stamp
from aks_entra.core.evidence.hook_runs import HookRan, HookStatus
from aks_entra.core.hooks.model import EmitEvent, Hook, RunDeployment, filled_all
from aks_entra.core.hooks.results import HookEnd, unsaid
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.verdict.verdict import Verdict, with_hooks_not_run
from aks_entra.errors import Refused
from aks_entra.prefect_client import artifacts, events, names
from aks_entra.prefect_client.deployments import find_deployment
from aks_entra.prefect_client.migration_records import store_evidence
from aks_entra.prefect_client.runs import EVERY
from aks_entra.prefect_client.stored_documents import read
from aks_entra.text.safe import for_log, for_message

TAG: Final = "aks-entra-hook"
"""The tag of the runs that hooks start. They have no tag of the plan, because they are not batches of it."""
_CONFLICT: Final = 409
STEP: Final = "after-rotation"
"""Under this word the results of a cluster's hooks are stored beside the evidence of its steps."""


async def kept_runs(digest: str, cluster: ClusterId) -> tuple[HookRan, ...]:
    """Return the results of hooks from earlier attempts. Results that cannot be read count as never stored."""
    stored = await artifacts.get(names.key("evidence", names.hexadecimal(digest), names.slug(cluster), STEP))
    found = read((stored,) if stored else (), documents.load_verdict)
    return tuple(one for _, verdict in found.read for one in verdict.evidence if isinstance(one, HookRan))


async def keep_runs(digest: str, cluster: ClusterId, ran: tuple[HookRan, ...]) -> None:
    """Store the results of a cluster's hooks, so that a later attempt runs only those that are not done."""
    await store_evidence(digest, cluster, STEP, ran)


async def with_kept_runs(digest: str, after: tuple[Hook, ...], verdict: Verdict, why: str) -> Verdict:
    """Return the verdict of a cluster that may have ended before its hooks. Each has a result in it, kept or not run.

    `why`: why a hook without a result was not run.
    """
    if not unsaid(after, verdict.evidence):
        return verdict
    kept = await kept_runs(digest, verdict.cluster)
    return with_hooks_not_run(verdict, after, kept, why, at=exact_stamp(datetime.now(UTC)))


async def require_deployments(plan: FleetPlan) -> None:
    """Raise Refused, with the list of the fleet file, if a hook names a deployment that does not exist."""
    lists = [("after", plan.after), *((f"after of stage {stage.name}", stage.after) for stage in plan.stages)]
    for where, hook in ((where, hook) for where, hooks in lists for hook in hooks):
        if isinstance(hook, RunDeployment):
            async with get_client() as client:
                if await find_deployment(client, hook.deployment) is None:
                    raise _no_deployment(client, hook, f"{where}: ")


async def run_deployment(place: int, hook: RunDeployment, known: Mapping[str, str]) -> HookEnd:
    """Start the deployment once for the plan and the cluster, and follow the run to its end if the hook waits.

    A run that an earlier attempt started is followed. If that run did not end well, another one is started.
    """
    parameters: dict[str, Any] = filled_all(hook.parameters, known)
    async with get_client() as client:
        found = await find_deployment(client, hook.deployment)
        if found is None:
            raise _no_deployment(client, hook)
        for attempt in count(1):
            key = f"{STEP} {known['plan']} {known['cluster'].lower()} {place} {attempt}"
            run = await _started(client, found.id, hook, parameters, key)
            if run.state is None or not run.state.is_final() or run.state.is_completed():
                break
        page = names.run_page(run.id)
        if not hook.wait:
            return HookEnd(status=HookStatus.DONE, detail=f"started run {run.name}: {page}")
        try:
            ended = await _await_end(client, run, hook.timeout)
        except ObjectNotFound as gone:
            raise Refused(
                f"run {run.name} was deleted at Prefect's server, so it is unknown how it ended",
                remedy="`aks-entra migrate --resume` starts another run",
                code="RunDeleted",
            ) from gone
    state = ended.state
    if state is None or not state.is_final():
        detail = f"run {run.name} has not ended in time (it is {state.name if state else 'unknown'}): {page}"
        remedy = "see the run; `aks-entra migrate --resume` follows it again"
        return HookEnd(status=HookStatus.FAILED, detail=detail, remedy=remedy)
    said = f": {for_log(state.message)}" if state.message else ""
    if not state.is_completed():
        remedy = f"see {page}; `aks-entra migrate --resume` runs the deployment again"
        return HookEnd(status=HookStatus.FAILED, detail=f"run {run.name} ended {state.name}{said}", remedy=remedy)
    return HookEnd(status=HookStatus.DONE, detail=f"run {run.name} ended {state.name}{said}")


async def emit(hook: EmitEvent, cluster: ClusterId, known: Mapping[str, str]) -> HookEnd:
    """Send the event about the cluster, with its new CA. Any error of Prefect's server is raised."""
    payload = {**known, **filled_all(hook.payload, known)}
    happened = Event(
        event=hook.event,
        resource=Resource(
            {"prefect.resource.id": events.cluster_id(cluster.key), "prefect.resource.name": str(cluster)}
        ),
        payload={name: for_message(one) if isinstance(one, str) else one for name, one in payload.items()},
    )
    async with get_client() as client:
        await events.send(client, happened)
    return HookEnd(status=HookStatus.DONE, detail=f"event {hook.event} was sent")


async def _started(
    client: PrefectClient, deployment: UUID, hook: RunDeployment, parameters: dict[str, Any], key: str
) -> FlowRun:
    """Start a run, or return the one that was started with this key. Refused if its parameters are not those wanted."""
    try:
        return await client.create_flow_run_from_deployment(
            deployment, parameters=parameters, tags=[TAG], idempotency_key=key
        )
    except PrefectHTTPStatusError as error:
        if error.response.status_code != _CONFLICT:
            raise
        detail = str(error.response.json().get("detail") or "").removeprefix("Error creating flow run: ")
        raise Refused(
            f"the deployment {hook.deployment} does not take these parameters: {for_log(detail)}",
            remedy="correct `parameters` of the hook and plan again",
            code="BadParameters",
        ) from error


async def _await_end(client: PrefectClient, run: FlowRun, timeout: int) -> FlowRun:  # noqa: ASYNC109 - it returns then
    """Follow a run until it ended, or until so many seconds are over. Return it as it was seen last."""
    until = time.monotonic() + timeout
    while True:
        found = await client.read_flow_run(run.id)
        if (found.state is not None and found.state.is_final()) or time.monotonic() > until:
            return found
        await asyncio.sleep(EVERY)


def _no_deployment(client: PrefectClient, hook: RunDeployment, where: str = "") -> Refused:
    return Refused(
        f"{where}run_deployment: the Prefect server at {client.api_url} has no deployment {hook.deployment}",
        remedy="deploy it (`prefect deploy`), or correct the name in the fleet file and plan again",
        code="NoDeployment",
    )
