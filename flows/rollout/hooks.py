"""The hooks of a plan after the rotation of a cluster, one task for each. The proofs do not depend on them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from aks_entra.core.evidence.hook_runs import HookRan, HookStatus
from aks_entra.core.evidence.observations import CertificatesRotated
from aks_entra.core.hooks.model import EmitEvent, Hook, RunDeployment, UpdateArgoCdSecret, UpdateFluxSecret
from aks_entra.core.hooks.results import AGAIN, DueHook, HookEnd
from aks_entra.core.planning.job import Job
from aks_entra.core.verdict.verdict import Verdict
from aks_entra.errors import AksEntraError
from aks_entra.prefect_client import stored_documents
from aks_entra.prefect_client.batch_progress import BatchTracker
from aks_entra.prefect_client.hooks import keep_runs, kept_runs
from aks_entra.prefect_client.migration_records import store_verdict
from aks_entra.wiring import current_session
from flows.rollout.cancellation import SECONDS
from tasks.evidence import say_evidence
from tasks.hooks import emit, new_authority, run_deployment, run_in_turn, update_argocd_secret, update_flux_secret


async def run_hooks(job: Job, after: tuple[Hook, ...], verdict: Verdict, tracker: BatchTracker) -> Verdict:
    """Run the hooks that are due at a cluster, each as a task. Returns its verdict with their results.

    Only a cancellation is raised. Then the verdict is stored, and says which hooks were not run.
    """
    session = current_session()
    runner = BatchHooks(job=job, tracker=tracker)
    return await run_in_turn(after, verdict, runner, session.ports.clock, may_write=not session.look_only)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchHooks:
    """What the loop of hooks leaves to a batch: the tasks, and the records at Prefect's server."""

    job: Job
    tracker: BatchTracker

    async def kept(self) -> tuple[HookRan, ...]:
        """Return the results of earlier attempts."""
        return await kept_runs(self.job.digest, self.job.plan.cluster)

    async def known(self, rotated: CertificatesRotated) -> Mapping[str, str]:
        """Run the task that reads what templates know."""
        with self.tracker.step(self.job.plan.cluster, new_authority.name):
            return await new_authority(self.job, rotated)

    async def run(self, one: DueHook, rotated: CertificatesRotated, known: Mapping[str, str]) -> HookEnd:
        """Run the task of a hook."""
        with self.tracker.step(self.job.plan.cluster, one.hook.kind):
            match one.hook:
                case UpdateArgoCdSecret():
                    return await update_argocd_secret(self.job, one.hook, rotated, known)
                case UpdateFluxSecret():
                    return await update_flux_secret(self.job, one.hook, rotated, known)
                case RunDeployment():
                    return await run_deployment(self.job, one.place, one.hook, known)
                case EmitEvent():
                    return await emit(self.job, one.hook, known)
                case _:
                    assert_never(one.hook)

    async def keep(self, ran: tuple[HookRan, ...]) -> None:
        """Store the results so far, and say the new one."""
        say_evidence(self.job.plan.cluster, ran[-1:])
        await keep_runs(self.job.digest, self.job.plan.cluster, ran)

    async def stopped(self, verdict: Verdict) -> None:
        """Store the verdict of a cluster whose hooks were stopped. A silent server must not delay the end."""
        try:
            async with asyncio.timeout(SECONDS):
                await store_verdict(self.job.digest, verdict)
        except Exception:  # noqa: BLE001, S110 - the cancellation continues; the next attempt runs the hooks that are left
            pass

    def failed(self, error: Exception) -> HookEnd:
        """Return an error as the result of a hook."""
        if isinstance(error, AksEntraError):
            return HookEnd(status=HookStatus.FAILED, detail=error.message, remedy=error.remedy or AGAIN)
        return HookEnd(status=HookStatus.FAILED, detail=stored_documents.words_of(error), remedy=AGAIN)
