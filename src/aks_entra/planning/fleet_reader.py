"""Reads the clusters of a fleet, several at a time: the list, the TLS handshake, the CA and our own records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeAlias, TypeVar

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.cluster import Depth, Posture
from aks_entra.core.doors.facts import DoorFacts
from aks_entra.core.doors.model import Door
from aks_entra.core.doors.registry import doors_of
from aks_entra.core.evidence.rotation_debt import OldCredentials, Record, needs_log, old_credentials
from aks_entra.core.group_drift import Drift
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.errors import AksEntraError
from aks_entra.planning.reader import Reading
from aks_entra.planning.unreadable_cluster import plan_of_unreadable_again
from aks_entra.ports.migration import Ports
from aks_entra.probes import checks
from aks_entra.probes.doors import look
from aks_entra.probes.old_credentials import activity_log
from aks_entra.retry import REACH, persist

_T = TypeVar("_T")

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called with (done, total, what was just read)."""

_LOG: Final = 300.0  # seconds: how long throttling of the activity log is waited out


class FleetReader(Reading):
    """Reads a fleet, at most `concurrency` clusters at a time. What several clusters share is read once."""

    def __init__(
        self, ports: Ports, records: tuple[Record, ...], concurrency: int, on_progress: Progress | None
    ) -> None:
        super().__init__(ports)
        self._records = records
        self._concurrency = concurrency
        self._on_progress = on_progress
        self._now = checks.stamp(ports.clock)  # before the first read
        self.drifts: dict[str, Drift] = {}  # of the groups that the fleet file declares, by object id

    async def each(
        self,
        postures: tuple[Posture, ...],
        call: Callable[[Posture], Awaitable[_T]],
        instead: Callable[[Posture, Exception], _T],
        *,
        raise_if_all_fail: bool = False,
    ) -> tuple[_T, ...]:
        """Call for each cluster and report the progress. The results are in the order of the clusters.

        `instead` makes the result for a cluster whose call fails. If all of them fail, they have one cause;
        `raise_if_all_fail` raises it.
        """
        done = 0
        failed: list[Exception] = []

        async def one(posture: Posture) -> _T:
            nonlocal done
            try:
                result = await call(posture)
            except Exception as error:  # noqa: BLE001 - the result of this cluster alone
                failed.append(error)
                result = instead(posture, error)
            done += 1
            if self._on_progress is not None:
                self._on_progress(done, len(postures), str(posture.cluster))
            return result

        results = await bounded_gather(one, postures, at_once=self._concurrency)
        if raise_if_all_fail and failed and len(failed) == len(postures):
            raise failed[0]
        return results

    async def again(
        self, plans: tuple[ClusterPlan, ...], call: Callable[[ClusterPlan], Awaitable[ClusterPlan]]
    ) -> tuple[ClusterPlan, ...]:
        """Plan clusters again. A cluster that cannot be read now is refused; the others are planned."""

        async def one(before: ClusterPlan) -> ClusterPlan:
            try:
                return await call(before)
            except Exception as error:  # noqa: BLE001 - the result of this cluster alone
                return plan_of_unreadable_again(before, error)

        return await bounded_gather(one, plans, at_once=self._concurrency)

    async def probed(self, posture: Posture) -> tuple[Posture, str]:
        """Return the posture with the certificate of a TLS handshake, or the unchanged posture and the problem."""
        if posture.fqdn is None:
            return posture, "it has no address yet"
        fqdn = posture.fqdn
        try:
            serving = await persist(self._ports.clock, REACH, lambda: self._ports.kubernetes.handshake(fqdn))
        except AksEntraError as error:
            return posture, error.message
        return replace(posture, serving=serving, depth=Depth.PROBED), ""

    async def read(self, posture: Posture) -> tuple[Posture, str]:
        """Return the posture with its CA, or the unchanged posture and the problem."""
        try:
            ca = await self.patiently(lambda: self._ports.arm.certificate_authority(posture.cluster))
        except AksEntraError as error:
            return posture, error.message
        return posture.with_ca(ca), ""

    async def doors(self, posture: Posture) -> tuple[Door, ...]:
        """Return the doors of a cluster. Without a port for them, only what the posture shows is looked at."""
        seen = await look(self._ports, posture)
        return seen[0].doors if seen else doors_of(DoorFacts(posture=posture))

    async def debt(self, posture: Posture) -> OldCredentials:
        """Weigh our own records and the activity log. The log is read only if it can change the answer."""
        if not needs_log(posture, self._records, now=self._now):
            return old_credentials(posture, self._records, now=self._now)
        log = await activity_log(self._ports, _LOG, posture.cluster)
        return old_credentials(posture, self._records, log, now=self._now)
