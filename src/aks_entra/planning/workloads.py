"""Read the workloads of a cluster, which a rotation may break: as the prover, or with the cluster's admin credential.

The admin credential is fetched only if the fleet asks for it and the prover cannot read everything. It stays in the
vault, in memory, for this read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from aks_entra.core.cluster import Identity, Posture
from aks_entra.core.durations import stamp
from aks_entra.core.evidence.admin_reads import AdminRead
from aks_entra.core.evidence.observations import AdminCredentialRefused
from aks_entra.core.planning.fleet import ReadAs
from aks_entra.core.preflight import Inside
from aks_entra.errors import AksEntraError
from aks_entra.ports.migration import Ports
from aks_entra.retry import REACH, persist

_NOT_ON: Final = "Microsoft Entra ID is not on yet, so nobody can sign in"
_REFUSED: Final = frozenset({401, 403})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was read. `because` says why it could not be read. `handed_out`: Azure handed out the admin credential.

    `admin_read`: what was called with the admin credential. None: nothing, or nobody knows how much.
    """

    inside: Inside | None
    because: str = ""
    handed_out: bool = False
    admin_read: AdminRead | None = None


async def workloads_of(ports: Ports, posture: Posture, read: ReadAs, *, unreachable: str = "") -> Seen:
    """Read the workloads as the prover, and where it cannot, with the admin credential if the fleet asks for that.

    `unreachable`: why the API server did not answer a moment ago. Then it is not asked again.
    """
    if unreachable:
        return Seen(inside=None, because=unreachable)
    seen, refused = await _as_prover(ports, posture)
    if read is not ReadAs.ADMIN_CREDENTIAL or not refused:
        return seen
    if not posture.local_accounts:
        return replace(seen, because=f"{seen.because}; local accounts are off, so there is no admin credential")
    found = await _as_admin(ports, posture)
    return replace(found, inside=found.inside or seen.inside)


async def _as_prover(ports: Ports, posture: Posture) -> tuple[Seen, bool]:
    """Return what the prover sees, and whether it may not see everything."""
    if posture.identity is not Identity.MANAGED:
        return Seen(inside=None, because=_NOT_ON), True
    try:
        inside = await persist(ports.clock, REACH, lambda: ports.kubernetes.inside(posture))
    except AksEntraError as error:
        return Seen(inside=None, because=error.message), error.status in _REFUSED
    return Seen(inside=inside), bool(inside.unread)


async def _as_admin(ports: Ports, posture: Posture) -> Seen:
    """Fetch the admin credential into the vault, read with it, and drop it. One that is held already is used."""
    held, handed_out = ports.vault.holds(posture.cluster), False
    try:
        if not held:
            answer = await persist(ports.clock, REACH, lambda: ports.arm.hold_admin_credential(posture.cluster))
            if isinstance(answer, AdminCredentialRefused):
                return Seen(inside=None, because=answer.message)
            handed_out = True
        inside, read = await persist(ports.clock, REACH, lambda: _inside_as_admin(ports, posture))
        return Seen(inside=inside, handed_out=handed_out, admin_read=read)
    except AksEntraError as error:
        return Seen(inside=None, because=f"with the admin credential: {error.message}", handed_out=handed_out)
    finally:
        if not held:
            ports.vault.forget(posture.cluster)


async def _inside_as_admin(ports: Ports, posture: Posture) -> tuple[Inside, AdminRead]:
    """Read with the admin credential. An attempt that failed is not counted: how far it came is unknown."""
    at = stamp(ports.clock.now())
    inside = await ports.kubernetes.inside(posture, as_admin=True)
    return inside, AdminRead(at=at, until=stamp(ports.clock.now()), requests=inside.requests)
