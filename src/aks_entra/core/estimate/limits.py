"""Azure's published request limits: which requests share a token bucket, and how fast it fills.

Sources: "Understand how Azure Resource Manager throttles requests", "Quotas, SKUs and region availability in AKS" and
"Guidance for throttled requests in Azure Resource Graph".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

SHARE: Final = 0.8
"""The part of each limit that this program takes. The rest is left to others."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A token bucket: `burst` requests at once, and `rate` more each second."""

    name: str
    burst: float
    rate: float

    def seconds(self, requests: float, *, rate: float = 1.0) -> float:
        """Return how long a number of requests takes at our share. `rate` is the setting `request_rate`."""
        return max(0.0, requests - self.burst * SHARE) / (self.rate * SHARE * rate)


@dataclass(slots=True)
class Tokens:
    """A bucket of Azure's at our share of it, in a model of time: seconds from any moment. It is full at first.

    `rate` is the setting `request_rate`. `taken`: how many requests were sent. `waited`: for how many seconds all of
    them together waited.
    """

    limit: Limit
    rate: float = 1.0
    taken: int = 0
    waited: float = 0.0
    _full_at: float = 0.0

    def take(self, now: float, number: int) -> float:
        """Return when the last of some requests is sent that are ready now. Ask in the order of time."""
        each = 1 / (self.limit.rate * SHARE * self.rate)
        self._full_at = max(self._full_at, now) + number * each
        at = max(now, self._full_at - self.limit.burst * SHARE * each)
        self.taken += number
        self.waited += at - now
        return at


ARM_READS: Final = Limit("reads of ARM", 250, 25)
ARM_WRITES: Final = Limit("writes and actions of ARM", 200, 10)
AKS_LISTS: Final = Limit("lists of a subscription's clusters", 500, 1)
AKS_GROUP_LISTS: Final = Limit("lists of a resource group's clusters", 60, 1)
AKS_CLUSTER_READS: Final = Limit("reads of a cluster", 60, 1)
AKS_CLUSTER_WRITES: Final = Limit("writes of a cluster", 20, 1 / 60)
AKS_OPERATIONS: Final = Limit("reads of AKS' operations", 200, 2)
AKS_REST: Final = Limit("other requests to AKS", 60, 1)
RESOURCE_GRAPH: Final = Limit("queries of Azure Resource Graph", 15, 3)  # 15 in five seconds

Key: TypeAlias = tuple[str, ...]

_NAME: Final = r"[^/]+"
_SUBSCRIPTION: Final = rf"/subscriptions/{_NAME}"
_GROUP: Final = rf"{_SUBSCRIPTION}/resourcegroups/{_NAME}"
_AKS: Final = "microsoft.containerservice/"
_CLUSTERS: Final = r"/providers/microsoft\.containerservice/managedclusters"
_OPERATIONS: Final = rf"/providers/microsoft\.containerservice/locations/{_NAME}/operations/{_NAME}"
_LISTED: Final = tuple(
    (method, re.compile(path), limit)
    for method, path, limit in (
        ("GET", f"({_SUBSCRIPTION}){_CLUSTERS}", AKS_LISTS),
        ("GET", f"({_GROUP}){_CLUSTERS}", AKS_GROUP_LISTS),
        ("GET", f"({_GROUP}{_CLUSTERS}/{_NAME})", AKS_CLUSTER_READS),
        ("PUT", f"({_GROUP}{_CLUSTERS}/{_NAME})", AKS_CLUSTER_WRITES),
        ("GET", f"({_SUBSCRIPTION}){_OPERATIONS}", AKS_OPERATIONS),
    )
)
_GRAPH: Final = "/providers/microsoft.resourcegraph/resources"


def limits_of(method: str, path: str) -> tuple[tuple[Key, Limit], ...]:
    """Return the limits of a request with the keys of their buckets: first ARM's, then that of the service behind it.

    `path` has neither host nor query. Requests with the same key share a bucket.
    """
    path = path.rstrip("/").lower()
    subscription = (re.match(_SUBSCRIPTION, path) or [""])[0]
    arm = ARM_READS if method in {"GET", "HEAD"} else ARM_WRITES
    front: tuple[Key, Limit] = ((arm.name, subscription), arm)
    if path == _GRAPH:
        return front, ((RESOURCE_GRAPH.name,), RESOURCE_GRAPH)
    if not path.rpartition("/providers/")[2].startswith(_AKS):  # the last provider in a path serves it
        return (front,)
    for its, pattern, limit in _LISTED:
        if its == method and (found := pattern.fullmatch(path)):
            return front, ((limit.name, found[1]), limit)
    return front, ((AKS_REST.name, subscription), AKS_REST)
