"""Create an admin group once, and never take a group that somebody else created under its name."""

from __future__ import annotations

from aks_entra.core.evidence.observations import GroupEnsured
from aks_entra.core.group_drift import strangers
from aks_entra.core.preflight import GroupFacts
from aks_entra.core.target import GroupTarget
from aks_entra.errors import Refused, TryLater
from aks_entra.ports.migration import Ports
from aks_entra.probes import checks

_REPLICATES = 5.0  # seconds until a group that was just seen is looked at again


async def ensure(ports: Ports, group: GroupTarget, prover: str) -> tuple[GroupEnsured, GroupFacts]:
    """Find a group by its id, or create it under its unique name. Return the evidence, and what Graph says of it.

    A group that the plan creates may exist by now, because an earlier attempt of ours created it. It is used if it
    is as planned.

    Raises:
        Refused: the group is not as planned, is deleted, or is not security-enabled.
        TryLater: the group is not replicated yet.
    """
    if group.id is not None:
        group_id, created, request_id = group.id, False, ""
    else:
        group_id, created, request_id = await ports.directory.ensure_group(group, prover)
    facts = await ports.directory.group(group_id, prover=prover)
    name = facts.display_name or group.display_name
    if not facts.exists or facts.deleted_on is not None or not facts.security_enabled:
        raise Refused(
            f"group {name} ({group_id}) does not exist, is deleted or is not security-enabled",
            remedy="restore it, or name another under `admin_groups`",
        )
    if group.id is None and not created and (found := await not_as_planned(ports, group, group_id, prover)):
        raise Refused(
            f"group {name} ({group_id}) was to be created, but exists by now and is not as planned: {'; '.join(found)}",
            remedy="find out who made it; to use it all the same, plan again: the plan then names it by its id",
            code="GroupMoved",
        )
    evidence = GroupEnsured(
        at=checks.stamp(ports.clock),
        group_id=group_id,
        display_name=name,
        unique_name=group.unique_name or "",
        created=created,
        correlation_id=request_id,
    )
    return evidence, facts


async def not_as_planned(ports: Ports, group: GroupTarget, group_id: str, prover: str) -> tuple[str, ...]:
    """Return the differences between a group that exists and the planned one. TryLater while it replicates."""
    seen = await ports.directory.contents(group_id)
    if not seen.exists:
        raise TryLater(f"group {group.display_name} cannot be read everywhere yet", after=_REPLICATES)
    runner = await ports.callers.runner()
    return strangers(group, seen, prover=prover, runner=runner.object_id)
