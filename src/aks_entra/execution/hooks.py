"""Carries out the hooks that need Azure and clusters alone. Those that need Prefect are in `prefect_client.hooks`."""

from __future__ import annotations

from collections.abc import Mapping

from aks_entra.core.evidence.hook_runs import HookStatus
from aks_entra.core.evidence.observations import CertificatesRotated
from aks_entra.core.hooks.model import UpdateArgoCdSecret, UpdateFluxSecret, after_rotation, filled, hub_of
from aks_entra.core.hooks.results import HookEnd
from aks_entra.core.planning.job import Job
from aks_entra.core.rollout.caller_recipes import FLUX
from aks_entra.errors import Refused
from aks_entra.ports.migration import Ports

NOT_FOUND = "add the cluster to Argo CD there, or correct `cluster`, `namespace` or `name` of the hook and plan again"
STALE = (
    "give Argo CD a workload identity: `execProviderConfig` with kubelogin in place of this credential "
    "(docs/how-to/after-the-rotation.md); then `aks-entra migrate --resume`"
)
NO_FLUX = "correct `cluster`, `namespace` or `name` of the hook, or take it out, and plan again"
MOVE_FLUX = f"let Flux sign in with Microsoft Entra ID: {FLUX.move} ({FLUX.anchor}); then plan again without this hook"


async def new_authority(ports: Ports, job: Job, rotated: CertificatesRotated) -> dict[str, str]:
    """Return what templates know after the rotation. The CA is read anew, because nobody holds it any more.

    Raises:
        Refused: the CA is not the one that the rotation left.
    """
    cluster = job.plan.cluster
    posture = await ports.arm.cluster(cluster)
    authority = await ports.arm.certificate_authority(cluster)
    pem = ports.vault.authority(cluster) or ""
    if authority.fingerprint != rotated.ca_after:
        raise Refused(
            f"the CA is {authority.fingerprint}, and the rotation left {rotated.ca_after}",
            remedy="somebody rotated again: plan again",
            code="CaChanged",
        )
    return after_rotation(cluster, plan=job.digest, fqdn=posture.fqdn or "", fingerprint=authority.fingerprint, pem=pem)


async def update_argocd_secret(
    ports: Ports, job: Job, hook: UpdateArgoCdSecret, rotated: CertificatesRotated, known: Mapping[str, str]
) -> HookEnd:
    """Write the new CA into the secrets of the hub. `known`: what `new_authority` returned.

    A credential in a secret that the rotation ended is not replaced: Argo CD cannot sign in, so the hook has failed.
    """
    hub = await ports.arm.cluster(hub_of(hook, job.plan.cluster))
    assert ports.hubs is not None  # noqa: S101 - a session on the real services has every port
    secrets = await ports.hubs.update_argocd_secrets(
        hub,
        namespace=hook.namespace,
        name=str(filled(hook.name, known)),
        server=known["server"],
        ca_data=known["certificate_authority_data"],
        rotated_at=rotated.at,
    )
    if not secrets:
        detail = f"{hub.cluster} has no Argo CD secret for {known['server']} in namespace {hook.namespace}"
        return HookEnd(status=HookStatus.FAILED, detail=detail, remedy=NOT_FOUND)
    said = [f"secret {one.name} {'has the new CA' if one.changed else 'had the new CA already'}" for one in secrets]
    stale = [
        f"the {one.stale} in {one.name} is from before the rotation and does not work" for one in secrets if one.stale
    ]
    if stale:
        return HookEnd(status=HookStatus.FAILED, detail="; ".join((*said, *stale)), remedy=STALE)
    return HookEnd(status=HookStatus.DONE, detail="; ".join(said))


async def update_flux_secret(
    ports: Ports, job: Job, hook: UpdateFluxSecret, rotated: CertificatesRotated, known: Mapping[str, str]
) -> HookEnd:
    """Write the new CA into Flux's Secret in the hub. `known`: what `new_authority` returned.

    The user of the kubeconfig stays as it is. If Flux cannot sign in with it, the hook has failed.
    """
    hub = await ports.arm.cluster(hub_of(hook, job.plan.cluster))
    name = str(filled(hook.name, known))
    assert ports.hubs is not None  # noqa: S101 - a session on the real services has every port
    secret = await ports.hubs.update_flux_secret(
        hub,
        namespace=hook.namespace,
        name=name,
        key=hook.key,
        server=known["server"],
        ca_data=known["certificate_authority_data"],
        rotated_at=rotated.at,
    )
    if secret is None:
        detail = f"{hub.cluster} has no secret {name} in namespace {hook.namespace}"
        return HookEnd(status=HookStatus.FAILED, detail=detail, remedy=NO_FLUX)
    said = f"secret {name} {'has the new CA' if secret.changed else 'had the new CA already'}"
    if secret.problem:
        detail = f"{said}, but Flux cannot sign in with it: {secret.problem}"
        return HookEnd(status=HookStatus.FAILED, detail=detail, remedy=MOVE_FLUX)
    return HookEnd(status=HookStatus.DONE, detail=said)
