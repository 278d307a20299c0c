"""Reads the audit logs of many clusters: one query for the clusters of a workspace, in pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Final, TypeAlias

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.cluster import ClusterId, Identity, Posture
from aks_entra.core.preflight.audit_callers import AuditLog
from aks_entra.core.rollout.own_calls import OwnCall
from aks_entra.core.rollout.owners import Owner, namespaces_of, owner_in_tags
from aks_entra.core.rollout.quiet import LEAD, Heard, Listened
from aks_entra.errors import AksEntraError, Refused
from aks_entra.ports.migration import AuditTrail, Ports
from aks_entra.retry import persist

OwnCalls: TypeAlias = Callable[[Collection[ClusterId]], Awaitable[Mapping[str, tuple[OwnCall, ...]]]]
"""Returns what was recorded of this program's own calls to clusters, by `ClusterId.key`."""

PAGE: Final = 50
"""Clusters of one query. One whose answer is cut short is asked again in halves."""
_PATIENCE: Final = 300.0  # seconds of throttling
_SIDE_BY_SIDE: Final = 20
_WORKSPACES: Final = 4
"""Queries at a time: Log Analytics runs five of an identity at once."""


async def listen_to(ports: Ports, clusters: Sequence[ClusterId], quiet: int) -> dict[str, Heard]:
    """Return what the audit logs show of the last `quiet` seconds, by `ClusterId.key`. What is unknown says why."""
    audit = ports.audit
    if audit is None:
        return {cluster.key: Heard(unknown="this session cannot read audit logs") for cluster in clusters}
    since = timedelta(seconds=quiet) + LEAD

    async def log_of(cluster: ClusterId) -> tuple[AuditLog | None, str]:
        try:
            return await persist(ports.clock, _PATIENCE, lambda: audit.log_of(cluster))
        except AksEntraError as error:
            return None, error.message

    heard: dict[str, Heard] = {}
    places: dict[AuditLog, list[ClusterId]] = defaultdict(list)
    logs = await bounded_gather(log_of, clusters, at_once=_SIDE_BY_SIDE)
    for cluster, (log, why) in zip(clusters, logs, strict=True):
        if log is None:
            heard[cluster.key] = Heard(unknown=why)
        else:
            places[log].append(cluster)
    pages = [
        (log, tuple(several[start : start + PAGE]))
        for log, several in places.items()
        for start in range(0, len(several), PAGE)
    ]

    async def read(page: tuple[AuditLog, tuple[ClusterId, ...]]) -> dict[str, Heard]:
        return await _page(ports, audit, *page, since)

    for found in await bounded_gather(read, pages, at_once=_WORKSPACES):
        heard |= found
    return heard


async def owners_of(ports: Ports, shut: Sequence[Listened]) -> dict[str, tuple[Owner, ...]]:
    """Return who looks after each cluster and the namespaces of its callers, by `ClusterId.key`.

    What cannot be read says nothing: a gate that waits needs no owner.
    """

    async def of(one: Listened) -> tuple[Owner, ...]:
        try:
            posture = await persist(ports.clock, _PATIENCE, lambda: ports.arm.cluster(one.cluster))
        except AksEntraError:
            return ()
        tagged = owner_in_tags(posture.tags)
        named = await _named_in(ports, posture, namespaces_of(one.callers))
        return (*((tagged,) if tagged else ()), *named)

    found = await bounded_gather(of, shut, at_once=_SIDE_BY_SIDE)
    return {one.cluster.key: owners for one, owners in zip(shut, found, strict=True)}


async def _named_in(ports: Ports, posture: Posture, namespaces: Sequence[str]) -> tuple[Owner, ...]:
    """Return who looks after namespaces, as the prover can read them now. Nothing is asked again."""
    found: list[Owner] = []
    if posture.identity is not Identity.MANAGED:
        return ()
    for namespace in namespaces:
        try:
            owner = await ports.kubernetes.namespace_owner(posture, namespace)
        except Refused:
            continue
        except AksEntraError:
            break
        found += [owner] if owner else []
    return tuple(found)


async def _page(
    ports: Ports, audit: AuditTrail, log: AuditLog, clusters: tuple[ClusterId, ...], since: timedelta
) -> dict[str, Heard]:
    try:
        found, missing = await persist(ports.clock, _PATIENCE, lambda: audit.callers_in(log, clusters, since))
    except AksEntraError as error:
        return {cluster.key: Heard(unknown=error.message) for cluster in clusters}
    if missing and found and len(clusters) > 1:
        half = len(clusters) // 2
        first = await _page(ports, audit, log, clusters[:half], since)
        return first | await _page(ports, audit, log, clusters[half:], since)
    none = missing or f"workspace {log.workspace.rpartition('/')[2]} has no audited request of it"
    return {
        cluster.key: Heard(log=found[cluster.key]) if cluster.key in found else Heard(unknown=none)
        for cluster in clusters
    }
