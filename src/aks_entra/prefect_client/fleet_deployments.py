"""The deployments of a fleet at Prefect's server: what a fleet file asks for, what is there, and making it so.

A fleet's deployment is a copy of the one in prefect.yaml with the fleet as its parameter. A tag says whose it is. Only
deployments with that tag are changed or removed, and in them only the schedule and the automation made here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate
from prefect.client.schemas.objects import DeploymentSchedule, WorkPool
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule

from aks_entra.core.deployments import Change, ChangeKind, Deployment
from aks_entra.errors import Refused
from aks_entra.prefect_client import events, fleet_runs, fleet_triggers, names
from aks_entra.prefect_client.automations import translated
from aks_entra.prefect_client.deployments import find_deployment, our_deployments, read_deployment
from aks_entra.prefect_client.work_pools import lacks_worker, read_work_pool, unpolled_work_queues

if TYPE_CHECKING:
    from aks_entra.fleet_file.model import FleetFile

LARGEST: Final = 512 * 1024
"""Bytes: Prefect's server refuses larger parameters."""
RESERVED: Final = frozenset(name.rpartition("/")[2] for name in (*names.DEPLOYMENTS, names.ON_REQUEST))
"""Names of deployments in prefect.yaml, which no fleet can have."""
SCHEDULE: Final = "aks-entra-runs"
"""Slug of the schedule that the fleet file asks for. Other schedules of the deployment are left alone."""
_DESCRIPTIONS: Final = {
    "migrate": "Migrate fleet {}. Gated: each stage waits for an approval of this run and this plan.",
    "verify": "Verify fleet {} from outside. Reads only.",
    "inventory": "Show what each cluster of fleet {} is. Reads only.",
}
_RUN_OF: Final = {full.partition("/")[0]: run for run, full in names.FLEET_RUNS.items()}


async def wanted(
    fleet: FleetFile, *, pool: str | None = None, queue: str | None = None, variables: Mapping[str, Any] | None = None
) -> tuple[Deployment, ...]:
    """Return the deployments that a fleet file asks for.

    Without `pool`, `queue` and `variables` they are those of the deployments in prefect.yaml.

    Raises:
        Refused: the fleet's name is taken, the fleet is too large, or the runbooks or the work pool are not deployed.
    """
    if fleet.name in RESERVED:
        raise Refused(f"{fleet.name} is the name of a deployment of prefect.yaml", remedy="rename it", field="name")
    content = fleet.to_parameter()
    if len(json.dumps({"fleet": content}, separators=(",", ":"))) > LARGEST:
        raise Refused(
            f"fleet {fleet.name} has more than {LARGEST // 1024} KiB, and Prefect takes no larger parameters",
            remedy="split the fleet into several files",
        )
    made = []
    async with get_client() as client:
        for run, starts in fleet.deployed_runs.deployed():
            base = await _base(client, run)
            chosen = await read_work_pool(client, pool or base.work_pool_name or names.WORK_POOL)
            same = chosen.name == base.work_pool_name
            inherited = base.job_variables if same else _known(chosen, base.job_variables)
            made.append(
                Deployment(
                    flow=names.FLEET_RUNS[run].partition("/")[0],
                    name=fleet.name,
                    fleet=_json(content),
                    schedule=f"{starts.cron} {starts.timezone}" if starts.cron else "",
                    event=events.REQUESTED[run] if starts.on_event else "",
                    pool=chosen.name,
                    queue=queue or (base.work_queue_name if same else None) or "default",
                    job_variables=_json({**inherited, **(variables or {})}),
                    tags=_tags(base, fleet.name),
                    description=_DESCRIPTIONS[run].format(fleet.name),
                    runbook=_runbook(base),
                )
            )
    return tuple(made)


async def found(fleet: str) -> tuple[Deployment, ...]:
    """Return the deployments of a fleet that are there. Raises Refused if one of its names belongs to somebody else."""
    async with get_client() as client:
        there = await _all_of(client, fleet)
        for name, one in there.items():
            if names.fleet_of(one.tags) != fleet:
                raise Refused(
                    f"deployment {name} exists, and `aks-entra deploy` did not make it",
                    remedy=f"rename the fleet, delete the deployment, or give it the tag {names.fleet_tag(fleet)}",
                )
        return tuple([await _seen(client, name.partition("/")[0], one) for name, one in there.items()])


async def require_no_runs_left(change: Change) -> None:
    """Raise Refused if a run of a deployment that is to be removed has begun and is not over.

    A run that waits at a gate begins again from its deployment. Without it, no worker could continue the run.
    """
    if change.kind is not ChangeKind.REMOVE or change.of_automation:
        return
    async with get_client() as client:
        there = await find_deployment(client, change.name)
        if there is None:
            return
        for run in await fleet_runs.begun_and_not_over(client, there.id):
            raise Refused(
                f"{change.name} cannot be removed: its run {run.name} ({str(run.id)[:8]}) is not over",
                remedy=f"wait for it, or end it (aks-entra stop {str(run.id)[:8]}); then deploy again",
            )


async def deployed_fleets() -> tuple[str, ...]:
    """Return the names of the fleets that have deployments."""
    async with get_client() as client:
        tagged = [one for one in await our_deployments(client) if names.fleet_of(one.tags) == one.name]
    return tuple(sorted({one.name for one in tagged}))


async def switched_off(fleet: str) -> tuple[str, ...]:
    """Return the deployments of a fleet that a person paused, and those whose schedule or trigger is switched off."""
    off = []
    async with get_client() as client:
        for name, one in (await _all_of(client, fleet)).items():
            active = [it.active for it in _own_schedules(one)]
            enabled = [it.enabled for it in await fleet_triggers.own_automations(client, one)]
            if one.paused or not all(active + enabled):
                off.append(name)
    return tuple(off)


async def without_worker(pools: Iterable[str]) -> tuple[str, ...]:
    """Return the work pools that need a worker and have none online."""
    async with get_client() as client:
        named = [await read_work_pool(client, name) for name in sorted(set(pools))]
        return tuple([pool.name for pool in named if await lacks_worker(client, pool)])


async def work_queues_without_worker(fleet: FleetFile, pool: str) -> tuple[str, ...]:
    """Return the work queues that a fleet names and no worker polls. They are made if they do not exist."""
    stages = fleet.rollout.stages if fleet.rollout else ()
    queues = {group.work_queue for stage in stages for group in stage.groups if group.work_queue}
    async with get_client() as client:
        return await unpolled_work_queues(client, await read_work_pool(client, pool), queues)


async def apply(change: Change) -> None:
    """Carry out one change. Raises Rejected, with the server's reason, if Prefect's server does not accept it."""
    if change.kind is ChangeKind.NOTHING:
        return
    async with get_client() as client:
        with translated(change.name):
            if isinstance(change.wanted, Deployment):
                await _make(client, change.wanted)
            else:
                await _remove(client, change.name)


async def pages(fleet: str) -> dict[str, str]:
    """Return the pages of a fleet's deployments in Prefect's UI, by name."""
    async with get_client() as client:
        return {name: names.deployment_page(one.id) for name, one in (await _all_of(client, fleet)).items()}


async def _make(client: PrefectClient, wanted: Deployment) -> None:
    """Create or update a deployment, its schedule and its automation."""
    run = _RUN_OF[wanted.flow]
    base = await _base(client, run)
    settings: dict[str, Any] = {
        "parameters": {"fleet": json.loads(wanted.fleet)},
        "description": wanted.description,
        "tags": list(wanted.tags),
        "work_pool_name": wanted.pool,
        "work_queue_name": wanted.queue,
        "job_variables": json.loads(wanted.job_variables),
        "entrypoint": base.entrypoint,
        "path": base.path,
        "pull_steps": base.pull_steps,
        "parameter_openapi_schema": base.parameter_openapi_schema,
        "enforce_parameter_schema": not wanted.event,  # a bad event must become a run that says what is wrong
    }
    there = await find_deployment(client, wanted.full_name)
    if there is None:
        made = await client.create_deployment(flow_id=base.flow_id, name=wanted.name, **settings)
        there = await client.read_deployment(made)
    else:
        await client.update_deployment(there.id, DeploymentUpdate(**settings))
    await _set_schedule(client, there, wanted.schedule)
    await fleet_triggers.set_event(client, there, wanted)


async def _remove(client: PrefectClient, name: str) -> None:
    there = await find_deployment(client, name)
    if there is None:
        return
    for automation in await fleet_triggers.own_automations(client, there):
        await client.delete_automation(automation.id)
    await client.delete_deployment(there.id)


async def _set_schedule(client: PrefectClient, there: DeploymentResponse, wanted: str) -> None:
    """Create, change or delete our schedule. A schedule that a person paused stays paused."""
    cron, _, timezone = wanted.rpartition(" ")
    own = _own_schedules(there)
    for one in own if not wanted else own[1:]:
        await client.delete_deployment_schedule(there.id, one.id)
    if not wanted:
        return
    schedule = CronSchedule(cron=cron, timezone=timezone)
    if not own:
        await client.create_deployment_schedules(
            there.id, [DeploymentScheduleCreate(schedule=schedule, active=True, slug=SCHEDULE)]
        )
    elif _schedule_text(own[0]) != wanted:
        await client.update_deployment_schedule(there.id, own[0].id, schedule=schedule)


async def _seen(client: PrefectClient, flow: str, one: DeploymentResponse) -> Deployment:
    schedules = _own_schedules(one)
    automations = await fleet_triggers.own_automations(client, one)
    event = ", ".join(fleet_triggers.event_text(it, one.id, flow, one.name) for it in automations)
    return Deployment(
        flow=flow,
        name=one.name,
        fleet=_json(one.parameters.get("fleet")),
        schedule=", ".join(map(_schedule_text, schedules)),
        event=event,
        pool=one.work_pool_name or "",
        queue=one.work_queue_name or "",
        job_variables=_json(one.job_variables),
        tags=tuple(sorted(one.tags)),
        description=one.description or "",
        runbook=_runbook(one, checked=one.enforce_parameter_schema is not bool(event)),
    )


def _own_schedules(one: DeploymentResponse) -> list[DeploymentSchedule]:
    return [schedule for schedule in one.schedules if schedule.slug == SCHEDULE]


def _schedule_text(one: DeploymentSchedule) -> str:
    schedule = one.schedule
    return f"{schedule.cron} {schedule.timezone}" if isinstance(schedule, CronSchedule) else type(schedule).__name__


def _runbook(one: DeploymentResponse, *, checked: bool = True) -> str:
    """Return the entrypoint and a checksum of what a worker needs to run it.

    `checked`: whether the server checks the parameters exactly if no event brings them, as `_make` sets it.
    """
    needed = [one.entrypoint, one.path, one.pull_steps, one.parameter_openapi_schema, checked]
    return f"{one.entrypoint} ({hashlib.sha256(_json(needed).encode()).hexdigest()[:8]})"


def _tags(base: DeploymentResponse, fleet: str) -> tuple[str, ...]:
    return tuple(sorted({*base.tags, names.fleet_tag(fleet)} - {"scheduled"}))


def _known(pool: WorkPool, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the job variables that a work pool's template has."""
    known = pool.base_job_template.get("variables", {}).get("properties", {})
    return {name: value for name, value in variables.items() if name in known}


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


async def _base(client: PrefectClient, run: str) -> DeploymentResponse:
    """Return the deployment of prefect.yaml that a fleet's deployment is copied from."""
    return await read_deployment(client, names.FLEET_RUNS[run])


async def _all_of(client: PrefectClient, fleet: str) -> dict[str, DeploymentResponse]:
    """Return the deployments that have the name of a fleet, by full name. Somebody else may have made them."""
    full = [names.fleet_deployment(run, fleet) for run in names.FLEET_RUNS]
    there = {name: await find_deployment(client, name) for name in full}
    return {name: one for name, one in there.items() if one is not None}
