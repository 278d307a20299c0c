"""Hooks after a rotation in the world in memory: the new CA reaches the hub, and a dead credential is named."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from aks_entra.core.cluster import Identity
from aks_entra.core.evidence.hook_runs import HookStatus
from aks_entra.core.evidence.observations import CertificatesRotated
from aks_entra.core.hooks.model import UpdateArgoCdSecret, UpdateFluxSecret
from aks_entra.core.hooks.results import rotation_in
from aks_entra.errors import Refused
from aks_entra.execution import hooks
from aks_entra.ports.hubs import ArgoCdSecret, FluxSecret
from tests.support.executor_jobs import job_of, planned
from tests.support.memory_ports import Process, World

if TYPE_CHECKING:
    from aks_entra.core.planning.job import Job


class Rotated:
    """A cluster that was rotated, and a hub."""

    def __init__(self, world: World, process: Process, job: Job, rotated: CertificatesRotated) -> None:
        self.world, self.process, self.job, self.rotated = world, process, job, rotated

    async def known(self) -> dict[str, str]:
        return await hooks.new_authority(self.process.ports, self.job, self.rotated)


async def rotated() -> Rotated:
    world = World()
    world.add("shop-01", identity=Identity.MANAGED)
    world.add("hub-01", group="hub-weu", identity=Identity.MANAGED, local_accounts=False)
    plan = await planned(world)
    job = job_of(plan, next(at for at, one in enumerate(plan.clusters) if one.cluster.name == "shop-01"))
    process = world.process()
    verdict = await process.executor.migrate(job)
    done = rotation_in(verdict.evidence)
    assert done is not None
    return Rotated(world, process, job, done)


async def test_the_new_ca_is_read_again_for_the_templates() -> None:
    case = await rotated()
    known = await case.known()
    assert known["ca_fingerprint"] == case.rotated.ca_after
    assert base64.b64decode(known["certificate_authority_data"])
    assert known["server"].startswith("https://")
    assert known["plan"] == case.job.digest


async def test_a_ca_that_somebody_rotated_again_is_written_nowhere() -> None:
    case = await rotated()
    old = CertificatesRotated(
        at=case.rotated.at, ca_before="0", ca_after="of an earlier rotation", ca_not_before="", changed=True
    )
    with pytest.raises(Refused, match="of an earlier rotation") as refused:
        await hooks.new_authority(case.process.ports, case.job, old)
    assert refused.value.code == "CaChanged"


@pytest.mark.parametrize(
    ("stale", "status", "said"),
    [
        ("", HookStatus.DONE, "secret shop has the new CA"),
        ("bearer token", HookStatus.FAILED, "the bearer token in shop is from before the rotation and does not work"),
    ],
)
async def test_the_hub_gets_the_new_ca_and_a_dead_credential_is_named(
    stale: str, status: HookStatus, said: str
) -> None:
    case = await rotated()
    known = await case.known()
    hook = UpdateArgoCdSecret(cluster="hub-weu/hub-01", name="{name}")
    case.world.hubs.secrets["argocd", known["server"]] = (ArgoCdSecret(name="shop", changed=True, stale=stale),)
    end = await hooks.update_argocd_secret(case.process.ports, case.job, hook, case.rotated, known)
    assert (end.status, bool(end.remedy)) == (status, bool(stale))
    assert said in end.detail
    assert case.world.hubs.asked == ["shop-01"]
    assert case.world.hubs.held == {"shop": known["certificate_authority_data"]}
    again = await hooks.update_argocd_secret(case.process.ports, case.job, hook, case.rotated, known)
    assert "had the new CA already" in again.detail


async def test_a_hub_without_the_secret_is_never_done() -> None:
    case = await rotated()
    known = await case.known()
    hook = UpdateArgoCdSecret(cluster="hub-weu/hub-01")
    end = await hooks.update_argocd_secret(case.process.ports, case.job, hook, case.rotated, known)
    assert end.status is HookStatus.FAILED
    assert end.detail == f"hub-weu/hub-01 has no Argo CD secret for {known['server']} in namespace argocd"
    assert "plan again" in end.remedy


FLUX = UpdateFluxSecret(cluster="hub-weu/hub-01", name="{name}-kubeconfig", key="kubeconfig")
OLD = "its client certificate is not from the new CA"


@pytest.mark.parametrize("problem", ["", OLD])
async def test_flux_gets_the_new_ca_and_an_old_admin_certificate_is_never_done(problem: str) -> None:
    case = await rotated()
    known = await case.known()
    held = FluxSecret(server=known["server"], problem=problem)
    case.world.hubs.flux["flux-system", "shop-01-kubeconfig", "kubeconfig"] = held
    end = await hooks.update_flux_secret(case.process.ports, case.job, FLUX, case.rotated, known)
    assert case.world.hubs.held == {"shop-01-kubeconfig": known["certificate_authority_data"]}
    assert end.detail.startswith("secret shop-01-kubeconfig has the new CA")
    if not problem:
        assert (end.status, end.remedy) == (HookStatus.DONE, "")
        again = await hooks.update_flux_secret(case.process.ports, case.job, FLUX, case.rotated, known)
        assert "had the new CA already" in again.detail
        return
    assert end.status is HookStatus.FAILED
    assert end.detail.endswith(f"but Flux cannot sign in with it: {OLD}")
    assert all(said in end.remedy for said in ("configMapRef", "docs/how-to/move-callers.md#flux", "plan again"))


async def test_a_hub_without_the_secret_of_flux_is_never_done() -> None:
    case = await rotated()
    known = await case.known()
    end = await hooks.update_flux_secret(case.process.ports, case.job, FLUX, case.rotated, known)
    assert end.status is HookStatus.FAILED
    assert end.detail == "hub-weu/hub-01 has no secret shop-01-kubeconfig in namespace flux-system"
    assert "plan again" in end.remedy


async def test_a_hub_that_does_not_exist_is_an_error() -> None:
    case = await rotated()
    hook = UpdateArgoCdSecret(cluster="hub-weu/missing")
    with pytest.raises(Refused):
        await hooks.update_argocd_secret(case.process.ports, case.job, hook, case.rotated, await case.known())
