"""What requests ask for, which of Azure's limits they count against, and how long those limits make them last.

The limits are those that the program itself keeps: four fifths of what Azure publishes. A request is counted against a
limit by the function with which the program delays it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from aks_entra.core.estimate.limits import AKS_CLUSTER_READS, AKS_CLUSTER_WRITES, AKS_REST, Key, Limit, limits_of
from azure_sandbox.front.proxy import Exchange

ARM, GRAPH, TOKENS, API_SERVERS = "ARM", "Graph", "tokens", "API servers"
HOSTS = {
    "management.azure.com": ARM,
    "graph.microsoft.com": GRAPH,
    "login.microsoftonline.com": TOKENS,
}
OF_A_CLUSTER = frozenset({AKS_CLUSTER_READS, AKS_CLUSTER_WRITES})
REFUSED = 429
_SCOPE = re.compile(r"^(/subscriptions/[^/]+)?(/resourcegroups/[^/]+)?", re.IGNORECASE)
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", re.IGNORECASE)


def service(exchange: Exchange) -> str:
    """Return which service was asked. All API servers of clusters count as one."""
    return API_SERVERS if exchange.host.endswith(".azmk8s.io") else HOSTS.get(exchange.host, exchange.host)


def kind(exchange: Exchange) -> str:
    """Return what was asked: the method and the path, without the names of resources."""
    path = exchange.path
    if (where := service(exchange)) == ARM:
        path = "/".join(_types(_SCOPE.sub("", path))) or ("subscription" if path.count("/") == 2 else path)  # noqa: PLR2004
    elif where == TOKENS:
        path = "token" if path.endswith("/token") else _ID.sub("*", path).strip("/")
    elif where == GRAPH:
        path = _ID.sub("*", path.removeprefix("/v1.0/").removeprefix("/beta/"))
    return f"{exchange.method} {path}"


def _types(path: str) -> Iterator[str]:
    """Yield the types of a resource's path, with a star for each name."""
    for part in re.split(r"/providers/", path, flags=re.IGNORECASE):
        if not part.strip("/"):
            continue
        provider, *rest = part.strip("/").split("/")
        if provider.lower() != "microsoft.containerservice":
            yield provider
        yield from ("*" if place % 2 else one for place, one in enumerate(rest))


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The requests that count against a limit: most of those in one of its buckets, for a number of clusters.

    `fixed`: whether they do not grow with the number of clusters, because each cluster has a bucket of its own.
    """

    limit: Limit
    requests: int
    clusters: int
    fixed: bool

    def seconds(self, clusters: int) -> float:
        """Return how long the requests of this many clusters last at least."""
        return self.limit.seconds(self.requests if self.fixed else self.requests / self.clusters * clusters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The requests that were made for a number of clusters of one subscription."""

    clusters: int
    kinds: Mapping[str, Mapping[str, int]]  # by service, then by kind
    loads: tuple[Load, ...] = ()
    throttled: int = 0  # answers 429

    @property
    def total(self) -> int:
        """Return the number of requests to all services."""
        return sum(map(self.of, self.kinds))

    @property
    def aks(self) -> int:
        """Return the number of requests against AKS's limit of 60 at once and one more each second."""
        return next((load.requests for load in self.loads if load.limit == AKS_REST), 0)

    def of(self, service: str) -> int:
        """Return the number of requests to a service."""
        return sum(self.kinds.get(service, {}).values())

    def seconds(self, clusters: int) -> tuple[float, str]:
        """Return how long Azure's limits make this many clusters of a subscription last, and which limit does."""
        longest = max(self.loads, key=lambda load: load.seconds(clusters))
        return longest.seconds(clusters), longest.limit.name


def traffic(exchanges: Iterable[Exchange], clusters: int) -> Traffic:
    """Count requests."""
    exchanges = list(exchanges)
    kinds: dict[str, Counter[str]] = {}
    buckets: Counter[tuple[Limit, Key]] = Counter()
    for one in exchanges:
        kinds.setdefault(service(one), Counter())[kind(one)] += 1
        if service(one) == ARM:
            buckets.update((limit, key) for key, limit in limits_of(one.method, one.path))
    fullest: dict[Limit, int] = {}
    for (limit, _), number in buckets.items():
        fullest[limit] = max(number, fullest.get(limit, 0))
    return Traffic(
        clusters=clusters,
        kinds={name: dict(found.most_common()) for name, found in sorted(kinds.items())},
        loads=tuple(
            Load(limit=limit, requests=number, clusters=clusters, fixed=limit in OF_A_CLUSTER)
            for limit, number in fullest.items()
        ),
        throttled=sum(one.status == REFUSED for one in exchanges),
    )
