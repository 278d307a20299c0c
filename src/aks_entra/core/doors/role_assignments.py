"""The doors in Azure's role assignments: run command, static credentials, conditions and Fleet's roles."""

from __future__ import annotations

from typing import Final

from aks_entra.core.cluster import Identity
from aks_entra.core.doors.facts import DoorFacts, Unread
from aks_entra.core.doors.holders import weigh
from aks_entra.core.doors.model import Door, DoorKind, closed, door_kind, not_looked_at

RUN_COMMAND: Final = "run-command"
STATIC_CREDENTIALS: Final = "static-credentials"
CONDITIONAL_ROLES: Final = "conditional-roles"
FLEET_ROLES: Final = "fleet-roles"


@door_kind(RUN_COMMAND, "Run command")
def run_command(facts: DoorFacts) -> Door:
    """`az aks command invoke` runs a command in the cluster through ARM, past the network's limits."""
    posture = facts.posture
    if not isinstance(posture, Unread) and posture.run_command_disabled:
        return closed(RUN_COMMAND, "ARM shows apiServerAccessProfile.disableRunCommand: true")
    return weigh(
        RUN_COMMAND,
        facts.run_command,
        proof="no role assignment gives anyone but this program "
        "Microsoft.ContainerService/managedClusters/runCommand/action",
        remedy="`az aks update --disable-run-command`, or remove the role assignments",
    )


@door_kind(STATIC_CREDENTIALS, "Static credentials from ARM")
def static_credentials(facts: DoorFacts) -> Door:
    """While local accounts are on, ARM hands out a cluster-admin credential that does not name anybody."""
    posture = facts.posture
    if isinstance(posture, Unread):
        return not_looked_at(STATIC_CREDENTIALS, posture)
    if not posture.local_accounts and posture.identity is not Identity.NONE:
        return closed(STATIC_CREDENTIALS, "ARM shows local accounts off: it refuses to hand out admin credentials")
    return weigh(
        STATIC_CREDENTIALS,
        facts.credential_readers,
        proof="no role assignment lets anyone but this program fetch a static credential",
        remedy="turn local accounts off (aks-entra plan, then migrate), or remove the role assignments",
    )


@door_kind(CONDITIONAL_ROLES, "Role assignments with a condition")
def conditional_roles(facts: DoorFacts) -> Door:
    """A role assignment with a condition gives access in some cases. The condition is not evaluated here."""
    return weigh(
        CONDITIONAL_ROLES,
        facts.conditional_roles,
        proof="no role assignment that reaches the cluster has a condition",
        remedy="",
    )


@door_kind(FLEET_ROLES, "Roles of Fleet Manager for member clusters")
def fleet_roles(facts: DoorFacts) -> Door:
    """A role of Azure Kubernetes Fleet Manager `for Member Clusters` reaches into every member of its fleet."""
    return weigh(
        FLEET_ROLES,
        facts.fleet_roles,
        proof="no fleet that this identity can see has the cluster as a member and a role for member clusters",
        remedy="remove the role assignments on the fleet, or take the cluster out of it",
    )


KINDS: tuple[DoorKind, ...] = (run_command, static_credentials, conditional_roles, fleet_roles)
