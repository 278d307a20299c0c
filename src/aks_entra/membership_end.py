"""Proves that a just-in-time membership is over: gone from PIM and group, a new token refused, old tokens named.

Reads only. Whoever ended it (Azure at its time, an administrator, the person), what is proven is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aks_entra.core.cluster import ClusterId
from aks_entra.core.conditional_access import SeenSignIn
from aks_entra.core.durations import moment, stamp
from aks_entra.core.grants import Principal
from aks_entra.core.pim import TOKEN_LIFE, Kind, tokens_until
from aks_entra.core.wishes import EVERYTHING, Wish
from aks_entra.errors import Refused
from aks_entra.granting import new_token
from aks_entra.just_in_time import JustInTime

NODES: Final = Wish(verb="list", resource="nodes", group="")
"""What the documentation tries: `kubectl get nodes`."""
_UNREADABLE: Final = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What one cluster's API server says to a new token. `still_allowed`: what lets it in all the same."""

    cluster: str
    proof: str
    still_allowed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndProof:
    """What was seen of the end. `tokens`: who may hold one from before, and until when at most."""

    who: str
    membership: str
    clusters: tuple[Refusal, ...]
    tokens: tuple[str, ...]

    @property
    def refused(self) -> bool:
        """Whether no cluster that was asked lets a new token in."""
        return not any(one.still_allowed for one in self.clusters)


async def prove_end(pim: JustInTime, group: str, of: str, clusters: tuple[ClusterId, ...]) -> EndProof:
    """See that an active membership is gone, everywhere. Diverged when it still stands after the patience."""
    group_id = (await pim.access.people.principal(group)).id
    who = await pim.access.people.principal(of)
    gone = await pim.prove_gone(group_id, who, Kind.ACTIVE)
    return EndProof(
        who=who.called,
        membership=gone,
        clusters=tuple([await _refusal(pim, who, one) for one in clusters]),
        tokens=await _tokens(pim, who),
    )


async def _refusal(pim: JustInTime, who: Principal, cluster: ClusterId) -> Refusal:
    posture = await pim.ports.arm.cluster(cluster)
    token = await new_token(pim.ports, pim.access, who.id)
    for wish in (EVERYTHING, NODES):
        answer = await pim.access.bindings.would_allow(posture, token, wish)
        if answer.allowed:
            return Refusal(cluster=str(cluster), proof="", still_allowed=f"{wish}: {answer.reason or 'allowed'}")
    proof = f"{cluster} refuses a new token ({NODES}), seen at {stamp(pim.ports.clock.now())}"
    return Refusal(cluster=str(cluster), proof=proof)


async def _tokens(pim: JustInTime, who: Principal) -> tuple[str, ...]:
    """Each sign-in whose token may live on, and the bound for those that the log does not show."""
    now = pim.ports.clock.now()
    machine = who.kind == "ServicePrincipal"
    bound = (
        f"{who.called}: a token from before may be accepted until {stamp(tokens_until(now, machine=machine))} at most"
    )
    if machine:
        return (f"{bound} (sign-ins of applications are not in the log that v1.0 of Microsoft Graph shows)",)
    try:
        seen = await pim.access.policies.sign_ins("", now - TOKEN_LIFE, who.id)
    except Refused as refused:
        if refused.status != _UNREADABLE:
            raise
        return (f"{bound} (the sign-in log could not be read: {refused.remedy})",)
    return (*(_token(one) for one in seen if not one.error), bound)


def _token(one: SeenSignIn) -> str:
    until = stamp(moment(one.at) + TOKEN_LIFE)
    return f"{one.user} signed in at {one.at} with {one.client}: that token lives until {until} at most"
