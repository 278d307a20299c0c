"""Single looks at one cluster from outside, each returned as evidence: what executor and verifier have in common.

Nothing here writes, waits or judges.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from aks_entra.core.cluster import CertificateAuthority, ClusterId, Posture, same_id
from aks_entra.core.evidence import (
    BY_ROLE,
    Baseline,
    Credential,
    CredentialTried,
    Evidence,
    Failure,
    Moment,
    NodesSeen,
    SignInProven,
    StateSeen,
    Workload,
    WorkloadsSeen,
    by_group,
)
from aks_entra.core.plan import ClusterPlan, Prover
from aks_entra.core.steps import ProveSignIn
from aks_entra.deadlines import Deadlines
from aks_entra.errors import AksEntraError, Rejected, TryLater
from aks_entra.ports import Clock, Ports, Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long to be patient, in seconds, before a wait becomes an error."""

    sign_in: float = 900.0  # a fresh token is refused, or its groups are not there yet
    refusal: float = 300.0  # ARM still hands out admin credentials after accounts were disabled
    credential: float = 300.0  # a held credential gets no HTTP answer
    nodes_settle: float = 1200.0  # nodes and workloads come back after a rotation
    look: float = 60.0  # one look of the verifier: throttling, an API server that does not answer
    step: float = 7200.0  # one step altogether, throttling and other people's operations included
    every: float = 10.0  # between two looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One cluster of an approved plan, and who proves sign-in."""

    digest: str
    plan: ClusterPlan
    prover: Prover


def stamp(clock: Clock) -> str:
    """Now, as evidence writes it: ISO 8601 in UTC to the millisecond."""
    return clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def failure(error: BaseException, at: str) -> Failure:
    """An error as evidence; `at` is ISO 8601 in UTC."""
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
        message=f"unforeseen {type(error).__name__}: {error}",
        remedy="run the plan again: what is left of it is done; report this as a defect if it comes back",
    )


async def existing_groups(ports: Ports, plan: ClusterPlan) -> dict[str, str]:
    """`uniqueName:…` references of the plan whose groups exist by now, with their object ids."""
    found = {}
    for group in plan.target.admin_groups:
        if group.id is None and group.unique_name is not None:
            group_id = await ports.directory.group_with_unique_name(group.unique_name)
            if group_id is not None:
                found[group.reference] = group_id.lower()
    return found


def object_ids(references: Iterable[str], groups: dict[str, str]) -> tuple[str, ...]:
    """References as object ids; those of groups that do not exist (yet) are left out."""
    return tuple(groups.get(name, name) for name in references if ":" not in name or name in groups)


async def read(ports: Ports, cluster: ClusterId) -> Posture:
    """The cluster with its CA."""
    posture = await ports.arm.cluster(cluster)
    return posture.with_ca(await ports.arm.certificate_authority(cluster))


def authority(posture: Posture) -> CertificateAuthority:
    """The CA of a posture that was `read`; Rejected when it was not."""
    if posture.ca is None:
        raise Rejected("the cluster's CA was not read", cluster=str(posture.cluster))
    return posture.ca


async def sign_in(ports: Ports, job: Job, posture: Posture, moment: Moment) -> SignInProven:
    """Sign in with a fresh token and say by which right. `by` is empty when it was another binding that let it in."""
    seen = await ports.kubernetes.sign_in(posture, fresh=True)
    prove = next((step for step in job.plan.steps if isinstance(step, ProveSignIn)), None)
    wanted = posture.admin_group_ids
    if prove is not None:
        planned = object_ids(prove.admin_groups, await existing_groups(ports, job.plan))
        wanted = tuple(group for group in wanted if any(same_id(group, other) for other in planned))
    by = next((by_group(group.lower()) for group in wanted if any(same_id(group, other) for other in seen.groups)), "")
    stays = job.plan.after.azure_rbac  # a role that is about to lose its meaning is no way in
    if (
        not by
        and posture.azure_rbac
        and stays
        and await ports.arm.is_cluster_admin(posture.cluster, job.prover.object_id)
    ):
        by = BY_ROLE
    return SignInProven(
        at=stamp(ports.clock),
        username=seen.username,
        by=by,
        everything=seen.everything,
        moment=moment,
        ca=authority(posture).fingerprint,
    )


async def nodes(ports: Ports, posture: Posture) -> NodesSeen:
    """Ready nodes beside the bounds of each pool. Nodes of no pool (virtual ones) are not counted."""
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
    """Controllers beside the baseline. One that is scaled down since then is only held to what it wants now."""
    now = {one.label: one for one in await ports.kubernetes.workloads(posture)}
    worse = tuple(text for before in baseline.workloads if (text := _worse(before, now.get(before.label))))
    return WorkloadsSeen(at=stamp(ports.clock), compared=len(baseline.workloads), worse=worse, baseline_at=baseline.at)


def _worse(before: Workload, now: Workload | None) -> str:
    if now is None:
        return f"{before.label} is gone" if before.available else ""
    expected = min(before.available, now.desired)
    return f"{before.label}: {now.available} of {expected} available" if now.available < expected else ""


async def tried(ports: Ports, posture: Posture, moment: Moment, witness: Witness | None) -> tuple[CredentialTried, ...]:
    """Each credential held of the cluster, tried alone; none when none is held."""
    if not ports.vault.holds(posture.cluster):
        return ()
    carried = {
        Credential.CERTIFICATE: witness is None or witness.has_certificate,
        Credential.STATIC_TOKEN: witness is None or witness.has_static_token,
    }
    return tuple(
        [
            CredentialTried(
                at=stamp(ports.clock),
                credential=credential,
                moment=moment,
                status=await ports.kubernetes.try_credential(posture, credential),
                ca=authority(posture).fingerprint,
                issued_under=witness.ca.fingerprint if witness else "",
            )
            for credential, is_carried in carried.items()
            if is_carried
        ]
    )


async def admin_credential_works(
    ports: Ports, deadlines: Deadlines, limits: Limits, posture: Posture
) -> tuple[Evidence, ...]:
    """Fetch an admin credential into the vault and try it: how it looks that local accounts are a way in again.

    TryLater while Azure still refuses it, or the API server gives no answer; past the limits Diverged, or what was
    seen. Whoever calls this forgets the credential.
    """
    cluster = posture.cluster
    answer = await ports.arm.hold_admin_credential(cluster)
    if not isinstance(answer, Witness):
        deadlines.later(
            cluster,
            "admin credential",
            limits.refusal,
            "ARM shows local accounts on, but refuses admin credentials",
            remedy="look at the cluster's activity log; `az aks get-credentials --admin` shows whether it lasts",
        )
    deadlines.arrived(cluster, "admin credential")
    seen = await tried(ports, posture, Moment.BEFORE, answer)
    if not any(one.status == HTTPStatus.OK for one in seen) and deadlines.patient(
        cluster, "reopened", limits.credential
    ):
        raise TryLater("the admin credential gets no entry yet", after=limits.every)
    deadlines.arrived(cluster, "reopened")
    return seen


def state(clock: Clock, posture: Posture) -> StateSeen:
    """What ARM and the CA show."""
    ca = authority(posture)
    return StateSeen(
        at=stamp(clock),
        identity=posture.identity,
        local_accounts=posture.local_accounts,
        admin_group_ids=posture.admin_group_ids,
        azure_rbac=posture.azure_rbac,
        ca=ca.fingerprint,
        ca_not_before=ca.not_before,
        provisioning_state=posture.provisioning_state,
        uid=posture.uid,
    )
