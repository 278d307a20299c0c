"""Create a cluster that is closed from its first day, with resource group and admin groups, and prove it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

from aks_entra.core.cluster import ClusterId, Identity, Posture
from aks_entra.core.evidence.observations import (
    AdminCredentialRefused,
    ClusterCreated,
    Evidence,
    GroupEnsured,
    Moment,
    NodesSeen,
    SignInProven,
)
from aks_entra.core.new_cluster import NewCluster
from aks_entra.core.planning.job import Job
from aks_entra.core.planning.plan import ClusterPlan
from aks_entra.core.planning.prover import Prover
from aks_entra.core.steps import Guarded
from aks_entra.core.target import AzureRbac, GroupTarget, Target
from aks_entra.errors import AksEntraError, Diverged, Refused, Rejected, TryLater
from aks_entra.execution import admin_group
from aks_entra.execution.operations import Watch
from aks_entra.ports.migration import Ports
from aks_entra.probes import checks
from aks_entra.probes import sign_in as sign_in_proof
from aks_entra.probes.checks import Timeouts
from aks_entra.retry import persist

_T = TypeVar("_T")
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404


async def provision(
    ports: Ports, watch: Watch, timeouts: Timeouts, spec: NewCluster, groups: tuple[GroupTarget, ...]
) -> tuple[Evidence, ...]:
    """Create what is missing, prove it, and wait out every TryLater. `groups` are added to the groups of the request.

    A cluster that exists as requested is proven and not changed. Refused when a cluster of this name differs.
    """
    return await _Creation(ports, watch, timeouts).run(spec, groups)


class _Creation:
    """Provisions one cluster."""

    def __init__(self, ports: Ports, watch: Watch, timeouts: Timeouts) -> None:
        self._ports = ports
        self._watch = watch
        self._timeouts = timeouts

    async def run(self, spec: NewCluster, groups: tuple[GroupTarget, ...]) -> tuple[Evidence, ...]:
        cluster = spec.cluster
        step = "ensure-admin-group"
        try:
            prover = await self._ports.callers.prover()
            before = await self._existing(cluster)
            if before is not None:
                _as_asked(replace(spec, admin_group_ids=before.admin_group_ids), before)  # before a group is made
            ensured = [await self._group(group, prover.object_id) for group in groups]
            ids = dict.fromkeys(one.lower() for one in (*spec.admin_group_ids, *(done.group_id for done in ensured)))
            spec = replace(spec, admin_group_ids=tuple(ids))
            step = "create-cluster"
            created = await self._cluster(spec, before)
            step = "verify-outcome"
            return (*ensured, created, *await self._proofs(spec, prover.object_id))
        except AksEntraError as error:
            error.located(cluster=str(cluster), step=step)
            raise

    async def _existing(self, cluster: ClusterId) -> Posture | None:
        try:
            return await self._patiently(lambda: self._ports.arm.cluster(cluster))
        except Refused as error:
            if error.status == _NOT_FOUND or error.code in {"ResourceNotFound", "ResourceGroupNotFound"}:
                return None
            raise

    async def _group(self, group: GroupTarget, prover: str) -> GroupEnsured:
        """Find a group by its id, or create it under its unique name unless we created it before."""
        return (await self._patiently(lambda: admin_group.ensure(self._ports, group, prover)))[0]

    async def _cluster(self, spec: NewCluster, before: Posture | None) -> ClusterCreated:
        """Create the cluster, or check the existing one. One that is being created as requested was never open."""
        arm, changed, correlation_id = self._ports.arm, False, ""
        asked_at = checks.stamp(self._ports.clock)
        if before is None:
            where = (spec.cluster.subscription_id, spec.cluster.resource_group, spec.location)
            await self._patiently(lambda: arm.ensure_resource_group(*where))
            correlation_id = await self._patiently(lambda: self._create(spec))
            changed = True
        else:
            _as_asked(spec, before)
            changed = before.provisioning_state.casefold() == "creating"
        posture = await self._patiently(lambda: self._watch.at_rest(spec.cluster))
        if posture.provisioning_state.casefold() != "succeeded":
            raise Diverged(
                f"the cluster's creation ended {posture.provisioning_state}",
                remedy="look at its activity log, delete it, and run again",
                correlation_id=correlation_id,
            )
        _as_asked(spec, posture)
        at, etag = checks.stamp(self._ports.clock), posture.etag or ""
        running = self._watch.running_until(spec.cluster, "creating", asked_at=asked_at)
        return ClusterCreated(at=at, changed=changed, correlation_id=correlation_id, etag=etag, running=running)

    async def _create(self, spec: NewCluster) -> str:
        """PUT once. If the response of an earlier PUT was lost, the cluster exists by now, as requested."""
        appeared = await self._existing(spec.cluster)
        if appeared is not None:
            _as_asked(spec, appeared)
            return ""
        operation = await self._ports.arm.create_cluster(spec)
        state = await self._watch.settled(operation)
        if not state.succeeded:
            raise Diverged(
                f"the cluster's creation ended {state.status}{f': {state.message}' if state.message else ''}",
                remedy="look at its activity log, delete it, and run again",
                code=state.code,
                correlation_id=operation.correlation_id,
            )
        return operation.correlation_id

    async def _proofs(self, spec: NewCluster, prover: str) -> tuple[Evidence, ...]:
        at = checks.stamp(self._ports.clock)
        posture = await self._patiently(lambda: checks.read(self._ports, spec.cluster))
        answered = checks.stamp(self._ports.clock)
        job = _job(spec, posture, prover)
        sign_in = await self._within(self._timeouts.sign_in, lambda: self._sign_in(job, posture))
        refused = await self._within(self._timeouts.refusal, lambda: self._refusal(spec.cluster))
        nodes = await self._within(self._timeouts.nodes_settle, lambda: self._nodes(posture))
        return (sign_in, refused, nodes, checks.state(at, posture, answered))

    async def _sign_in(self, job: Job, posture: Posture) -> SignInProven:
        try:
            proven = await sign_in_proof.sign_in(self._ports, job, posture, Moment.AFTER)
        except (Rejected, Refused) as error:
            if error.status != _FORBIDDEN:
                raise
            raise TryLater(
                error.message, after=self._timeouts.poll_interval, remedy=error.remedy, code=error.code
            ) from error
        if not proven.by or not proven.everything:
            raise TryLater(
                f"{proven.username} signed in, but is no administrator of the cluster",
                after=self._timeouts.poll_interval,
                remedy="make the prover a member of an admin group, or name another prover",
            )
        return proven

    async def _refusal(self, cluster: ClusterId) -> AdminCredentialRefused:
        answer = await self._ports.arm.hold_admin_credential(cluster)
        if not isinstance(answer, AdminCredentialRefused):
            self._ports.vault.forget(cluster)
            raise TryLater("Azure still hands out admin credentials", after=self._timeouts.poll_interval)
        return answer

    async def _nodes(self, posture: Posture) -> NodesSeen:
        seen = await checks.nodes(self._ports, posture)
        if seen.missing:
            raise TryLater(f"nodes are not ready: {', '.join(seen.missing)}", after=self._timeouts.poll_interval)
        return seen

    async def _within(self, limit: float, call: Callable[[], Awaitable[_T]]) -> _T:
        """Wait out TryLater until the limit, then raise Diverged."""
        try:
            return await persist(self._ports.clock, limit, call)
        except TryLater as error:
            raise Diverged(
                f"{error.message} (after {limit / 60:.0f} minutes)", remedy=error.remedy, code=error.code
            ) from error

    async def _patiently(self, call: Callable[[], Awaitable[_T]]) -> _T:
        return await persist(self._ports.clock, self._timeouts.step, call)


def _as_asked(spec: NewCluster, posture: Posture) -> None:
    """Raise Refused when a cluster of this name differs from the request."""
    asked = (
        ("location", _without_spaces(spec.location), _without_spaces(posture.location)),
        ("Microsoft Entra ID", str(Identity.MANAGED), str(posture.identity)),
        ("tenant", spec.tenant_id.casefold(), (posture.tenant_id or spec.tenant_id).casefold()),
        ("admin groups", _listed(spec.admin_group_ids), _listed(posture.admin_group_ids)),
        ("Azure RBAC", str(spec.azure_rbac), str(posture.azure_rbac)),
        ("local accounts", "False", str(posture.local_accounts)),
    )
    differences = [f"{name}: asked for {wanted}, found {found}" for name, wanted, found in asked if wanted != found]
    if differences:
        raise Refused(
            f"a cluster with this name exists, but differs from the request: {'; '.join(differences)}",
            remedy="choose another name, or migrate the existing cluster with a fleet file",
        )


def _listed(ids: tuple[str, ...]) -> str:
    return ", ".join(sorted(one.lower() for one in ids))


def _without_spaces(location: str) -> str:
    """Return a region's short name: `West Europe` and `westeurope` are one region."""
    return location.replace(" ", "").casefold()


def _job(spec: NewCluster, posture: Posture, prover: str) -> Job:
    target = Target(
        tenant_id=spec.tenant_id,
        admin_groups=tuple(GroupTarget(display_name="", id=group_id) for group_id in spec.admin_group_ids),
        azure_rbac=AzureRbac.ON if spec.azure_rbac else AzureRbac.OFF,
    )
    plan = ClusterPlan(cluster=spec.cluster, target=target, before=Guarded.of(posture), steps=())
    return Job(digest="", plan=plan, prover=Prover(object_id=prover))
