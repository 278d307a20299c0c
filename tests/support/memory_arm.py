"""ARM of the world in memory: it shows the clusters and starts the operations that change them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from aks_entra.core.access.deny_assignments import DenyAssignment
from aks_entra.core.cluster import CertificateAuthority, ClusterId, Identity, Posture
from aks_entra.core.evidence.observations import ActivityLogRead, AdminCredentialRefused
from aks_entra.core.maintenance_windows import MaintenanceWindow
from aks_entra.core.preflight import (
    Lock,
    NodeDisruption,
    Policy,
    PolicyEvaluation,
    Quota,
    ScaleSetAddition,
    Subnet,
    Writer,
)
from aks_entra.core.steps import Guarded, Step
from aks_entra.errors import Refused, Rejected, TryLater
from aks_entra.ports.migration import HeldCredential, KubeconfigSink
from aks_entra.ports.operations import Operation, OperationState
from tests.support.memory_creation import WorldCreation
from tests.support.memory_deny_policies import kept_evaluations, kept_policies
from tests.support.memory_model import (
    REPLICATION,
    ROTATION,
    SUBSCRIPTION,
    TENANT,
    UPDATE,
    Cluster,
    posture_of,
)
from tests.support.memory_services import WorldVault

if TYPE_CHECKING:
    from tests.support.memory_ports import World

KEPT = timedelta(days=89)  # how long the activity log has an entry


class WorldArm(WorldCreation):
    def __init__(self, world: World, vault: WorldVault) -> None:
        self._world = world
        self._vault = vault

    async def tenant_of(self, subscription_id: str) -> str:
        with self._world.call("arm.tenant_of"):
            assert subscription_id == SUBSCRIPTION
            return TENANT

    async def subscription_id(self, name_or_id: str) -> str:
        with self._world.call("arm.subscription_id"):
            if name_or_id.casefold() in {"prod-eu", SUBSCRIPTION}:
                return SUBSCRIPTION
            raise Refused(f"no subscription {name_or_id}", code="SubscriptionNotFound")

    async def list_clusters(self, subscription_id: str, resource_group: str | None = None) -> AsyncIterator[Posture]:
        with self._world.call("arm.list_clusters"):
            found = [
                posture_of(cluster)
                for cluster in self._world.clusters.values()
                if resource_group is None or cluster.id.resource_group.casefold() == resource_group.casefold()
            ]
            if resource_group is not None and not found:
                raise Refused(f"no resource group {resource_group}", code="ResourceGroupNotFound", status=404)
        if self._world.slow_lists:
            await self._world.clock.sleep(5)
        for posture in found:
            assert posture.cluster.subscription_id == subscription_id
            yield posture

    async def cluster(self, cluster: ClusterId) -> Posture:
        with self._world.call("arm.cluster") as happening:
            found = self._world.find(cluster)
            return found.previous if happening.stale and found.previous else posture_of(found)

    async def certificate_authority(self, cluster: ClusterId) -> CertificateAuthority:
        with self._world.call("arm.certificate_authority"):
            return self._vault.trust(self._world.find(cluster))

    async def missing_permissions(self, cluster: ClusterId, actions: tuple[str, ...]) -> tuple[str, ...] | None:
        with self._world.call("arm.missing_permissions"):
            self._world.find(cluster)
            missing = self._world.missing_permissions
            return None if missing is None else tuple(action for action in actions if action in missing)

    async def may(self, scope: str, action: str) -> bool | None:
        with self._world.call("arm.may"):
            assert action
            return self._world.linked.get(scope, True)

    async def is_cluster_admin(self, cluster: ClusterId, principal_id: str) -> bool | None:
        with self._world.call("arm.is_cluster_admin"):
            return principal_id in self._world.find(cluster).roles

    async def locks(self, cluster: ClusterId, node_resource_group: str) -> tuple[Lock, ...] | None:
        with self._world.call("arm.locks"):
            self._world.find(cluster)
            assert node_resource_group
            return self._world.locks

    async def deny_assignments(self, cluster: ClusterId) -> tuple[DenyAssignment, ...] | None:
        with self._world.call("arm.deny_assignments"):
            self._world.find(cluster)
            return self._world.denials

    async def supported_versions(self, subscription_id: str, location: str) -> tuple[str, ...] | None:
        with self._world.call("arm.supported_versions"):
            assert subscription_id == SUBSCRIPTION
            assert location
            return self._world.versions

    async def policies(self, cluster: ClusterId) -> tuple[Policy, ...] | None:
        with self._world.call("arm.policies"):
            self._world.find(cluster)
            there = self._world.policies
            return None if there is None else (*there, *kept_policies(self._world, cluster))

    async def policy_evaluations(
        self, cluster: ClusterId, steps: tuple[Step, ...]
    ) -> tuple[PolicyEvaluation, ...] | None:
        with self._world.call("arm.policy_evaluations"):
            self._world.find(cluster)
            assert steps
            there = self._world.policy_evaluations
            return None if there is None else (*there, *kept_evaluations(self._world, cluster))

    async def maintenance_windows(self, cluster: ClusterId) -> tuple[MaintenanceWindow, ...] | None:
        with self._world.call("arm.maintenance_windows"):
            self._world.find(cluster)
            return self._world.windows

    async def quotas(self, subscription_id: str, location: str) -> tuple[Quota, ...] | None:
        with self._world.call("arm.quotas"):
            assert subscription_id
            assert isinstance(location, str)
            return (Quota(name="cores", left=100), Quota(name="standardDSv5Family", left=100))

    async def subnet(self, subnet_id: str) -> Subnet:
        with self._world.call("arm.subnet"):
            return Subnet(id=subnet_id, free=self._world.free_addresses)

    async def node_disruption(self, cluster: ClusterId) -> NodeDisruption | None:
        with self._world.call("arm.node_disruption"):
            self._world.find(cluster)
            return self._world.node_disruption

    async def scale_set_additions(self, cluster: ClusterId) -> tuple[ScaleSetAddition, ...] | None:
        with self._world.call("arm.scale_set_additions"):
            self._world.find(cluster)
            return self._world.scale_set_additions

    async def published_addresses(self, cluster: ClusterId, node_resource_group: str) -> tuple[str, ...] | None:
        with self._world.call("arm.published_addresses"):
            self._world.find(cluster)
            assert node_resource_group
            return self._world.published

    async def writers(self, cluster: ClusterId) -> tuple[Writer, ...] | None:
        with self._world.call("arm.writers"):
            self._world.find(cluster)
            return self._world.writers

    async def handed_out(self, cluster: ClusterId) -> ActivityLogRead:
        with self._world.call("arm.handed_out"):
            found, now = self._world.find(cluster), self._world.now()
            if not self._world.log_readable:
                return ActivityLogRead(at=now.isoformat(), problem="this identity may not read it")
            since = now - KEPT
            shown = [
                one
                for one in (*self._world.handed_out, *self._world.ledger.told(found))
                if since <= datetime.fromisoformat(one.at) <= now - self._world.log_late
            ]
            until = now - self._world.log_delay
            return ActivityLogRead(
                at=now.isoformat(), since=since.isoformat(), until=until.isoformat(), handed_out=tuple(shown)
            )

    async def enable_entra(
        self,
        cluster: ClusterId,
        expected: Guarded,
        tenant_id: str,
        admin_group_ids: tuple[str, ...],
        azure_rbac: bool | None,
    ) -> Operation:
        with self._world.call("arm.enable_entra"):
            found = self._guarded(cluster, expected)
            if "enable_entra" not in self._world.without_effect:
                found.identity = Identity.MANAGED
                found.tenant_id = tenant_id
                found.groups = admin_group_ids
                found.azure_rbac = bool(azure_rbac)
            operation = self._world.start(found, "Updating", UPDATE)
            found.knows_tokens_at = self._world.now() + timedelta(seconds=UPDATE + REPLICATION)
            return self._lost(operation)

    async def update_entra(
        self, cluster: ClusterId, expected: Guarded, admin_group_ids: tuple[str, ...], azure_rbac: bool
    ) -> Operation:
        with self._world.call("arm.update_entra"):
            found = self._guarded(cluster, expected)
            found.groups = admin_group_ids
            found.azure_rbac = azure_rbac
            return self._lost(self._world.start(found, "Updating", UPDATE))

    async def set_local_accounts(
        self, cluster: ClusterId, expected: Guarded, *, enabled: bool, tags: tuple[tuple[str, str | None], ...] = ()
    ) -> Operation:
        with self._world.call("arm.set_local_accounts"):
            found = self._guarded(cluster, expected)
            if enabled and self._world.denied(cluster):
                raise Rejected("Azure Policy forbids it", code="RequestDisallowedByPolicy", status=403)
            if "set_local_accounts" not in self._world.without_effect:
                found.local_accounts = enabled
            if "tags" not in self._world.without_effect:
                set_now = {**dict(found.tags), **dict(tags)}
                found.tags = tuple((name, value) for name, value in sorted(set_now.items()) if value is not None)
            operation = self._world.start(found, "Updating", UPDATE)
            found.refuses_at = max(found.refuses_at, self._world.now() + timedelta(seconds=UPDATE))
            return self._lost(operation)

    async def rotate_certificates(self, cluster: ClusterId) -> Operation:
        with self._world.call("arm.rotate_certificates"):
            found = self._world.find(cluster)
            self._world.free(found)
            found.previous = posture_of(found)
            found.rotations += 1
            return self._lost(self._world.start(found, "RotatingClusterCertificates", ROTATION))

    async def operation(self, operation: Operation) -> OperationState:
        with self._world.call("arm.operation"):
            if self._world.lost_urls:
                raise Rejected("no such operation", status=404)
            if operation.url not in self._world.works:
                raise Rejected("no such operation", status=404)
            work = self._world.works[operation.url]
            if self._world.now() < work.until:
                return OperationState(status="InProgress")
            return OperationState(status=work.ends, code="" if work.ends == "Succeeded" else "InternalError")

    async def hold_admin_credential(self, cluster: ClusterId) -> HeldCredential | AdminCredentialRefused:
        with self._world.call("arm.hold_admin_credential"):
            found = self._world.find(cluster)
            refuses = not found.local_accounts and self._world.now() >= found.refuses_at
            if refuses or self._world.now() < found.hands_out_at:
                return AdminCredentialRefused(
                    at=self._world.now().isoformat(),
                    status=400,
                    code="BadRequest",
                    message="Getting static credential is not allowed because this cluster is set to disable "
                    "local accounts.",
                )
            return self._vault.hold(cluster, self._world.hands_out(found, "aks-entra"))

    async def hand_out_admin_kubeconfig(self, cluster: ClusterId, place: KubeconfigSink) -> None:
        with self._world.call("arm.hand_out_admin_kubeconfig"):
            found = self._world.find(cluster)
            if not found.local_accounts or self._world.now() < found.hands_out_at:
                raise TryLater("Azure does not hand it out yet", after=10)
            self._world.hands_out(found, "break-glass")
            place.put(f"generation {found.generation}".encode())

    async def clusters_in_resource_graph(self, management_group: str | None) -> AsyncIterator[Posture]:
        with self._world.call("arm.clusters_in_resource_graph"):
            assert management_group in {None, "prod", "hidden"}
            known = () if management_group == "hidden" else self._world.clusters.values()
            found = [replace(posture_of(cluster), etag=None) for cluster in known]
        for posture in found:
            yield posture

    async def subscription_ids(self, management_group: str | None = None) -> tuple[str, ...]:
        with self._world.call("arm.subscription_ids"):
            assert management_group in {None, "prod", "hidden"}
            return (SUBSCRIPTION,)

    def _guarded(self, cluster: ClusterId, expected: Guarded) -> Cluster:
        found = self._world.find(cluster)
        self._world.free(found)
        differences = expected.differences(Guarded.of(posture_of(found)), ca_before=None)
        if differences:
            raise Refused(f"not as expected: {differences}")
        found.previous = posture_of(found)
        return found

    def _lost(self, operation: Operation) -> Operation:
        return replace(operation, url="") if self._world.faults.pop("url lost", None) else operation
