"""Making what does not exist: an admin group, a cluster that is closed from its first day."""

from __future__ import annotations

from aks_entra import proofs, wanted
from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence import Evidence, GroupEnsured
from aks_entra.core.fleet import WantedGroup
from aks_entra.core.target import GroupTarget
from aks_entra.errors import Refused
from aks_entra.ports import NewCluster
from aks_entra.wiring import current_session
from tasks.observable import observable


@observable("resolve names", of="subscription")
async def resolve_names(subscription: str, groups: tuple[WantedGroup, ...]) -> tuple[str, str, tuple[GroupTarget, ...]]:
    """Ids for names, reading only: of the subscription, its tenant, and the admin groups (None: to be created)."""
    ports = current_session().ports
    prover = await ports.callers.prover()
    found = await ports.arm.subscription_id(subscription)
    return (
        found,
        await ports.arm.tenant_of(found),
        await wanted.resolve_groups(ports.directory, groups, prover.object_id),
    )


@observable("look", of="cluster")
async def exists(cluster: ClusterId) -> bool:
    """Whether the cluster is there already: then no group is made for it before it was compared with what is asked."""
    try:
        await current_session().ports.arm.cluster(cluster)
    except Refused as error:
        if error.status == 404 or error.code in {"ResourceNotFound", "ResourceGroupNotFound"}:  # noqa: PLR2004 - HTTP
            return False
        raise
    return True


@observable("create admin group", of="group.display_name")
async def create_admin_group(group: GroupTarget) -> GroupEnsured:
    """Create the group under its unique name unless it exists; the prover becomes its first member."""
    ports = current_session().ports
    prover = await ports.callers.prover()
    group_id, created, request_id = await ports.directory.ensure_group(group, prover.object_id)
    return GroupEnsured(
        at=proofs.stamp(ports.clock),
        group_id=group_id,
        display_name=group.display_name,
        unique_name=group.unique_name or "",
        created=created,
        correlation_id=request_id,
    )


@observable("create cluster", of="spec.cluster")
async def create_cluster(spec: NewCluster, groups: tuple[GroupTarget, ...]) -> tuple[Evidence, ...]:
    """Create the cluster with local accounts off, and prove it. Refused when it exists and is otherwise."""
    return await current_session().executor.provision(spec, groups)
