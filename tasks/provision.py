"""Create what does not exist yet: an admin group, and a cluster with local accounts off from its first day."""

from __future__ import annotations

from aks_entra.core.creation.new_cluster import NewCluster
from aks_entra.core.evidence.observations import Evidence, GroupEnsured
from aks_entra.core.planning.fleet import WantedGroup
from aks_entra.core.target import GroupTarget
from aks_entra.execution import admin_group
from aks_entra.execution.creation_preview import preview
from aks_entra.execution.provision import refuse
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


@observable("check", of="new.cluster")
async def check_creation(new: NewCluster, *, groups_known: bool) -> bool:
    """Return whether the cluster exists, as requested. Raises Refused if it differs or cannot be created.

    `groups_known` is False while an admin group does not exist yet. What could not be read is said in the run's log.
    """
    ports = current_session().ports
    found = await preview(ports.arm, new, groups_known=groups_known)
    refuse(found)
    for one in found.unknown:
        ports.log.say(new.cluster, f"not known: {one.message} ({one.remedy})")
    ports.log.say(new.cluster, f"checked: {found.course}")
    return found.exists


@observable("create admin group", of="group.display_name")
async def create_admin_group(group: GroupTarget) -> GroupEnsured:
    """Create the group under its unique name unless it exists; the prover becomes its first member."""
    ports = current_session().ports
    prover = await ports.callers.prover()
    return (await admin_group.ensure(ports, group, prover.object_id))[0]


def failed(error: Exception) -> tuple[Evidence, ...]:
    """Return an error as evidence of the present moment."""
    return (failure(error, stamp(current_session().ports.clock)),)


@observable("create cluster", of="new.cluster")
async def create_cluster(new: NewCluster, groups: tuple[GroupTarget, ...]) -> tuple[Evidence, ...]:
    """Create the cluster with local accounts off, and prove it. Raises Refused if such a cluster exists and differs."""
    session = current_session()
    seen = await session.executor.provision(new, groups)
    say_evidence(new.cluster, seen)
    return seen
