"""Prove old credentials: try each held one alone on several connections, and read the activity log."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from aks_entra.core.cluster import ClusterId, Posture
from aks_entra.core.durations import when
from aks_entra.core.evidence.observations import (
    ActivityLogRead,
    Credential,
    CredentialTried,
    Evidence,
    Moment,
    StateSeen,
)
from aks_entra.core.evidence.sightings import answered
from aks_entra.errors import AksEntraError, TryLater
from aks_entra.ports.migration import HeldCredential, Ports
from aks_entra.probes.checks import Timeouts, authority, stamp
from aks_entra.probes.deadlines import Deadlines
from aks_entra.retry import persist

CONNECTIONS: Final = 4
"""The number of new connections that must refuse a credential after a rotation: API servers have replicas."""


async def activity_log(ports: Ports, patience: float, cluster: ClusterId) -> ActivityLogRead:
    """Return what the activity log shows of admin credentials. An unreadable log covers nothing and says why."""
    try:
        return await persist(ports.clock, patience, lambda: ports.arm.handed_out(cluster))
    except AksEntraError as error:
        return ActivityLogRead(at=stamp(ports.clock), problem=error.message)


def only_by_log(evidence: tuple[Evidence, ...]) -> str:
    """Return until when only the activity log can tell what happened, or "" if ARM shows an ETag.

    It is the time of the last look: without an ETag, nothing else shows whether the cluster changed before it.
    """
    states = [one for one in evidence if isinstance(one, StateSeen)]
    return states[-1].at if states and not states[-1].etag else ""


async def complete_log(
    ports: Ports, deadlines: Deadlines, timeouts: Timeouts, cluster: ClusterId, moment_of: str
) -> ActivityLogRead:
    """Return the activity log once it is complete up to a moment (ISO 8601), or at once if the moment is empty.

    TryLater until the log is complete. After the limit, return the log as it is.
    """
    log = await activity_log(ports, timeouts.look, cluster)
    until, moment = when(log.until), when(moment_of)
    if until and moment and until < moment and deadlines.patient(cluster, "activity log", timeouts.log):
        raise TryLater(
            f"Azure's activity log is complete only up to {log.until}; it alone tells what happened until {moment_of}",
            after=(moment - until).total_seconds(),
        )
    deadlines.arrived(cluster, "activity log")
    return log


async def tried(
    ports: Ports, posture: Posture, moment: Moment, held: HeldCredential | None
) -> tuple[CredentialTried, ...]:
    """Try each credential that is held of the cluster alone. Returns nothing if no credential is held."""
    if not ports.vault.holds(posture.cluster):
        return ()
    carried = {
        Credential.CERTIFICATE: held is None or held.has_certificate,
        Credential.STATIC_TOKEN: held is None or held.has_static_token,
    }
    signed = held is not None and held.signed
    issued_under = {Credential.CERTIFICATE: held.ca.fingerprint if held and signed else ""}
    found = []
    for credential in (one for one, is_carried in carried.items() if is_carried):
        answers = await _answers(ports, posture, credential, CONNECTIONS if moment is Moment.AFTER else 1)
        status, mixed = _worst(answers)
        found.append(
            CredentialTried(
                at=stamp(ports.clock),
                credential=credential,
                moment=moment,
                status=status,
                ca=authority(posture).fingerprint,
                issued_under=issued_under.get(credential, ""),
                connections=max(len(answers), 1),
                mixed=mixed,
            )
        )
    return tuple(found)


async def _answers(ports: Ports, posture: Posture, credential: Credential, wanted: int) -> tuple[int, ...]:
    """Return the statuses of `wanted` new connections, or fewer if more than one got no answer."""
    answers: list[int] = []
    silent = 0
    while len(answers) < wanted and silent <= 1:
        status = await ports.kubernetes.try_credential(posture, credential)
        if status is None:
            silent += 1
        else:
            answers.append(status)
    return tuple(answers) if silent <= 1 or HTTPStatus.OK in answers else ()


def _worst(answers: tuple[int, ...]) -> tuple[int | None, str]:
    """Return the answer that counts most against the rotation, and the count of each answer if they differ."""
    counted = {status: answers.count(status) for status in dict.fromkeys(answers)}
    by_severity = sorted(counted, key=lambda status: (status == HTTPStatus.UNAUTHORIZED, not answered(status), status))
    if len(counted) <= 1:
        return (by_severity[0] if by_severity else None), ""
    return by_severity[0], ", ".join(f"{counted[status]} x {status}" for status in by_severity)


async def admin_credential_works(
    ports: Ports, deadlines: Deadlines, timeouts: Timeouts, posture: Posture
) -> tuple[Evidence, ...]:
    """Fetch an admin credential into the vault and try it, to prove that local accounts are a way in again.

    TryLater while Azure still refuses it or the API server does not answer. After the timeouts, raise Diverged or
    return what was seen. The caller must forget the credential.
    """
    cluster = posture.cluster
    answer = await ports.arm.hold_admin_credential(cluster)
    if not isinstance(answer, HeldCredential):
        deadlines.later(
            cluster,
            "admin credential",
            timeouts.refusal,
            "ARM shows local accounts on, but refuses admin credentials",
            remedy="look at the cluster's activity log; `az aks get-credentials --admin` shows whether it lasts",
        )
    deadlines.arrived(cluster, "admin credential")
    seen = await tried(ports, posture, Moment.BEFORE, answer)
    if not any(one.status == HTTPStatus.OK for one in seen) and deadlines.patient(
        cluster, "reopened", timeouts.credential
    ):
        raise TryLater("the API server does not accept the admin credential yet", after=timeouts.poll_interval)
    deadlines.arrived(cluster, "reopened")
    return seen
