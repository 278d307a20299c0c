"""Runs the hooks of a plan after the rotation of a cluster, one task for each. The proofs do not depend on them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from aks_entra.core.durations import exact_stamp
from aks_entra.core.evidence.hook_runs import HookRan, HookStatus
from aks_entra.core.evidence.observations import CertificatesRotated
from aks_entra.core.hooks.model import EmitEvent, Hook, RunDeployment, UpdateArgoCdSecret, UpdateFluxSecret, words_of
from aks_entra.core.hooks.results import DueHook, HookEnd, due, not_yet, rotation_in
from aks_entra.core.planning.job import Job
from aks_entra.core.verdict.verdict import Verdict, with_hooks
from aks_entra.errors import AksEntraError
from aks_entra.prefect_client import stored_documents
from aks_entra.prefect_client.batch_progress import BatchTracker
from aks_entra.prefect_client.hooks import keep_runs, kept_runs
from aks_entra.prefect_client.migration_records import store_verdict
from aks_entra.wiring import current_session
from flows.rollout.cancellation import SECONDS
from tasks.evidence import say_evidence
from tasks.hooks import emit, new_authority, run_deployment, update_argocd_secret, update_flux_secret

AGAIN = "aks-entra migrate --resume RUN: it asks for an approval, and runs the hooks that are not done"


async def run_hooks(job: Job, after: tuple[Hook, ...], verdict: Verdict, tracker: BatchTracker) -> Verdict:
    """Run the hooks that are due at a cluster. Returns its verdict with their results, which are stored one by one.

    Only a cancellation is raised. Then the verdict is stored, and says which hooks were not run.
    """
    rotated = rotation_in(verdict.evidence)
    if not after or rotated is None:
        return verdict
    kept: tuple[HookRan, ...] = ()
    ran: tuple[HookRan, ...] = ()
    left = due(after, (rotated,))
    try:
        kept = await kept_runs(job.digest, job.plan.cluster)
        left = due(after, (rotated, *kept))
        known: Mapping[str, str] | HookEnd | None = None
        if why := not_yet(rotated, verdict.evidence, may_write=not current_session().look_only):
            known = HookEnd(status=HookStatus.NOT_RUN, detail=why, remedy=AGAIN)
        for one in left:
            with tracker.step(job.plan.cluster, one.hook.kind):
                known = await _known(job, rotated) if known is None else known
                end = known if isinstance(known, HookEnd) else await _run(job, one, rotated, known)
            ran += (_result(one, rotated, end),)
            say_evidence(job.plan.cluster, ran[-1:])
            await keep_runs(job.digest, job.plan.cluster, (*kept, *ran))
    except asyncio.CancelledError:
        stopped = HookEnd(status=HookStatus.NOT_RUN, detail="the run was stopped", remedy=AGAIN)
        await _store_stopped(job, _with(verdict, kept, ran, _all(left[len(ran) :], rotated, stopped)))
        raise
    except Exception as error:  # noqa: BLE001 - Prefect's server did not answer; the cluster's proofs stand
        unknown = HookEnd(status=HookStatus.FAILED, detail=stored_documents.words_of(error), remedy=AGAIN)
        return _with(verdict, kept, ran, _all(left[len(ran) :], rotated, unknown))
    return _with(verdict, kept, ran)


async def _known(job: Job, rotated: CertificatesRotated) -> Mapping[str, str] | HookEnd:
    """Return what templates know, or why no hook can run."""
    try:
        return await new_authority(job, rotated)
    except Exception as error:  # noqa: BLE001 - it is the result of every hook
        return _failed(error)


async def _run(job: Job, one: DueHook, rotated: CertificatesRotated, known: Mapping[str, str]) -> HookEnd:
    """Run the task of a hook. An error is its result."""
    try:
        match one.hook:
            case UpdateArgoCdSecret():
                return await update_argocd_secret(job, one.hook, rotated, known)
            case UpdateFluxSecret():
                return await update_flux_secret(job, one.hook, rotated, known)
            case RunDeployment():
                return await run_deployment(job, one.place, one.hook, known)
            case EmitEvent():
                return await emit(job, one.hook, known)
            case _:
                assert_never(one.hook)
    except Exception as error:  # noqa: BLE001 - one hook's trouble is its result, and the others still run
        return _failed(error)


def _failed(error: Exception) -> HookEnd:
    remedy = (error.remedy if isinstance(error, AksEntraError) else "") or AGAIN
    detail = error.message if isinstance(error, AksEntraError) else stored_documents.words_of(error)
    return HookEnd(status=HookStatus.FAILED, detail=detail, remedy=remedy)


def _result(one: DueHook, rotated: CertificatesRotated, end: HookEnd) -> HookRan:
    return HookRan(
        at=exact_stamp(current_session().ports.clock.now()),
        place=one.place,
        hook=words_of(one.hook),
        status=end.status,
        detail=end.detail,
        remedy=end.remedy,
        ca=rotated.ca_after,
    )


def _all(left: tuple[DueHook, ...], rotated: CertificatesRotated, end: HookEnd) -> tuple[HookRan, ...]:
    """Return one result for several hooks."""
    return tuple(_result(one, rotated, end) for one in left)


def _with(verdict: Verdict, *ran: tuple[HookRan, ...]) -> Verdict:
    return with_hooks(replace(verdict, evidence=(*verdict.evidence, *(one for several in ran for one in several))))


async def _store_stopped(job: Job, verdict: Verdict) -> None:
    """Store the verdict of a cluster whose hooks were stopped. A server that does not answer must not delay the end."""
    try:
        async with asyncio.timeout(SECONDS):
            await store_verdict(job.digest, verdict)
    except Exception:  # noqa: BLE001, S110 - the cancellation continues; the next attempt runs the hooks that are left
        pass
