"""Turn local accounts on although a policy denied it a moment ago: Azure follows an exemption after minutes only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aks_entra.core.cluster import ClusterId
from aks_entra.core.deny_policy import how_to_exempt_from_others
from aks_entra.errors import Refused, Rejected
from aks_entra.ports.migration import ControlPlane
from aks_entra.ports.operations import Operation
from aks_entra.probes import deny_policy
from aks_entra.probes.checks import Timeouts
from aks_entra.probes.deadlines import Deadlines

_DENIED: Final = "RequestDisallowedByPolicy"
_WAIT: Final = "policy"


async def past_policy(
    arm: ControlPlane,
    waits: tuple[Deadlines, Timeouts],
    cluster: ClusterId,
    write: Callable[[], Awaitable[Operation]],
    *,
    released: bool,
    until: str = "",
) -> Operation:
    """Send a write that turns local accounts on. `released`: our own assignment was removed, or exempts the cluster.

    `until` (ISO 8601): when they will be turned off again. Empty: nobody plans that.

    Raises:
        Refused: an assignment of others denies it. The remedy exempts the cluster from it.
        TryLater: our assignment still denies it, for a limited time. Then Refused.
    """
    deadlines, timeouts = waits
    try:
        operation = await write()
    except Rejected as error:
        if error.code != _DENIED:
            raise
        if others := await deny_policy.of_others(arm, cluster):
            names = ", ".join(dict.fromkeys(f"{one.name} on {one.scope}" for one in others))
            raise Refused(
                f"{error.message}: policy assignment {names} denies it, and is not ours to exempt from",
                remedy=f"ask its owner, or exempt the cluster: "
                f"`{how_to_exempt_from_others(cluster, others[0].assignment, until)}`",
                code=error.code,
                correlation_id=error.correlation_id,
            ) from error
        if not released:
            raise
        text = f"{error.message}: Azure does not follow the change of the policy yet"
        remedy = "it can take up to 30 minutes: look at the policy assignments of the cluster, then try again"
        deadlines.later(cluster, _WAIT, timeouts.policy, text, remedy=remedy, cause=error, last=Refused)
    deadlines.arrived(cluster, _WAIT)
    return operation
