"""Read who can get into a cluster, and how. What cannot be read gets a row that says so."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, TypeVar

from aks_entra.core.access.access_facts import Group
from aks_entra.core.access.review import Seen, Way, ways
from aks_entra.core.cluster import Identity, Posture
from aks_entra.core.evidence.rotation_debt import OldCredentials, Record, needs_log, old_credentials
from aks_entra.errors import Refused, TryLater
from aks_entra.ports.access import AccessPorts
from aks_entra.ports.migration import Ports
from aks_entra.probes import checks
from aks_entra.probes.old_credentials import activity_log

_T = TypeVar("_T")
_PATIENCE: Final = 60.0  # seconds: how long throttling of the activity log is waited out


async def review(
    ports: Ports, access: AccessPorts, posture: Posture, records: tuple[Record, ...] = ()
) -> tuple[Way, ...]:
    """Return every way into one cluster. `records` holds our own reports, which tell about old credentials."""
    groups = []
    for one in posture.admin_group_ids:
        facts = await ports.directory.group(one, prover="")
        exists = facts.exists and facts.deleted_on is None
        groups.append(Group(id=one, name=facts.display_name, exists=exists, security_enabled=facts.security_enabled))
    there = [one.id for one in groups if one.exists]
    memberships = {one.casefold(): await _readable(access.pim.memberships(group_id=one)) for one in there}
    roles = await _readable(access.roles.held(posture.cluster, None))
    inside = posture.identity is Identity.MANAGED and not posture.stopped
    bindings = await _readable(access.bindings.bindings(posture)) if inside else None
    ids = [one.principal_id for one in roles or ()]
    ids += [subject.name for one in bindings or () for subject in one.subjects]
    ids += [one.principal_id for found in memberships.values() for one in found or ()]
    return ways(
        Seen(
            posture=posture,
            groups=tuple(groups),
            members={one.casefold(): await _readable(ports.directory.members_of(one)) for one in there},
            memberships=memberships,
            roles=roles,
            bindings=bindings,
            old_credentials=await _old_credentials(ports, posture, records),
            grants=() if bindings is None else await _readable(access.bindings.grants(posture)) or (),
            names=await _readable(ports.directory.principals(tuple(dict.fromkeys(ids)))),
        )
    )


async def _old_credentials(ports: Ports, posture: Posture, records: tuple[Record, ...]) -> OldCredentials:
    """Return whether old credentials still work, by our records and the activity log."""
    now, read = checks.stamp(ports.clock), posture
    if not posture.local_accounts and (ca := await _readable(ports.arm.certificate_authority(posture.cluster))):
        read = posture.with_ca(ca)
    log = await activity_log(ports, _PATIENCE, posture.cluster) if needs_log(read, records, now=now) else None
    return old_credentials(read, records, log, now=now)


async def _readable(reading: Awaitable[_T]) -> _T | None:
    try:
        return await reading
    except (Refused, TryLater):
        return None
