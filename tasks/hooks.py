"""One task for each kind of hook after a rotation. Its result stands beside the cluster's proofs."""

from __future__ import annotations

from collections.abc import Mapping

from aks_entra.core.evidence.observations import CertificatesRotated
from aks_entra.core.hooks.model import EmitEvent, RunDeployment, UpdateArgoCdSecret, UpdateFluxSecret
from aks_entra.core.hooks.results import HookEnd
from aks_entra.core.planning.job import Job
from aks_entra.execution import hooks
from aks_entra.execution.hook_turns import run_hooks
from aks_entra.prefect_client import hooks as hooks_at_prefect
from aks_entra.wiring import current_session
from tasks.azure_task import observable

run_in_turn = run_hooks
"""The loop that runs the hooks of a cluster. A batch gives it the tasks below."""


@observable("read the new CA")
async def new_authority(job: Job, rotated: CertificatesRotated) -> Mapping[str, str]:
    """Return what the templates of hooks know after the rotation."""
    return await hooks.new_authority(current_session().ports, job, rotated)


@observable("update_argocd_secret")
async def update_argocd_secret(
    job: Job, hook: UpdateArgoCdSecret, rotated: CertificatesRotated, known: Mapping[str, str]
) -> HookEnd:
    """Write the new CA into Argo CD's secret in the hub."""
    return await hooks.update_argocd_secret(current_session().ports, job, hook, rotated, known)


@observable("update_flux_secret")
async def update_flux_secret(
    job: Job, hook: UpdateFluxSecret, rotated: CertificatesRotated, known: Mapping[str, str]
) -> HookEnd:
    """Write the new CA into Flux's Secret in the hub."""
    return await hooks.update_flux_secret(current_session().ports, job, hook, rotated, known)


@observable("run_deployment")
async def run_deployment(job: Job, place: int, hook: RunDeployment, known: Mapping[str, str]) -> HookEnd:  # noqa: ARG001 - the task is named after the job's cluster
    """Run the deployment, and wait for its end if the hook says so."""
    return await hooks_at_prefect.run_deployment(place, hook, known)


@observable("emit")
async def emit(job: Job, hook: EmitEvent, known: Mapping[str, str]) -> HookEnd:
    """Send the event."""
    return await hooks_at_prefect.emit(hook, job.plan.cluster, known)
