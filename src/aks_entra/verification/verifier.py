"""Look at a cluster from outside without writing, and gather the evidence for the verdict."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from aks_entra.core.cluster import Identity, Posture
from aks_entra.core.evidence.observations import LOOKING, AdminCredentialRefused, CertificatesRotated, Evidence, Moment
from aks_entra.core.planning.job import Job
from aks_entra.core.target import Keep
from aks_entra.errors import Diverged
from aks_entra.ports.migration import HeldCredential, Ports
from aks_entra.probes import checks, deny_policy, doors, old_credentials, sign_in
from aks_entra.probes.checks import Timeouts
from aks_entra.retry import persist

_T = TypeVar("_T")


async def verify(
    ports: Ports, timeouts: Timeouts, job: Job, *, held: HeldCredential | None = None
) -> tuple[Evidence, ...]:
    """Return what can be seen of one cluster now. `held` describes an old kubeconfig that a person gave, if any.

    What cannot be read becomes a Failure of step "verify". No error is raised.
    """
    return (await look(ports, timeouts, job, held=held))[0]


async def look(
    ports: Ports, timeouts: Timeouts, job: Job, *, held: HeldCredential | None = None
) -> tuple[tuple[Evidence, ...], Posture | None]:
    """Do the same as `verify`, and return the posture too. It is None if it could not be read."""
    verification = _Verification(ports, timeouts, job)
    at = checks.stamp(ports.clock)
    posture = await verification.at(lambda: checks.read(ports, job.plan.cluster))
    if posture is not None:
        await verification.around(posture, held, (at, checks.stamp(ports.clock)))
    return tuple(verification.evidence), posture


class _Verification:
    """One cluster, and what was seen of it so far."""

    def __init__(self, ports: Ports, timeouts: Timeouts, job: Job) -> None:
        self.evidence: list[Evidence] = []
        self._ports = ports
        self._timeouts = timeouts
        self._job = job

    async def at(self, call: Callable[[], Awaitable[_T]], *, patient: bool = True) -> _T | None:
        """Call once, and wait out throttling for a short time. An error becomes evidence, and None is returned."""
        try:
            return await persist(self._ports.clock, self._timeouts.look if patient else 0.0, call)
        except Exception as error:  # noqa: BLE001 - what one look cannot see must not hide what the others see
            seen = checks.failure(error, checks.stamp(self._ports.clock))
            self.evidence.append(replace(seen, step=LOOKING))
            return None

    async def around(self, posture: Posture, held: HeldCredential | None, read: tuple[str, str]) -> None:
        """Gather everything that can be seen of a cluster whose posture and CA were read between two moments."""
        ports, job, plan = self._ports, self._job, self._job.plan
        ca, rotates = checks.authority(posture), plan.rotates
        rotated = rotates is not None and ca.fingerprint != rotates.ca_before
        if rotates is not None and rotated:
            self.evidence += await self.at(lambda: checks.closed_before(ports, job)) or ()
            self.evidence.append(
                CertificatesRotated(
                    at=checks.stamp(ports.clock),
                    ca_before=rotates.ca_before,
                    ca_after=ca.fingerprint,
                    ca_not_before=ca.not_before,
                    changed=False,
                    etag=posture.etag or "",
                )
            )
        old = held is not None and held.ca.fingerprint != ca.fingerprint
        moment = Moment.AFTER if rotated or old else Moment.BEFORE
        self.evidence += await self.at(lambda: old_credentials.tried(ports, posture, moment, held)) or ()
        signs_in = posture.identity is Identity.MANAGED  # if not, the API server will not accept a token later either
        self._keep(await self.at(lambda: sign_in.sign_in(ports, job, posture, Moment.AFTER), patient=signs_in))
        self._keep(await self.at(lambda: checks.nodes(ports, posture), patient=signs_in))
        baseline = await self.at(lambda: ports.journal.baseline(job.digest, plan.cluster))
        if baseline is not None:
            self._keep(await self.at(lambda: checks.workloads(ports, posture, baseline)))
        if not posture.local_accounts:
            self._keep(await self.at(lambda: self._refusal(posture)))
            self.evidence.append(await old_credentials.activity_log(ports, self._timeouts.look, plan.cluster))
            if plan.target.keep is Keep.DENY:
                self._keep(await self.at(lambda: deny_policy.look(ports, plan.cluster)))
        self.evidence += await doors.look(ports, posture)
        self._keep(checks.authority_seen(ports, posture))
        self._keep(checks.token_held(ports.clock, held))
        self.evidence.append(checks.state(read[0], posture, read[1]))

    async def _refusal(self, posture: Posture) -> AdminCredentialRefused:
        """See that ARM refuses admin credentials. Call it only while accounts are off, or else it fetches one."""
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
