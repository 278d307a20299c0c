"""Migrate the members of one stage in this process, side by side: one task per step, one verdict per cluster."""

from __future__ import annotations

import asyncio
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import stamp
from aks_entra.core.gates import still_open
from aks_entra.core.plan import FleetPlan
from aks_entra.core.rollout import Stage, stage_result
from aks_entra.core.verdict import CLOSED
from aks_entra.errors import Refused
from aks_entra.executor import Job
from aks_entra.prefect_client import notes
from aks_entra.prefect_client.archive import PrefectJournal, approval, decided_at, load_plan
from aks_entra.prefect_client.claims import Claims, claim_all
from aks_entra.prefect_client.life import sign_on
from aks_entra.prefect_client.limits import Failures, Places, coordinator
from aks_entra.prefect_client.members import left_out
from aks_entra.prefect_client.names import WINDOW_CLOSED, short
from aks_entra.settings import Settings
from aks_entra.wiring import load_clients, open_session
from flows.member import migrate_member
from flows.outcome import due, leave_out
from flows.stopping import in_line
from tasks.surveys import read_windows


@flow(name="migrate-batch", persist_result=False)
async def migrate_batch(plan: str, stage: str, members: list[str]) -> State[Any]:
    """Carry out an approved plan for some members of one stage.

    Args:
        plan: digest of a stored plan.
        stage: name of the stage in the plan.
        members: ARM ids of the clusters.
    """
    await sign_on()
    fleet = await load_plan(plan)
    wave, clusters = asked_for(fleet, stage, members)
    await require_gate(fleet, wave, clusters)
    places, failures = Places(fleet.digest, wave), Failures(fleet.digest, wave, coordinator=coordinator())
    jobs = [Job(digest=fleet.digest, plan=fleet.plan_for(one), prover=fleet.prover) for one in clusters]

    async def in_turn(job: Job, claims: Claims) -> str:
        async with in_line(places.of(job.plan.cluster), job):
            why = await why_not(wave, job, failures)
            if why:
                await leave_out(fleet, (job.plan.cluster,), why)
            elif not (await migrate_member(job, claims)).sound:
                await failures.note(job.plan.cluster)
            return why

    async with (
        open_session(Settings(), prover=fleet.prover.spec, journal=PrefectJournal()),
        claim_all(clusters) as held,
    ):
        _, *left = await asyncio.gather(load_clients(), *(in_turn(job, held) for job in jobs))
    result = stage_result(wave, await failures.count())
    if not result.go_on:
        return Failed(message=result.because)
    if late := left.count(CLOSED):
        return Completed(name=WINDOW_CLOSED, message=f"{late} of {len(left)} are left for the next opening")
    return Completed(message=result.because)


def asked_for(plan: FleetPlan, stage: str, members: list[str]) -> tuple[Stage, tuple[ClusterId, ...]]:
    """The stage and its members. Refused for others: the gate that was passed is not theirs."""
    found = next((one for one in plan.stages if one.name == stage), None)
    if found is None:
        names = ", ".join(one.name for one in plan.stages)
        raise Refused(f"`stage`: plan {short(plan.digest)} has no stage {stage!r}", remedy=f"it has {names}")
    own = {member.key: member for member in found.members}
    strange = [member for member in members if member.lower().rstrip("/") not in own]
    if strange:
        raise Refused(
            f"`members`: stage {stage} of plan {short(plan.digest)} has no cluster {strange[0]}",
            remedy="start migrate-fleet with this plan: it starts the batches of each stage itself",
        )
    return found, tuple(own[member.lower().rstrip("/")] for member in members)


async def why_not(stage: Stage, job: Job, failures: Failures) -> str:
    """Why a member is not begun when its turn comes: no budget left, skipped, window closed. Empty: it is."""
    so_far = stage_result(stage, await failures.count())
    if not so_far.go_on:
        return so_far.because
    left = await left_out(job.digest, job.plan.cluster)
    if left is not None:
        return left.words
    gate = stage.gate("before")
    if gate is None:
        return ""
    windows = (await read_windows((job.plan.cluster,)))[0] if gate.maintenance_window else ()
    return "" if still_open(gate, now=notes.now(), maintenance=windows) else CLOSED


async def require_gate(plan: FleetPlan, stage: Stage, clusters: tuple[ClusterId, ...]) -> None:
    """Refused when the stage's gate was not passed for this plan, whoever started this run.

    An approval is valid that counts now, or that counted when the stage began: a batch may begin long after its stage
    did. Windows are looked at when each member's turn comes.
    """
    gate = stage.gate("before")
    if gate is None or not set(clusters) & set(await due(plan, stage, to_write=True)):
        return
    remedy = "start migrate-fleet with this plan: it waits at the gate and starts its batches itself"
    began = await notes.begun(plan.digest, stage.name)
    given = decided_at(await approval(plan.digest, stage.name, "before"))
    counted = given is not None and any(gate.counts(given, at) for at in (notes.now(), began) if at is not None)
    if gate.approval and not counted:
        late = f", or too long ago ({stamp(given)})" if given else ""
        raise Refused(f"stage {stage.name} of plan {short(plan.digest)} was not approved{late}", remedy=remedy)
    if began is None and (gate.wait or gate.not_before):
        raise Refused(f"stage {stage.name} of plan {short(plan.digest)} waits for its time", remedy=remedy)
