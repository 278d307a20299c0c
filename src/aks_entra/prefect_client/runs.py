"""Starting flow runs by the names of their deployments, finding them, and resuming what died."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import arun_deployment
from prefect.settings import get_current_settings

from aks_entra.core.cluster import ClusterId
from aks_entra.core.planning.plan import FleetPlan
from aks_entra.core.planning.rollout import Stage
from aks_entra.errors import Refused
from aks_entra.prefect_client import authentication, names
from aks_entra.prefect_client.deployments import TAG, read_deployment
from aks_entra.prefect_client.flow_run_list import all_runs
from aks_entra.prefect_client.leases import free
from aks_entra.prefect_client.liveness import LIVE_STATES, Liveness, set_to_crashed, settled
from aks_entra.prefect_client.waiting import WAITING
from aks_entra.prefect_client.work_pools import lacks_worker, read_work_pool

EVERY: Final = 2.0
"""Poll interval at Prefect's server, in seconds."""


async def require_server() -> str:
    """Return the API's address. Raises Refused, with the command to type, if none is configured or none answers."""
    url = get_current_settings().api.url
    if not url:
        raise Refused(
            "no Prefect API is configured",
            remedy="start one here with `aks-entra up` (or use `--local`), or set PREFECT_API_URL",
        )
    async with get_client() as client:
        trouble = await client.api_healthcheck()
        if trouble is not None:
            raise Refused(
                f"no Prefect server answers at {url} ({type(trouble).__name__})",
                remedy="start it (`aks-entra up`, `prefect server start`), or correct PREFECT_API_URL",
            )
        await authentication.require(client, url)
    return url


async def require_online(deployment: str = names.MIGRATE_FLEET) -> None:
    """Raise Refused, with the command to type, unless an API and the deployment are there, and its runs can begin.

    Runs begin on a worker that is online, or in a push or managed work pool, which needs none.
    """
    await require_server()
    async with get_client() as client:
        found = await read_deployment(client, deployment)
        pool = await read_work_pool(client, found.work_pool_name or names.WORK_POOL)
        if await lacks_worker(client, pool):
            raise Refused(
                f"no worker of pool {pool.name} is online",
                remedy=f"prefect worker start --pool {pool.name} --type {pool.type}",
            )


async def start(
    deployment: str,
    parameters: Mapping[str, Any],
    *,
    digest: str | None = None,
    name: str | None = None,
    tags: tuple[str, ...] = (),
    work_queue: str | None = None,
) -> FlowRun:
    """Start a deployment, with the plan's tag if a digest is given, and with `tags`.

    `work_queue` names the queue whose workers carry it out. None: the deployment's.

    Raises Refused if the deployment does not exist.
    """
    tags = (TAG, *((names.plan_tag(digest),) if digest else ()), *tags)
    async with get_client() as client:
        found = await read_deployment(client, deployment)
        return await client.create_flow_run_from_deployment(
            found.id, parameters=dict(parameters), tags=tags, name=name, work_queue_name=work_queue
        )


async def start_migration(digest: str, *, token: str = "", requester: str = "") -> FlowRun:
    """Start a coordinator for a stored plan. Raises Refused while another one carries the plan out.

    `token`: names the decision that its stages may begin without an approval (`decisions.store_without_gates`).
    `requester`: object id of the person who starts it.
    """
    async with get_client() as client:
        for run in await runs_of(client, digest, coordinators=True, live=True):
            raise Refused(
                f"plan {names.short(digest)} is being carried out by run {run.name} ({run.id})",
                remedy=f"follow it: {names.run_page(run.id)}; if its machine died: aks-entra migrate --resume "
                f"{str(run.id)[:8]}",
            )
    tags = names.started_tags(token, requester)
    return await start(names.MIGRATE_FLEET, {"plan": digest}, digest=digest, tags=tags)


async def start_fleet(fleet: Mapping[str, Any], *, requester: str = "") -> FlowRun:
    """Start a coordinator that plans a fleet first; `fleet` is a fleet file's content."""
    return await start(names.MIGRATE_FLEET, {"fleet": dict(fleet)}, tags=names.started_tags("", requester))


async def tag_run(run: UUID, digest: str, fleet: str) -> None:
    """Put the tags of a plan and its fleet on a run that was started before its plan was known."""
    async with get_client() as client:
        found = await client.read_flow_run(run)
        await client.update_flow_run(run, tags={*found.tags, TAG, names.plan_tag(digest), names.fleet_tag(fleet)})


async def began(run: UUID) -> str:
    """Return when a run began for the first time, ISO 8601."""
    async with get_client() as client:
        found = await client.read_flow_run(run)
    return began_at(found).isoformat()


def began_at(run: FlowRun) -> datetime:
    """When a run began for the first time."""
    return run.start_time or run.created or datetime.now(UTC)


async def start_batch(
    plan: FleetPlan, stage: Stage, number: int, members: tuple[ClusterId, ...], coordinator: UUID
) -> FlowRun:
    """Start a batch of a stage, or find the one that runs already: its key is digest, stage, batch and attempt.

    The attempt counts the ended batches of *other* coordinators, and own batches that a shut gate cut short. So a
    coordinator that starts again from the top finds its own batch; a new coordinator finds an orphan that still lives,
    and starts a new batch after one that died. A worker of the clusters' work queue takes it.
    """
    digest, count, own = plan.digest, len(stage.batches), names.coordinator_tag(coordinator)
    (group,) = plan.groups_of(members)
    async with get_client() as client:
        batches = await runs_of(client, digest, stage=stage.name, batch=number)
    over = [run for run in batches if run.state and run.state.is_final()]
    ended = [run for run in over if own not in run.tags or (run.state and run.state.name in names.CUT_SHORT)]
    which = f"{stage.name} {number} of {count}" if count > 1 else stage.name
    return await arun_deployment(
        names.MIGRATE_BATCH,
        parameters={"plan": digest, "stage": stage.name, "members": [member.resource_id for member in members]},
        timeout=0,
        work_queue_name=group.work_queue or None,
        idempotency_key=f"{digest}-{stage.name}-{number}-{len(ended) + 1}",
        flow_run_name=f"{which} · plan {names.short(digest)} · attempt {len(ended) + 1}",
        tags=[
            *(TAG, names.plan_tag(digest), names.fleet_tag(plan.name), names.stage_tag(stage.name)),
            *(names.batch_tag(number), own),
        ],
        as_subflow=True,
    )


async def find_run(name: str) -> FlowRun:
    """Find a coordinator by the beginning of its id, or by its name. Raises Refused unless exactly one matches."""
    async with get_client() as client:
        found = await all_runs(client, flow_filter=FlowFilter(name=FlowFilterName(any_=[names.COORDINATOR])))
    matching = [run for run in found if str(run.id).startswith(name.lower()) or run.name == name]
    if len(matching) == 1:
        return matching[0]
    problem = "no run" if not matching else f"{len(matching)} runs"
    raise Refused(
        f"{problem} of {names.COORDINATOR} is called, or begins with, {name!r}", remedy="copy the id from Prefect's UI"
    )


async def resume(
    run: str, digest: str, *, token: str = "", requester: str = "", tell: Callable[[str], None] = lambda _text: None
) -> FlowRun:
    """Set dead runs of a plan to Crashed and start a new coordinator. Raises Refused while the old one lives or waits.

    For a run on another host this can take minutes: `tell` is told what is waited for.

    The new coordinator names the run that it resumes, so that approvals that have not expired still count. It finds and
    follows a batch that still lives.
    """
    async with get_client() as client:
        dead = []
        for one in await runs_of(client, digest, live=True):
            state = await settled(client, one, tell)
            if state is Liveness.DEAD:
                dead.append(one)
            elif names.stage_of(one.tags) is None:
                waits = one.state is not None and one.state.is_paused()
                how = "waiting at its gate" if waits else str(state)
                if one.state is not None and one.state.name == WAITING:
                    how = f"fine ({one.state.message})"
                raise Refused(
                    f"run {one.name} ({one.id}) is {how}: nothing to resume",
                    remedy=f"aks-entra approve {str(one.id)[:8]} --plan {names.short(digest)} --reason …"
                    if waits
                    else f"follow it: {names.run_page(one.id)}",
                )
        await set_to_crashed(client, tuple(dead))
        crashed = [one.id for one in await runs_of(client, digest) if one.state and one.state.is_crashed()]
        await free(client, tuple(crashed))
    tags = (names.resumes_tag(run), *names.started_tags(token, requester))
    return await start(names.MIGRATE_FLEET, {"plan": digest}, digest=digest, name=f"resumes {run[:8]}", tags=tags)


async def runs_of(
    client: PrefectClient,
    digest: str,
    *,
    stage: str | None = None,
    batch: int | None = None,
    coordinators: bool = False,
    live: bool = False,
) -> list[FlowRun]:
    """Return the runs that carry out a plan: a stage's batches, the coordinators, or all. `live`: not yet final."""
    tags = [names.plan_tag(digest)]
    tags += [names.stage_tag(stage)] if stage else []
    tags += [names.batch_tag(batch)] if batch else []
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=list(LIVE_STATES))) if live else None
    return await all_runs(
        client,
        flow_filter=FlowFilter(name=FlowFilterName(any_=[names.COORDINATOR])) if coordinators else None,
        flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=tags), state=state),
    )


async def stages_begun(*digests: str) -> frozenset[str]:
    """Return the stages of which a batch was ever started under one of these plans."""
    async with get_client() as client:
        found = [run for digest in digests if digest for run in await runs_of(client, digest)]
    return frozenset(stage for run in found if (stage := names.stage_of(run.tags)) is not None)
