"""Read who can sign at the gates of a plan. Each group is read once for all clusters."""

from __future__ import annotations

from functools import partial

from aks_entra.core.cluster import same_id
from aks_entra.core.planning.approvers import Approvers
from aks_entra.core.planning.rollout import Soak, Stage, approvers_of
from aks_entra.core.preflight import ApproversSeen, GroupFacts
from aks_entra.core.preflight.approvers import enabled_users, working_groups
from aks_entra.planning.reader import Reading
from aks_entra.ports.migration import Caller, Ports


def approvers_by_cluster(stages: tuple[Stage, ...], rotation: Soak | None) -> dict[str, tuple[Approvers, ...]]:
    """Return who has to sign at the gates of a cluster (by key): those of its stage, and the one of the rotation."""
    found = [(stage, approvers_of((stage,), rotation)) for stage in stages]
    return {member.key: approvers for stage, approvers in found for member in stage.members}


async def approvers_seen(
    ports: Ports, reader: Reading, approvers: tuple[Approvers, ...], runner: Caller, prover: Caller
) -> tuple[ApproversSeen, ...]:
    """Read the groups of approvers in the directory of the runner's tenant."""
    return tuple([await _seen(ports, reader, one, runner, prover) for one in approvers])


async def _seen(ports: Ports, reader: Reading, approvers: Approvers, runner: Caller, prover: Caller) -> ApproversSeen:
    elsewhere = not same_id(approvers.tenant_id, runner.tenant_id)
    groups = () if elsewhere else await reader.groups(approvers.groups, prover.object_id)
    at_least = max(approvers.at_least, 1)  # a plan may come from anywhere
    return ApproversSeen(
        groups=groups,
        at_least=at_least,
        not_requester=approvers.not_requester,
        users=await _users(ports, reader, working_groups(groups), at_least),
        other_tenant=approvers.tenant_id if elsewhere else "",
    )


async def _users(ports: Ports, reader: Reading, working: tuple[GroupFacts, ...], at_least: int) -> int | None:
    """Count different enabled users. They are listed only if somebody may be in two groups, and that may matter."""
    enabled = enabled_users(working)
    if len(working) <= 1 or enabled is None or enabled < at_least:
        return enabled
    users: set[str] = set()
    for one in working:
        listing = partial(ports.directory.members_of, one.id)
        members = await reader.known(partial(reader.once, "members", one.id, listing))
        if members is None:
            return None
        users |= {member.id for member in members if member.kind == "User" and member.enabled}
    return len(users)
