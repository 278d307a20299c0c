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
    cluster_of,
    generation,
    judge,
    since,
)
from aks_entra.core.evidence.observations import ActivityLogRead, HandedOut
from aks_entra.core.evidence.rotation_debt import Record, Sighting
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
    lost = any(one.keys and posture is None for one, posture in zip(found, named, strict=True))
    seen = {posture.cluster.key: posture for posture in named if posture is not None}
    ask = postures if lost else tuple(seen.values())
    probed = await reader.each(ask, lambda posture: _probed(reader, posture), lambda posture, _: posture)
    around = {one.cluster.key: one for one in (*postures, *probed)}
    postures = tuple(around.values())
    found_at = [cluster_of(one, postures, records) for one in found]
    near = {posture.cluster.key: posture for posture, _ in found_at if posture is not None}
    read = await bounded_gather(lambda one: _read(reader, one), tuple(near.values()), at_once=_SIDE_BY_SIDE)
    near = {one.cluster.key: one for one in read}
    logs = dict(zip(near, await bounded_gather(lambda one: _log(ports, one), read, at_once=_SIDE_BY_SIDE), strict=True))
    now = checks.stamp(ports.clock)
    answers = []
    for one, (posture, known_by) in zip(found, found_at, strict=True):
        whole = near[posture.cluster.key] if posture is not None else None
        answer = Answer(
            found=one,
            judgement=judge(one, whole, records, now),
            posture=whole,
            known_by=known_by,
            generation=generation(one),
        )
        if whole is not None and one.kind in {Kind.CERTIFICATE, Kind.STATIC_TOKEN}:
            answer = _with_fetched(answer, logs[whole.cluster.key], records)
        answers.append(answer)
    return tuple(answers)


async def _probed(reader: FleetReader, posture: Posture) -> Posture:
    return posture if posture.stopped else (await reader.probed(posture))[0]


async def _read(reader: FleetReader, posture: Posture) -> Posture:
    """Return the posture with its CA if that can be read. A handshake that was done is kept."""
    return (await reader.read(posture))[0]


async def _log(ports: Ports, posture: Posture) -> ActivityLogRead:
    return await activity_log(ports, _LOG, posture.cluster)


def _with_fetched(answer: Answer, log: ActivityLogRead, records: tuple[Record, ...]) -> Answer:
    """Add who received an admin credential since this one could be fetched: by the log, and by earlier reports."""
    assert answer.posture is not None  # noqa: S101 - the caller checks it
    begin = since(answer.found)
    told = [
        HandedOut(at=one.at, to=one.source.removeprefix("activity log: handed out to "))
        for one in records
        if one.cluster == answer.posture.cluster.key
        and one.sighting is Sighting.ACCOUNTS_ON
        and one.source.startswith("activity log: handed out to ")
    ]
    fetched = {(one.at, one.to): one for one in (*told, *log.handed_out) if _after(one.at, begin)}
    if log.problem:
        covered = f"Azure's activity log was not read: {log.problem}"
    elif (when(log.since) or when(begin)) and _after(log.since, begin):
        covered = f"Azure's activity log begins on {log.since[:10]}: who fetched it before is not known"
    else:
        covered = f"Azure's activity log covers the whole time, up to {log.until}"
    return replace(answer, fetched=tuple(fetched[key] for key in sorted(fetched)), log=covered)


def _after(at: str, begin: str) -> bool:
    """Whether something happened after a moment. An unreadable time counts as yes."""
    then, start = when(at), when(begin)
    return then is None or start is None or then > start
