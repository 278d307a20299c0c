"""Looks again from outside, and writes nothing: the evidence of which `core.verdict.judge` makes the verdict."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from aks_entra import proofs
from aks_entra.core.cluster import Posture
from aks_entra.core.evidence import LOOKING, AdminCredentialRefused, CertificatesRotated, Evidence, Moment
from aks_entra.errors import Diverged
from aks_entra.patience import persist
from aks_entra.ports import Ports, Witness
from aks_entra.proofs import Job, Limits

_T = TypeVar("_T")


async def verify(ports: Ports, limits: Limits, job: Job, *, witness: Witness | None = None) -> tuple[Evidence, ...]:
    """What can be seen of one cluster now. `witness` is what `Vault.hand_in` said of an old kubeconfig, if any.

    What could not be looked at becomes a Failure of step "verify"; nothing is raised for one cluster's trouble.
    """
    look = _Look(ports, limits, job)
    posture = await look.at(lambda: proofs.read(ports, job.plan.cluster))
    if posture is not None:
        await look.around(posture, witness)
    return tuple(look.evidence)


class _Look:
    """One cluster under the eye, and what was seen of it so far."""

    def __init__(self, ports: Ports, limits: Limits, job: Job) -> None:
        self.evidence: list[Evidence] = []
        self._ports = ports
        self._limits = limits
        self._job = job

    async def at(self, call: Callable[[], Awaitable[_T]]) -> _T | None:
        """One look, throttling waited out for a short while; trouble is written down and None returned."""
        try:
            return await persist(self._ports.clock, self._limits.look, call)
        except Exception as error:  # noqa: BLE001 - what one look cannot see must not hide what the others see
            seen = proofs.failure(error, proofs.stamp(self._ports.clock))
            self.evidence.append(replace(seen, step=LOOKING))
            return None

    async def around(self, posture: Posture, witness: Witness | None) -> None:
        """Everything that can be seen of a cluster whose posture and CA were read."""
        ports, job, plan = self._ports, self._job, self._job.plan
        ca, rotates = proofs.authority(posture), plan.rotates
        rotated = rotates is not None and ca.fingerprint != rotates.ca_before
        if rotates is not None and rotated:
            self.evidence.append(
                CertificatesRotated(
                    at=proofs.stamp(ports.clock),
                    ca_before=rotates.ca_before,
                    ca_after=ca.fingerprint,
                    ca_not_before=ca.not_before,
                    changed=False,
                )
            )
        old = witness is not None and witness.ca.fingerprint != ca.fingerprint
        moment = Moment.AFTER if rotated or old else Moment.BEFORE
        self.evidence += await self.at(lambda: proofs.tried(ports, posture, moment, witness)) or ()
        self._keep(await self.at(lambda: proofs.sign_in(ports, job, posture, Moment.AFTER)))
        self._keep(await self.at(lambda: proofs.nodes(ports, posture)))
        baseline = await self.at(lambda: ports.journal.baseline(job.digest, plan.cluster))
        if baseline is not None:
            self._keep(await self.at(lambda: proofs.workloads(ports, posture, baseline)))
        if not posture.local_accounts:
            self._keep(await self.at(lambda: self._refusal(posture)))
        self.evidence.append(proofs.state(ports.clock, posture))

    async def _refusal(self, posture: Posture) -> AdminCredentialRefused:
        """Asked only where ARM shows accounts off: otherwise looking would fetch a credential."""
        answer = await self._ports.arm.hold_admin_credential(posture.cluster)
        if not isinstance(answer, AdminCredentialRefused):
            self._ports.vault.forget(posture.cluster)
            raise Diverged(
                "ARM shows local accounts off, but hands out admin credentials", remedy="look again in a few minutes"
            )
        return answer

    def _keep(self, seen: Evidence | None) -> None:
        if seen is not None:
            self.evidence.append(seen)
