"""Creates a cluster that is closed from its first day, and proves it: resource group, admin groups, cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

from aks_entra import proofs
from aks_entra.core.cluster import ClusterId, Identity, Posture
from aks_entra.core.evidence import (
    AdminCredentialRefused,
    ClusterCreated,
    Evidence,
    GroupEnsured,
    Moment,
    NodesSeen,
    SignInProven,
)
from aks_entra.core.plan import ClusterPlan, Prover
from aks_entra.core.steps import Guarded
from aks_entra.core.target import AzureRbac, GroupTarget, Target
from aks_entra.errors import AksEntraError, Diverged, Refused, Rejected, TryLater
from aks_entra.patience import persist
from aks_entra.ports import NewCluster, Ports
from aks_entra.proofs import Job, Limits
from aks_entra.watch import Watch

_T = TypeVar("_T")
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404


async def provision(
    ports: Ports, watch: Watch, limits: Limits, spec: NewCluster, groups: tuple[GroupTarget, ...]
) -> tuple[Evidence, ...]:
    """Create what is missing and prove it; every TryLater is waited out. `groups` are added to the spec's own.

    A cluster that exists exactly as asked is proven and not touched; Refused when it exists and is otherwise.
    """
    return await _Creation(ports, watch, limits).run(spec, groups)


class _Creation:
    """One provisioning, with its ports at hand."""

    def __init__(self, ports: Ports, watch: Watch, limits: Limits) -> None:
        self._ports = ports
        self._watch = watch
        self._limits = limits

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
        """A group by id is taken as it is; one by unique name is created unless it exists."""
        if group.id is not None:
            wanted, created, request_id = group.id, False, ""
        else:
            wanted, created, request_id = await self._patiently(
                lambda: self._ports.directory.ensure_group(group, prover)
            )
        facts = await self._patiently(lambda: self._ports.directory.group(wanted, prover=prover))
        if not facts.exists or facts.deleted_on is not None or not facts.security_enabled:
            raise Refused(
                f"group {group.display_name or wanted} does not exist, is deleted or is not security-enabled",
                remedy="name a security group, or let one be created",
            )
        return GroupEnsured(
            at=proofs.stamp(self._ports.clock),
            group_id=wanted,
            display_name=facts.display_name or group.display_name,
            unique_name=group.unique_name or "",
            created=created,
            correlation_id=request_id,
        )

    async def _cluster(self, spec: NewCluster, before: Posture | None) -> ClusterCreated:
        """Created by this run, or found as asked: one that is still being made closed was never open either."""
        arm, changed, correlation_id = self._ports.arm, False, ""
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
        return ClusterCreated(at=proofs.stamp(self._ports.clock), changed=changed, correlation_id=correlation_id)

    async def _create(self, spec: NewCluster) -> str:
        """PUT once: an answer that was lost shows as a cluster that exists now, as asked."""
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
        posture = await self._patiently(lambda: proofs.read(self._ports, spec.cluster))
        job = _job(spec, posture, prover)
        sign_in = await self._within(self._limits.sign_in, lambda: self._sign_in(job, posture))
        refused = await self._within(self._limits.refusal, lambda: self._refusal(spec.cluster))
        nodes = await self._within(self._limits.nodes_settle, lambda: self._nodes(posture))
        return (sign_in, refused, nodes, proofs.state(self._ports.clock, posture))

    async def _sign_in(self, job: Job, posture: Posture) -> SignInProven:
        try:
            proven = await proofs.sign_in(self._ports, job, posture, Moment.AFTER)
        except (Rejected, Refused) as error:
            if error.status != _FORBIDDEN:
                raise
            raise TryLater(error.message, after=self._limits.every, remedy=error.remedy, code=error.code) from error
        if not proven.by or not proven.everything:
            raise TryLater(
                f"{proven.username} signed in, but is no administrator of the cluster",
                after=self._limits.every,
                remedy="let the prover be a member of an admin group, or name another prover",
            )
        return proven

    async def _refusal(self, cluster: ClusterId) -> AdminCredentialRefused:
        answer = await self._ports.arm.hold_admin_credential(cluster)
        if not isinstance(answer, AdminCredentialRefused):
            self._ports.vault.forget(cluster)
            raise TryLater("Azure still hands out admin credentials", after=self._limits.every)
        return answer

    async def _nodes(self, posture: Posture) -> NodesSeen:
        seen = await proofs.nodes(self._ports, posture)
        if seen.missing:
            raise TryLater(f"nodes are not ready: {', '.join(seen.missing)}", after=self._limits.every)
        return seen

    async def _within(self, limit: float, call: Callable[[], Awaitable[_T]]) -> _T:
        """Wait out TryLater until the limit; after that what was created is not as it should be."""
        try:
            return await persist(self._ports.clock, limit, call)
        except TryLater as error:
            raise Diverged(
                f"{error.message} (after {limit / 60:.0f} minutes)", remedy=error.remedy, code=error.code
            ) from error

    async def _patiently(self, call: Callable[[], Awaitable[_T]]) -> _T:
        return await persist(self._ports.clock, self._limits.step, call)


def _as_asked(spec: NewCluster, posture: Posture) -> None:
    """Refused when a cluster of this name exists and is not what is asked for."""
    asked = (
        ("location", _squeezed(spec.location), _squeezed(posture.location)),
        ("Microsoft Entra ID", str(Identity.MANAGED), str(posture.identity)),
        ("tenant", spec.tenant_id.casefold(), (posture.tenant_id or spec.tenant_id).casefold()),
        ("admin groups", _listed(spec.admin_group_ids), _listed(posture.admin_group_ids)),
        ("Azure RBAC", str(spec.azure_rbac), str(posture.azure_rbac)),
        ("local accounts", "False", str(posture.local_accounts)),
    )
    differences = [f"{name}: asked for {wanted}, found {found}" for name, wanted, found in asked if wanted != found]
    if differences:
        raise Refused(
            f"the cluster exists and is otherwise: {'; '.join(differences)}",
            remedy="choose another name, or migrate the one that exists with a fleet file",
        )


def _listed(ids: tuple[str, ...]) -> str:
    return ", ".join(sorted(one.lower() for one in ids))


def _squeezed(location: str) -> str:
    """`West Europe` and `westeurope` are one region."""
    return location.replace(" ", "").casefold()


def _job(spec: NewCluster, posture: Posture, prover: str) -> Job:
    target = Target(
        tenant_id=spec.tenant_id,
        admin_groups=tuple(GroupTarget(display_name="", id=group_id) for group_id in spec.admin_group_ids),
        azure_rbac=AzureRbac.ON if spec.azure_rbac else AzureRbac.OFF,
    )
    plan = ClusterPlan(cluster=spec.cluster, target=target, before=Guarded.of(posture), steps=())
    return Job(digest="", plan=plan, prover=Prover(object_id=prover))
