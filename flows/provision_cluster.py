"""Create a cluster with local accounts off from its first day, with its admin group, and prove sign-in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.observations import ClusterCreated, Evidence, GroupEnsured, StateSeen
from aks_entra.core.new_cluster import NewCluster
from aks_entra.core.target import AzureRbac, GroupTarget, Target
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, Verdict, judge_created
from aks_entra.fleet_file.model import AdminGroupFile
from aks_entra.prefect_client import migration_records, names
from aks_entra.prefect_client.leases import hold_lease
from aks_entra.prefect_client.liveness import register
from aks_entra.prefect_client.names import RunName
from aks_entra.prefect_client.run_log import PrefectLog
from aks_entra.report.run_lines import line_of_verdict
from aks_entra.settings import Settings
from aks_entra.text.safe import for_log
from aks_entra.wiring import open_session
from tasks.provision import create_admin_group, create_cluster, exists, failed, resolve_names


@flow(name="provision-cluster", flow_run_name=RunName("provision {resource_group}/{name}"), persist_result=False)
async def provision_cluster(
    subscription: str,
    resource_group: str,
    name: str,
    location: str,
    admin_groups: list[AdminGroupFile],
    *,
    azure_rbac: bool = True,
    nodes: Annotated[int, Field(ge=1, le=1000)] = 3,
    node_vm_size: str | None = None,
    version: str | None = None,
    tier: Literal["Free", "Standard", "Premium"] = "Standard",
    tags: dict[str, str] | None = None,
) -> State[Any]:
    """Create a cluster with Microsoft Entra ID on and local accounts off, and prove sign-in.

    Args:
        subscription: name or id of the subscription.
        resource_group: name of the resource group, which is created unless it exists.
        name: name of the cluster.
        location: Azure region.
        admin_groups: groups whose members administer the cluster. Groups with `create` are created.
        azure_rbac: Azure RBAC for Kubernetes authorization.
        nodes: number of nodes in the system pool.
        node_vm_size: VM size of the nodes. If empty, Azure chooses.
        version: version of Kubernetes. If empty, Azure's default.
        tier: Free, Standard or Premium.
        tags: tags of the cluster.
    """
    run = await register()
    began = datetime.now(UTC).isoformat()
    async with open_session(Settings(), log=PrefectLog()):
        wanted = tuple(group.to_wanted() for group in admin_groups)
        subscription_id, tenant_id, groups = await resolve_names(subscription, wanted)
        cluster = ClusterId(subscription_id=subscription_id, resource_group=resource_group, name=name)
        spec = NewCluster(
            cluster=cluster,
            location=location,
            admin_group_ids=tuple(group.id for group in groups if group.id),
            tenant_id=tenant_id,
            azure_rbac=azure_rbac,
            version=version,
            tier=tier,
            node_count=nodes,
            node_vm_size=node_vm_size,
            tags=tuple(sorted((tags or {}).items())),
        )
        async with hold_lease(cluster):
            verdict = await make(spec, tuple(group for group in groups if not group.id))
    digest = names.provision_digest(cluster, began)
    await migration_records.store_report(
        FleetReport(
            name=f"provision {cluster}",
            plan_digest=digest,
            started_at=began,
            ended_at=datetime.now(UTC).isoformat(),
            verdicts=(verdict,),
        )
    )
    await migration_records.note_plan(run, digest)
    message = for_log(line_of_verdict(verdict))
    return Completed(message=message) if verdict.outcome is Outcome.VERIFIED else Failed(message=message)


async def make(spec: NewCluster, missing: tuple[GroupTarget, ...]) -> Verdict:
    """Create the groups and the cluster, and judge them. A cluster that exists is first compared with the request."""
    evidence: tuple[Evidence, ...] = ()
    try:
        if not await exists(spec.cluster):
            made = tuple([await create_admin_group(group) for group in missing])
            spec, missing, evidence = with_groups(spec, made), (), made
        evidence += await create_cluster(spec, missing)
        evidence = (*await earlier(spec.cluster, evidence), *evidence)
    except Exception as error:  # noqa: BLE001 - the report says what happened, whatever it was
        evidence += failed(error)
    target = Target(
        tenant_id=spec.tenant_id,
        admin_groups=tuple(GroupTarget(display_name="", id=one) for one in _ids(spec, evidence)),
        azure_rbac=AzureRbac.ON if spec.azure_rbac else AzureRbac.OFF,
    )
    return judge_created(spec.cluster, target, evidence)


async def earlier(cluster: ClusterId, evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    """Return our own record of the creation, if an earlier run created the cluster."""
    if any(isinstance(one, ClusterCreated) and one.changed for one in evidence):
        return ()
    state = next((one for one in evidence if isinstance(one, StateSeen)), None)
    made = await migration_records.creation_of(cluster, state.ca) if state else None
    return (made,) if made else ()


def with_groups(spec: NewCluster, made: tuple[GroupEnsured, ...]) -> NewCluster:
    """Return the request with the ids of groups that exist by now."""
    return replace(spec, admin_group_ids=_ids(spec, made))


def _ids(spec: NewCluster, evidence: tuple[Evidence, ...]) -> tuple[str, ...]:
    ensured = (one.group_id for one in evidence if isinstance(one, GroupEnsured))
    return tuple(dict.fromkeys(one.lower() for one in (*spec.admin_group_ids, *ensured)))
