"""Read facts for preflight. Facts that clusters share are read once. What cannot be read is None (unknown)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final, TypeVar, cast

from aks_entra.core.cluster import Posture
from aks_entra.core.deny_policy import REMOVE
from aks_entra.core.preflight import GroupFacts, Memberships
from aks_entra.core.steps import (
    DisableLocalAccounts,
    EnableLocalAccounts,
    RecordBaseline,
    RemoveDenyPolicy,
    RotateCertificates,
    Step,
    writes,
)
from aks_entra.core.target import AzureRbac, Target
from aks_entra.errors import AksEntraError, TryLater
from aks_entra.ports.migration import Ports
from aks_entra.retry import persist

_T = TypeVar("_T")
_PATIENCE: Final = 300.0  # seconds: how long throttling is waited out for one read
_MANAGED_CLUSTERS: Final = "Microsoft.ContainerService/managedClusters"


class Reading:
    """One reading of several clusters. With `at_once`, TryLater is raised, and the caller tries again."""

    def __init__(self, ports: Ports, *, at_once: bool = False) -> None:
        self._ports = ports
        self._at_once = at_once
        self._shared: dict[tuple[str, str], asyncio.Future[object]] = {}

    async def patiently(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Read, and wait out throttling."""
        return await persist(self._ports.clock, 0.0 if self._at_once else _PATIENCE, call)

    async def known(self, call: Callable[[], Awaitable[_T | None]]) -> _T | None:
        """Return a fact, or None if it cannot be read. Preflight shows None as unknown."""
        try:
            return await self.patiently(call)
        except TryLater:
            if self._at_once:
                raise
            return None
        except AksEntraError:
            return None

    async def once(self, kind: str, name: str, call: Callable[[], Awaitable[_T]]) -> _T:
        """Read once what several clusters share, even if they ask at the same time.

        A read that fails is made again for the next cluster that asks. A cancelled cluster ends no other's read.
        """
        key = (kind, name.casefold())
        if key not in self._shared:
            self._shared[key] = asyncio.ensure_future(self.patiently(call))
            self._shared[key].add_done_callback(partial(self._keep, key))
        return cast("_T", await asyncio.shield(self._shared[key]))  # one kind has one type of answer

    def _keep(self, key: tuple[str, str], answer: asyncio.Future[object]) -> None:
        if answer.cancelled() or answer.exception() is not None:
            self._shared.pop(key, None)

    async def groups(self, ids: Iterable[str], prover: str) -> tuple[GroupFacts, ...]:
        """Read each group once. A group that cannot be read is unknown."""
        wanted = tuple(dict.fromkeys(group_id.lower() for group_id in ids))
        return tuple(await asyncio.gather(*(self._group(group_id, prover) for group_id in wanted)))

    async def memberships(self, principal_id: str) -> Memberships | None:
        """Return the number of a principal's groups. None if it cannot be read."""
        return await self.once("memberships", principal_id, lambda: self._ports.directory.memberships(principal_id))

    async def by_role(self, posture: Posture, target: Target, prover: str) -> bool | None:
        """Return whether the prover holds Cluster Admin. It is read only if role assignments will count."""
        kept = target.azure_rbac is AzureRbac.KEEP and posture.azure_rbac
        if not kept and target.azure_rbac is not AzureRbac.ON:
            return False
        return await self.known(lambda: self._ports.arm.is_cluster_admin(posture.cluster, prover))

    async def _group(self, group_id: str, prover: str) -> GroupFacts:
        facts = await self.known(
            lambda: self.once(
                "group", f"{group_id} {prover}", lambda: self._ports.directory.group(group_id, prover=prover)
            )
        )
        return facts or GroupFacts(id=group_id)


def needed_actions(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Return the ARM actions that the runner needs for the steps, and to enable local accounts again."""
    actions = ["read", "listClusterUserCredential/action"]
    if any(writes(step) and not isinstance(step, RotateCertificates) for step in steps):
        actions.append("write")
    asks = DisableLocalAccounts | RecordBaseline | RotateCertificates | EnableLocalAccounts
    if any(isinstance(step, asks) for step in steps):
        actions += ["write", "listClusterAdminCredential/action"]
    if any(isinstance(step, RotateCertificates) for step in steps):
        actions.append("rotateClusterCertificates/action")
    policy = (REMOVE,) if any(isinstance(step, RemoveDenyPolicy) for step in steps) else ()
    return (*(f"{_MANAGED_CLUSTERS}/{action}" for action in dict.fromkeys(actions)), *policy)
