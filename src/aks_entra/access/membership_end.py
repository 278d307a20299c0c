"""Prove that a just-in-time membership is over: it is gone from PIM and the group, and a new token is refused.

Nothing is written. The proof is the same if Azure, an administrator or the person ended it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aks_entra.access.grants import new_token
from aks_entra.access.pim import JustInTime
from aks_entra.core.access.conditional_access import SeenSignIn
from aks_entra.core.access.pim import TOKEN_LIFE, Kind, tokens_until
from aks_entra.core.access.principals import Principal
from aks_entra.core.access.resource_access import EVERYTHING, ResourceAttributes
from aks_entra.core.cluster import ClusterId
from aks_entra.core.durations import moment, stamp
from aks_entra.errors import Refused

NODES: Final = ResourceAttributes(verb="list", resource="nodes", group="")
"""The request that Azure's documentation tries: `kubectl get nodes`."""
_UNREADABLE: Final = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The answer of one cluster's API server to a new token. `still_allowed`: what allows it nevertheless."""

    cluster: str
    proof: str
    still_allowed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndProof:
    """The proof of the end. `tokens`: who may hold a token from before, and until when at most."""

    who: str
    membership: str
    clusters: tuple[Refusal, ...]
    tokens: tuple[str, ...]

    @property
    def refused(self) -> bool:
        """Whether every cluster refuses a new token."""
        return not any(one.still_allowed for one in self.clusters)


async def prove_end(pim: JustInTime, group: str, of: str, clusters: tuple[ClusterId, ...]) -> EndProof:
    """Check that an active membership is gone everywhere. Raises Diverged if it is still there after the timeout."""
    group_id = (await pim.ports.directory.principal(group)).id
    who = await pim.ports.directory.principal(of)
    gone = await pim.prove_gone(group_id, who, Kind.ACTIVE)
    return EndProof(
        who=who.called,
        membership=gone,
        clusters=tuple([await _refusal(pim, who, one) for one in clusters]),
        tokens=await _tokens(pim, who),
    )


async def _refusal(pim: JustInTime, who: Principal, cluster: ClusterId) -> Refusal:
    posture = await pim.ports.arm.cluster(cluster)
    token = await new_token(pim.ports, who.id)
    for wanted in (EVERYTHING, NODES):
        answer = await pim.access.bindings.would_allow(posture, token, wanted)
        if answer.allowed:
            return Refusal(cluster=str(cluster), proof="", still_allowed=f"{wanted}: {answer.reason or 'allowed'}")
    proof = f"{cluster} refuses a new token ({NODES}), seen at {stamp(pim.ports.clock.now())}"
    return Refusal(cluster=str(cluster), proof=proof)


async def _tokens(pim: JustInTime, who: Principal) -> tuple[str, ...]:
    """Name each sign-in whose token may still be valid, and the limit for sign-ins that the log does not show."""
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
    return f"{one.user} signed in at {one.at} with {one.client}: that token is valid until {until} at most"
