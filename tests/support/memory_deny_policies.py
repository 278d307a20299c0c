"""Our policy assignment and exemption of the world in memory. Azure follows each change of them after some minutes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from aks_entra.core.cluster import ClusterId
from aks_entra.core.deny_policy import LOCAL_ACCOUNTS_POLICY, assignment_id
from aks_entra.core.preflight import Policy, PolicyEvaluation
from aks_entra.errors import Refused

if TYPE_CHECKING:
    from tests.support.memory_ports import World

FOLLOWS = timedelta(minutes=10)
"""After this time Azure follows a change."""


@dataclass(slots=True)
class Kept:
    """The deny policy of one cluster. `changes` says from when on it denies, and from when on it does not."""

    changes: list[tuple[datetime, bool]]
    assigned: bool = True
    exempt_until: datetime | None = None

    def denies(self, now: datetime) -> bool:
        """Whether Azure refuses now to turn local accounts on."""
        past = [denies for since, denies in sorted(self.changes, key=lambda one: one[0]) if since <= now]
        return bool(past) and past[-1]


class WorldDenyPolicies:
    def __init__(self, world: World) -> None:
        self._world = world

    async def assign(self, cluster: ClusterId, plan_digest: str) -> str:
        with self._world.call("deny_policies.assign"):
            self._may(cluster)
            assert plan_digest
            self._world.kept[cluster.key] = Kept([(self._world.now() + FOLLOWS, True)])
            return "c-policy"

    async def remove(self, cluster: ClusterId) -> bool:
        with self._world.call("deny_policies.remove"):
            self._may(cluster)
            found = self._world.kept.get(cluster.key)
            if found is None or not found.assigned:
                return False
            found.assigned = False
            found.changes.append((self._world.now() + FOLLOWS, False))
            return True

    async def exempt(self, cluster: ClusterId, until: str, reason: str) -> None:
        with self._world.call("deny_policies.exempt"):
            self._may(cluster)
            assert reason
            found, end = self._world.kept[cluster.key], datetime.fromisoformat(until)
            found.exempt_until = end
            found.changes = [one for one in found.changes if one[0] <= self._world.now()]
            found.changes += [(self._world.now() + FOLLOWS, False), (end, True)]

    async def end_exemption(self, cluster: ClusterId) -> bool:
        with self._world.call("deny_policies.end_exemption"):
            self._may(cluster)
            found = self._world.kept[cluster.key]
            if found.exempt_until is None:
                return False
            found.exempt_until = None
            found.changes = [one for one in found.changes if one[0] <= self._world.now()]
            found.changes.append((self._world.now() + FOLLOWS, True))
            return True

    def _may(self, cluster: ClusterId) -> None:
        self._world.find(cluster)
        if not self._world.may_write_policies:
            raise Refused("the signed-in identity lacks the right", code="AuthorizationFailed", status=403)


def kept_policies(world: World, cluster: ClusterId) -> tuple[Policy, ...]:
    """Return our assignment as ARM lists it."""
    found = world.kept.get(cluster.key)
    if found is None or not found.assigned:
        return ()
    return (
        Policy(
            name="aks-entra-keep",
            scope=cluster.resource_id,
            definition=LOCAL_ACCOUNTS_POLICY,
            effect="Deny",
            exempt=found.exempt_until is not None and found.exempt_until > world.now(),
            assignment=assignment_id(cluster),
            ours=True,
        ),
    )


def kept_evaluations(world: World, cluster: ClusterId) -> tuple[PolicyEvaluation, ...]:
    """Return what Azure Policy says of our assignment about turning local accounts on."""
    found = world.kept.get(cluster.key)
    if found is None or not found.assigned or not found.denies(world.now()):
        return ()
    return (
        PolicyEvaluation(
            write="enable local accounts",
            assignment=assignment_id(cluster),
            name="aks-entra-keep",
            scope=cluster.resource_id,
            definition=LOCAL_ACCOUNTS_POLICY,
            effect="deny",
            ours=True,
        ),
    )
