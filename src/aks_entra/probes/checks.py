"""Single looks at one cluster from outside, which executor and verifier share. Each look returns evidence.

Nothing here writes, waits or judges.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from aks_entra.core.cluster import CertificateAuthority, ClusterId, Posture
from aks_entra.core.durations import exact_stamp
from aks_entra.core.evidence.observations import (
    AuthoritySeen,
    Baseline,
    Evidence,
    Failure,
    LocalAccountsDisabled,
    NodesSeen,
    StateSeen,
    TokenHeld,
    Workload,
    WorkloadsSeen,
)
from aks_entra.core.evidence.rotation_debt import unseen
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.errors import AksEntraError, Rejected, unexpected
from aks_entra.ports.migration import Clock, HeldCredential, Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Timeouts in seconds, after which a wait becomes an error."""

    sign_in: float = 900.0  # a fresh token is refused, or its groups are not there yet
    refusal: float = 300.0  # ARM still hands out admin credentials after accounts were disabled
    credential: float = 300.0  # a held credential gets no HTTP answer
    nodes_settle: float = 1200.0  # nodes and workloads come back after a rotation
    policy: float = 2100.0  # Azure still enforces a policy assignment that was removed, or exempted the cluster
    look: float = 60.0  # one look of the verifier: throttling, an API server that does not answer
    log: float = 1800.0  # the activity log becomes complete up to the moment at which a finished rotation was found
    step: float = 7200.0  # one step altogether, throttling and other people's operations included
    poll_interval: float = 10.0  # between two reads of what is waited for


def stamp(clock: Clock) -> str:
    """Return the present time as evidence writes it: ISO 8601 in UTC, with milliseconds."""
    return exact_stamp(clock.now())


def failure(error: BaseException, at: str) -> Failure:
    """Return an error as evidence. `at` is ISO 8601 in UTC."""
    if isinstance(error, AksEntraError):
        return Failure(
            at=at,
            error=type(error).__name__,
            step=error.step,
            message=error.message,
            remedy=error.remedy,
            code=error.code,
            correlation_id=error.correlation_id,
        )
    return Failure(
        at=at,
        error=type(error).__name__,
        step="",
        message=unexpected(error),
        remedy="run the plan again: it does what is left; if this error comes back, report it as a bug in aks-entra",
    )


async def existing_groups(ports: Ports, plan: ClusterPlan) -> dict[str, str]:
    """Return the object ids of groups that the plan creates and that exist by now, by `uniqueName:…` reference."""
    found = {}
    for group in plan.target.admin_groups:
        if group.id is None and group.unique_name is not None:
            group_id = await ports.directory.group_with_unique_name(group.unique_name)
            if group_id is not None:
                found[group.reference] = group_id.lower()
    return found


def object_ids(references: Iterable[str], groups: dict[str, str]) -> tuple[str, ...]:
    """Return references as object ids, without groups that do not exist yet."""
    return tuple(groups.get(name, name) for name in references if ":" not in name or name in groups)


async def read(ports: Ports, cluster: ClusterId) -> Posture:
    """Read the cluster with its CA."""
    posture = await ports.arm.cluster(cluster)
    return posture.with_ca(await ports.arm.certificate_authority(cluster))


def authority(posture: Posture) -> CertificateAuthority:
    """Return the CA of a posture. Raises Rejected if the CA was not read."""
    if posture.ca is None:
        raise Rejected("the cluster's CA was not read", cluster=str(posture.cluster))
    return posture.ca


def authority_seen(ports: Ports, posture: Posture) -> AuthoritySeen | None:
    """Return the certificate of a posture's CA. None if this process has read another one since."""
    ca, read_last = authority(posture), ports.vault.certificate_authority(posture.cluster)
    if read_last is None or read_last.fingerprint != ca.fingerprint:
        return None
    certificate = ports.vault.authority(posture.cluster) or ""
    return AuthoritySeen(at=stamp(ports.clock), ca=ca.fingerprint, certificate=certificate)


def token_held(clock: Clock, held: HeldCredential | None) -> TokenHeld | None:
    """Return the salted hash of a held static token. None without one."""
    if held is None or not held.token_hash:
        return None
    return TokenHeld(at=stamp(clock), ca=held.ca.fingerprint, salt=held.salt, token_hash=held.token_hash)


async def closed_before(ports: Ports, job: Job) -> tuple[Evidence, ...]:
    """Return the journal's evidence that local accounts were off just before this plan's rotation, and of the CA."""
    baseline = await ports.journal.baseline(job.digest, job.plan.cluster)
    if baseline is None or not baseline.closed_at:
        return ()
    return (*baseline.issued, LocalAccountsDisabled(at=baseline.closed_at, changed=False, under_ca=baseline.ca))


async def issued_before(ports: Ports, job: Job) -> tuple[Evidence, ...]:
    """Return what the journal kept of the CA before this plan's rotation, and of its static token."""
    baseline = await ports.journal.baseline(job.digest, job.plan.cluster)
    return baseline.issued if baseline is not None else ()


async def nodes(ports: Ports, posture: Posture) -> NodesSeen:
    """Count the Ready nodes of each pool against its bounds. Nodes outside of pools (virtual nodes) do not count."""
    seen = await ports.kubernetes.nodes(posture)
    missing: list[str] = []
    ready_nodes = 0
    for pool in posture.pools:
        mine = [node for node in seen if node.pool.casefold() == pool.name.casefold()]
        ready = sum(node.ready for node in mine)
        ready_nodes += ready
        fewest, most = pool.bounds
        if not fewest <= ready <= most:
            missing.append(f"pool {pool.name}: {ready} Ready")
        if ready < fewest:
            missing += [f"{node.name} not Ready" for node in mine if not node.ready]
    return NodesSeen(
        at=stamp(ports.clock),
        ready=ready_nodes,
        fewest=sum(pool.bounds[0] for pool in posture.pools),
        most=sum(pool.bounds[1] for pool in posture.pools),
        missing=tuple(missing),
    )


async def workloads(ports: Ports, posture: Posture, baseline: Baseline) -> WorkloadsSeen:
    """Compare controllers with the baseline. A controller that was scaled down since needs only its new replicas."""
    now = {one.label: one for one in await ports.kubernetes.workloads(posture)}
    worse = tuple(text for before in baseline.workloads if (text := _worse(before, now.get(before.label))))
    return WorkloadsSeen(at=stamp(ports.clock), compared=len(baseline.workloads), worse=worse, baseline_at=baseline.at)


def _worse(before: Workload, now: Workload | None) -> str:
    if now is None:
        return f"{before.label} is gone" if before.available else ""
    expected = min(before.available, now.desired)
    return f"{before.label}: {now.available} of {expected} available" if now.available < expected else ""


async def seen_state(clock: Clock, look: Callable[[], Awaitable[Posture]]) -> StateSeen:
    """Read a cluster with its CA by `look`. The evidence carries the time before the read."""
    at = stamp(clock)
    posture = await look()
    return state(at, posture, stamp(clock))


def state(at: str, posture: Posture, answered: str) -> StateSeen:
    """Return what ARM and the CA showed of a cluster that was read between two moments.

    The ETag shows that nobody wrote the cluster since `at`. It is left out if the answer took so long that somebody
    could have opened the cluster and closed it meanwhile.
    """
    ca = authority(posture)
    return StateSeen(
        at=at,
        identity=posture.identity,
        local_accounts=posture.local_accounts,
        admin_group_ids=posture.admin_group_ids,
        azure_rbac=posture.azure_rbac,
        ca=ca.fingerprint,
        ca_not_before=ca.not_before,
        provisioning_state=posture.provisioning_state,
        uid=posture.uid,
        etag="" if unseen(at, answered) else posture.etag or "",
    )
