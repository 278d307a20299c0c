"""Create a cluster with local accounts off from its first day, with its admin group, and prove sign-in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from aks_entra.core.cluster import ClusterId
from aks_entra.core.creation.new_cluster import NewCluster
from aks_entra.core.evidence.observations import ClusterCreated, Evidence, GroupEnsured, StateSeen
from aks_entra.core.target import AzureRbac, GroupTarget, Target
from aks_entra.core.verdict.report import FleetReport
from aks_entra.core.verdict.verdict import Outcome, Verdict, judge_created
from aks_entra.fleet_file.cluster_body import new_cluster_of
from aks_entra.fleet_file.cluster_file import ClusterFile
from aks_entra.prefect_client import migration_records, names
from aks_entra.prefect_client.leases import hold_lease
from aks_entra.prefect_client.liveness import register
from aks_entra.prefect_client.names import RunName
from aks_entra.prefect_client.run_log import PrefectLog
from aks_entra.report.run_lines import line_of_verdict
from aks_entra.settings import Settings
from aks_entra.text.safe import for_log
from tasks.provision import check_creation, create_admin_group, create_cluster, failed, resolve_names
from tasks.session import open_session


@flow(
    name="provision-cluster",
    flow_run_name=RunName("provision {cluster.resource_group}/{cluster.name}"),
    persist_result=False,
)
async def provision_cluster(cluster: ClusterFile) -> State[Any]:
    """Create a cluster with Microsoft Entra ID on and local accounts off, and prove sign-in.

    Args:
        cluster: the cluster to create, with the keys of a cluster file.
    """
    run = await register()
    began = datetime.now(UTC).isoformat()
    async with open_session(Settings(), log=PrefectLog()):
        wanted = tuple(group.to_wanted() for group in cluster.admin_groups)
        subscription_id, tenant_id, groups = await resolve_names(cluster.subscription, wanted)
        known = tuple(group.id for group in groups if group.id)
        new = new_cluster_of(cluster, subscription_id, tenant_id, known)
        async with hold_lease(new.cluster):
            verdict = await make(new, tuple(group for group in groups if not group.id))
    digest = names.provision_digest(new.cluster, began)
    await migration_records.store_report(
        FleetReport(
            name=f"provision {new.cluster}",
            plan_digest=digest,
            started_at=began,
            ended_at=datetime.now(UTC).isoformat(),
            verdicts=(verdict,),
        )
    )
    await migration_records.note_plan(run, digest)
    message = for_log(line_of_verdict(verdict))
    return Completed(message=message) if verdict.outcome is Outcome.VERIFIED else Failed(message=message)


async def make(new: NewCluster, missing: tuple[GroupTarget, ...]) -> Verdict:
    """Check, create the groups and the cluster, and judge them. An existing cluster is compared with the request."""
    evidence: tuple[Evidence, ...] = ()
    try:
        if not await check_creation(new, groups_known=not missing):
            made = tuple([await create_admin_group(group) for group in missing])
            new, missing, evidence = with_groups(new, made), (), made
        evidence += await create_cluster(new, missing)
        evidence = (*await earlier(new.cluster, evidence), *evidence)
    except Exception as error:  # noqa: BLE001 - the report says what happened, whatever it was
        evidence += failed(error)
    target = Target(
        tenant_id=new.tenant_id,
        admin_groups=tuple(GroupTarget(display_name="", id=one) for one in _ids(new, evidence)),
        azure_rbac=AzureRbac.ON,
    )
    return judge_created(new.cluster, target, evidence)


async def earlier(cluster: ClusterId, evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    """Return our own record of the creation, if an earlier run created the cluster."""
    if any(isinstance(one, ClusterCreated) and one.changed for one in evidence):
        return ()
    state = next((one for one in evidence if isinstance(one, StateSeen)), None)
    made = await migration_records.creation_of(cluster, state.ca) if state else None
    return (made,) if made else ()


def with_groups(new: NewCluster, made: tuple[GroupEnsured, ...]) -> NewCluster:
    """Return the request with the ids of groups that exist by now."""
    return replace(new, admin_group_ids=_ids(new, made))


def _ids(new: NewCluster, evidence: tuple[Evidence, ...]) -> tuple[str, ...]:
    ensured = (one.group_id for one in evidence if isinstance(one, GroupEnsured))
    return tuple(dict.fromkeys(one.lower() for one in (*new.admin_group_ids, *ensured)))
