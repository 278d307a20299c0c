"""Create what does not exist yet: an admin group, and a cluster with local accounts off from its first day."""

from __future__ import annotations

from aks_entra.core.cluster import ClusterId
from aks_entra.core.evidence.observations import Evidence, GroupEnsured
from aks_entra.core.new_cluster import NewCluster
from aks_entra.core.planning.fleet import WantedGroup
from aks_entra.core.target import GroupTarget
from aks_entra.errors import Refused
from aks_entra.execution import admin_group
from aks_entra.planning import admin_groups
from aks_entra.probes.checks import failure, stamp
from aks_entra.wiring import current_session
from tasks.azure_task import observable
from tasks.evidence import say_evidence


@observable("resolve names", of="subscription")
async def resolve_names(subscription: str, groups: tuple[WantedGroup, ...]) -> tuple[str, str, tuple[GroupTarget, ...]]:
    """Return the subscription's id, its tenant, and the admin groups. A group without an id does not exist yet."""
    ports = current_session().ports
    prover = await ports.callers.prover()
    found = await ports.arm.subscription_id(subscription)
    return (
        found,
        await ports.arm.tenant_of(found),
        await admin_groups.resolve_groups(ports.directory, groups, prover.object_id),
    )


@observable("look", of="cluster")
async def exists(cluster: ClusterId) -> bool:
    """Whether the cluster exists. If so, it is compared with the request before a group is created for it."""
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
    return (await admin_group.ensure(ports, group, prover.object_id))[0]


def failed(error: Exception) -> tuple[Evidence, ...]:
    """Return an error as evidence of the present moment."""
    return (failure(error, stamp(current_session().ports.clock)),)


@observable("create cluster", of="spec.cluster")
async def create_cluster(spec: NewCluster, groups: tuple[GroupTarget, ...]) -> tuple[Evidence, ...]:
    """Create the cluster with local accounts off, and prove it. Raises Refused if such a cluster exists and differs."""
    session = current_session()
    seen = await session.executor.provision(spec, groups)
    say_evidence(spec.cluster, seen)
    return seen
