"""Proof of sign-in: a token of the prover gets in at this API server, by a right that it still has.

Tokens carry groups, and `az` and managed identities cache tokens for up to 24 hours. So a token that is older than the
last change of the groups proves nothing, and Microsoft Graph is asked for the membership again.

One token signs in at many clusters for some minutes. If it does not prove a sign-in completely, a new one is asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aks_entra.core.cluster import Posture, same_id
from aks_entra.core.durations import when
from aks_entra.core.evidence.observations import BY_ROLE, Moment, SignInProven, by_group
from aks_entra.core.planning.job import Job
from aks_entra.core.steps import ProveSignIn
from aks_entra.errors import AksEntraError, TryLater
from aks_entra.ports.migration import Ports, SignedIn
from aks_entra.probes import checks

FRESH: Final = timedelta(minutes=5)
"""How old a newly requested token may be, because clocks differ."""

SHARED: Final = timedelta(minutes=4)
"""How long this process signs in with one token. A proof that rests on the token alone needs a newly requested one."""

IsMember = Callable[[str, str, str], Awaitable[bool | None]]
"""Whether a principal (second) is a member of a group (first), read after a token was issued (third, ISO 8601)."""

NO_FRESH_TOKEN: Final = "NoFreshToken"  # noqa: S105 - an error's code
_AFTER: Final = 15.0  # seconds
_CACHE: Final = "`az` and managed identities keep a token for up to 24 hours: wait for a new one, or sign in again"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Try:
    """A sign-in, the right by which the prover got in (empty: none), and why a named group does not count.

    `member`: Graph or ARM says that the right exists now, so that nothing rests on the token alone.
    """

    seen: SignedIn
    by: str
    doubt: str
    member: bool


async def sign_in(
    ports: Ports, job: Job, posture: Posture, moment: Moment, since: str = "", is_member: IsMember | None = None
) -> SignInProven:
    """Sign in with a token of the last minutes and say by which right. `by` is empty if another binding let it in.

    `since` is when the admin groups were written last (ISO 8601; empty: not by this run). TryLater when the token is
    older than that, when Graph says that the prover is no member any more, or when Graph does not say and the token was
    not issued just now. `is_member` asks Graph; None: without sharing the answer.
    """
    asked, written = ports.clock.now(), when(since)
    shared = asked - SHARED
    ask = is_member or _asking(ports)
    found = await _try(ports, job, posture, ask, asked=asked, since=max(shared, written) if written else shared)
    if not (found.by and found.member and found.seen.everything) and _may_be_older(found.seen, asked):
        found = await _try(ports, job, posture, _asking(ports), asked=asked, since=asked)
    seen = found.seen
    issued = when(seen.issued_at)
    if issued and written and issued < written.replace(microsecond=0):
        raise _stale(
            f"the prover's token is from {seen.issued_at}, older than the change of the admin groups at {since}"
        )
    if not found.by and found.doubt:
        raise _stale(found.doubt)
    return SignInProven(
        at=checks.stamp(ports.clock),
        username=seen.username,
        by=found.by,
        everything=seen.everything,
        moment=moment,
        ca=checks.authority(posture).fingerprint,
        issued_at=seen.issued_at,
    )


async def _try(
    ports: Ports, job: Job, posture: Posture, is_member: IsMember, *, asked: datetime, since: datetime
) -> _Try:
    """Sign in once with a token that was asked for at `since` or later."""
    seen = await ports.kubernetes.sign_in(posture, since=since)
    issued = when(seen.issued_at)
    named = tuple(one for one in await _ways_in(ports, job, posture) if any(same_id(one, it) for it in seen.groups))
    fresh = issued is not None and issued >= asked - FRESH
    by, doubt, member = await _by_membership(job, named, is_member, fresh=fresh, token=seen.issued_at)
    stays = job.plan.after.azure_rbac  # a role that is about to lose its meaning is no way in
    if (
        not by
        and posture.azure_rbac
        and stays
        and await ports.arm.is_cluster_admin(posture.cluster, job.prover.object_id)
    ):
        by, member = BY_ROLE, True
    return _Try(seen=seen, by=by, doubt=doubt, member=member)


def _may_be_older(seen: SignedIn, asked: datetime) -> bool:
    """Whether the token may have been asked for before this sign-in. A token tells the second of its issue."""
    issued = when(seen.issued_at)
    return issued is None or issued < asked.replace(microsecond=0)


def _asking(ports: Ports) -> IsMember:
    async def ask(group: str, principal: str, _: str) -> bool | None:
        return await ports.directory.is_member(group, principal)

    return ask


async def still_in(ports: Ports, job: Job, posture: Posture, proven: SignInProven) -> bool:
    """Whether Microsoft Graph or ARM shows that the prover still has the right by which it signed in.

    False if that is unknown.
    """
    if proven.by == BY_ROLE:
        return bool(await ports.arm.is_cluster_admin(posture.cluster, job.prover.object_id))
    for group in posture.admin_group_ids:
        if proven.by == by_group(group.lower()):
            return bool(await _known(_asking(ports)(group, job.prover.object_id, "")))
    return False


async def _ways_in(ports: Ports, job: Job, posture: Posture) -> tuple[str, ...]:
    """Return the admin groups that ARM shows and the plan proves."""
    prove = next((step for step in job.plan.steps if isinstance(step, ProveSignIn)), None)
    if prove is None:
        return posture.admin_group_ids
    planned = checks.object_ids(prove.admin_groups, await checks.existing_groups(ports, job.plan))
    return tuple(group for group in posture.admin_group_ids if any(same_id(group, other) for other in planned))


async def _by_membership(
    job: Job, named: tuple[str, ...], is_member: IsMember, *, fresh: bool, token: str
) -> tuple[str, str, bool]:
    """Return the group in the token of which the prover is a member now, or why there is none; and if Graph says so."""
    from_when = f" from {token}" if token else ""
    doubt = ""
    for group in named:
        member = await _known(is_member(group, job.prover.object_id, token))
        if member or (member is None and fresh):
            return by_group(group.lower()), "", bool(member)
        doubt = (
            f"the prover's token{from_when} names admin group {group}, but Microsoft Graph says that the prover is no "
            "member of it"
            if member is False
            else f"the prover's token{from_when} was not issued just now, and Microsoft Graph does not say whether the "
            f"prover is a member of admin group {group} now"
        )
    return "", doubt, False


async def _known(asking: Awaitable[bool | None]) -> bool | None:
    try:
        return await asking
    except TryLater:
        raise
    except AksEntraError:
        return None


def _stale(message: str) -> TryLater:
    return TryLater(message, after=_AFTER, remedy=_CACHE, code=NO_FRESH_TOKEN)
