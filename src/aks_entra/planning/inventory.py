"""Reads the inventory: what each cluster is. Never writes.

It costs one list per subscription and one read per admin group, and more only when it is asked to go deeper.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from aks_entra.core.cluster import Identity, Posture
from aks_entra.core.doors.facts import DoorFacts
from aks_entra.core.doors.model import Door
from aks_entra.core.doors.registry import doors_of
from aks_entra.core.evidence.rotation_debt import OldCredentials, Record
from aks_entra.core.group_drift import Drift
from aks_entra.core.planning.fleet import WantedGroup
from aks_entra.core.preflight import GroupFacts
from aks_entra.planning.admin_groups import resolve_groups
from aks_entra.planning.fleet_reader import FleetReader, Progress
from aks_entra.planning.group_drift import drifts
from aks_entra.planning.selection import Selection, select
from aks_entra.planning.unreadable_cluster import UNREAD, words
from aks_entra.ports.migration import Caller, Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One cluster of an inventory."""

    posture: Posture
    old_credentials: OldCredentials
    groups: tuple[GroupFacts, ...] = ()  # of its admin groups: name, member count, deleted_on; members None: unreadable
    drifts: tuple[Drift, ...] = ()  # of those of its admin groups that a fleet file declares
    problem: str = ""  # why it could not be probed or read
    doors: tuple[Door, ...] = ()


async def inventory(
    ports: Ports,
    wanted: Selection,
    *,
    probe: bool,
    read: bool,
    records: tuple[Record, ...],
    concurrency: int = 20,
    on_progress: Progress | None = None,
    declared: tuple[WantedGroup, ...] = (),
) -> tuple[Row, ...]:
    """Return one row for each cluster, sorted by id.

    Costs one or two requests per subscription, and one per 1,000 clusters for a management group or a tenant, unless
    `probe` or `read` asks for more. Each group is read once. Groups
    that a fleet file declares (`create: true`) are compared with the directory. A cluster that cannot be read is a row
    with its problem.

    Raises:
        Refused: A selector names a subscription, resource group or cluster that does not exist. If `wanted` has
            `on_problem`, the problem is reported there, and the clusters of the other selectors are returned.
    """
    reader = FleetReader(ports, records, concurrency, on_progress)
    caller = await ports.callers.runner()
    postures = await select(ports.arm, reader, wanted)
    reader.drifts = await _declared(ports, reader, declared)
    return await reader.each(postures, lambda posture: _row(reader, posture, caller, probe=probe, read=read), _unread)


async def _row(reader: FleetReader, posture: Posture, caller: Caller, *, probe: bool, read: bool) -> Row:
    """Return one line of the inventory. What a depth cannot show stays unknown."""
    problem = ""
    if probe and not posture.stopped:
        posture, problem = await reader.probed(posture)
    if read and not posture.stopped:
        posture, trouble = await reader.read(posture)
        problem = problem or trouble
    ids = posture.admin_group_ids if posture.identity is Identity.MANAGED else ()
    return Row(
        posture=posture,
        old_credentials=await reader.debt(posture),
        groups=await reader.groups(ids, caller.object_id),
        drifts=tuple(reader.drifts[one.lower()] for one in ids if one.lower() in reader.drifts),
        problem=problem,
        doors=await reader.doors(posture) if read and not posture.stopped else doors_of(DoorFacts(posture=posture)),
    )


async def _declared(ports: Ports, reader: FleetReader, wanted: tuple[WantedGroup, ...]) -> dict[str, Drift]:
    """Compare the existing groups that a fleet file declares with the directory. A name that fails is left out."""
    found: dict[str, Drift] = {}
    for group in wanted:
        if group.create:
            resolved = await reader.known(functools.partial(resolve_groups, ports.directory, (group,), ""))
            there = [one for one in resolved or () if one.id and one.unique_name]
            found |= {one.reference: one for one in await drifts(ports, reader, tuple(there))}
    return found


def _unread(posture: Posture, error: Exception) -> Row:
    """Return the row of a cluster that cannot be read: what the list showed, and the problem."""
    return Row(posture=posture, old_credentials=UNREAD, problem=words(error))
