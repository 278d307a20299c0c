"""Find the clusters of credentials that somebody found, and who could have fetched them. It only reads.

No credential is sent anywhere: a cluster is known by its CA or by the server's name, and its CA by ARM or a handshake.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from aks_entra.bounded_gather import bounded_gather
from aks_entra.core.cluster import Posture
from aks_entra.core.durations import when
from aks_entra.core.evidence.found_credentials import (
    FoundCredential,
    Judgement,
    Kind,
    Served,
    cluster_of,
    generation,
    judge,
    served,
    since,
)
from aks_entra.core.evidence.observations import ActivityLogRead, HandedOut
from aks_entra.core.evidence.rotation_debt import Record
from aks_entra.planning.fleet_reader import FleetReader, Progress
from aks_entra.planning.selection import Selection, select
from aks_entra.ports.migration import Ports
from aks_entra.probes import checks
from aks_entra.probes.old_credentials import activity_log

_LOG = 60.0  # seconds of throttling of the activity log
_SIDE_BY_SIDE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is known of one credential. `fetched`: who received such a credential while this one was handed out.

    `log` says which time the activity log covers, or why it was not read. Empty: nobody fetches this kind from Azure.
    """

    found: FoundCredential
    judgement: Judgement
    posture: Posture | None = None
    known_by: str = ""
    generation: str = ""
    served: Served | None = None
    fetched: tuple[HandedOut, ...] = ()
    log: str = ""


async def trace(
    ports: Ports,
    found: tuple[FoundCredential, ...],
    wanted: Selection,
    records: tuple[Record, ...],
    on_progress: Progress | None = None,
) -> tuple[Answer, ...]:
    """Return an answer for each credential, in their order.

    If neither a report nor the server's name tells the cluster, every API server is asked for its certificate.

    Raises:
        Refused: `wanted` names a subscription, resource group or cluster that does not exist.
    """
    reader = FleetReader(ports, records, _SIDE_BY_SIDE, on_progress)
    postures = await select(ports.arm, reader, wanted)
    named = [cluster_of(one, postures, records)[0] for one in found]
    lost = any(
        one.keys and posture is None and one.recognised is None for one, posture in zip(found, named, strict=True)
    )
    seen = {posture.cluster.key: posture for posture in named if posture is not None}
    ask = postures if lost else tuple(seen.values())
    probed = await reader.each(ask, lambda posture: _probed(reader, posture), lambda posture, _: posture)
    around = {one.cluster.key: one for one in (*postures, *probed)}
    postures = tuple(around.values())
    owners = [cluster_of(one, postures, records) for one in found]
    near = tuple({posture.cluster.key: posture for posture, _ in owners if posture is not None}.values())
    fetchable = {owner.cluster.key for one, (owner, _) in zip(found, owners, strict=True) if owner and one.static}

    async def look(posture: Posture) -> tuple[Posture, ActivityLogRead]:
        log = ActivityLogRead(at="")
        if posture.cluster.key in fetchable:
            log = await activity_log(ports, _LOG, posture.cluster)
        return (await reader.read(posture))[0], log

    looked = {one.cluster.key: (one, log) for one, log in await bounded_gather(look, near, at_once=_SIDE_BY_SIDE)}
    now = checks.stamp(ports.clock)
    answers = []
    for one, (owner, known_by) in zip(found, owners, strict=True):
        whole, log = looked[owner.cluster.key] if owner else (None, ActivityLogRead(at=""))
        asked = whole is not None and one.static
        checked = _checked(ports, one, whole)
        came_with = served(checked, whole, records)
        answers.append(
            Answer(
                found=checked,
                judgement=judge(checked, whole, records, now),
                posture=whole,
                known_by=known_by if checked.signed == one.signed else "the CA that serves there now signed it",
                generation=generation(checked),
                served=came_with,
                fetched=_fetched(whole, (since(checked), came_with.until if came_with else ""), log, records)
                if whole is not None and asked
                else (),
                log=_covered(since(checked), log) if asked else "",
            )
        )
    return tuple(answers)


async def _probed(reader: FleetReader, posture: Posture) -> Posture:
    return posture if posture.stopped else (await reader.probed(posture))[0]


def _checked(ports: Ports, found: FoundCredential, posture: Posture | None) -> FoundCredential:
    """Check by its signature whether the CA that serves now issued a certificate. Unchanged if that CA was not read."""
    if found.kind is not Kind.CERTIFICATE or found.signed or posture is None or posture.ca is None:
        return found
    if not ports.vault.signed(posture.cluster, found.certificate):
        return replace(found, refuted=True)
    return replace(found, authority=posture.ca, signed=True)


def _fetched(
    posture: Posture, served: tuple[str, str], log: ActivityLogRead, records: tuple[Record, ...]
) -> tuple[HandedOut, ...]:
    """Return who received an admin credential, by the log and by earlier reports, the earliest first.

    `served` is from when and until when (empty: now) the credential was handed out.
    """
    begin, end = served
    told = (
        HandedOut(at=one.at, to=one.handed_out_to)
        for one in records
        if one.handed_out_to and one.cluster == posture.cluster.key
    )
    found = {(one.at, one.to): one for one in (*told, *log.handed_out) if _after(one.at, begin)}
    found = {key: one for key, one in found.items() if not end or not _after(one.at, end)}
    return tuple(found[key] for key in sorted(found))


def _covered(begin: str, log: ActivityLogRead) -> str:
    """Say which part of the time since `begin` the log covers."""
    if log.problem:
        return f"Azure's activity log was not read: {log.problem}"
    if (when(log.since) or when(begin)) and _after(log.since, begin):
        return f"Azure's activity log begins on {log.since[:10]}: who fetched it before is not known"
    return f"Azure's activity log covers the whole time, up to {log.until}"


def _after(at: str, begin: str) -> bool:
    """Whether something happened after a moment. An unreadable time counts as yes."""
    then, start = when(at), when(begin)
    return then is None or start is None or then > start
