"""Request quotas: the token buckets of ARM's front door and of AKS behind it, and the headers of both.

Every request is counted and every answer says what is left, as in Azure; only a sandbox that throttles refuses. The
buckets refill in seconds of Azure's time, which the pace divides. Sources: "Request limits and throttling" (ARM) and
"Quotas, SKUs and regions" (AKS, as of August 2026). AKS counts each region separately. For ARM the sandbox has one
region.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import datetime

from azure_sandbox.arm.errors import front, provider
from azure_sandbox.clock import Clock
from azure_sandbox.front.http import Problem, Request

MINUTE = 60.0
GLOBAL = 15  # the quota of a subscription over all its callers, in multiples of one caller's quota
_NAME = r"[^/]+"
_CLUSTERS = r"/providers/microsoft\.containerservice/managedclusters"
_SUBSCRIPTION = rf"/subscriptions/{_NAME}"
_GROUP = rf"{_SUBSCRIPTION}/resourcegroups/{_NAME}"


@dataclass(frozen=True, slots=True)
class Limit:
    """The size of a bucket: `burst` requests at once, and `rate` more per second of Azure's time."""

    burst: float
    rate: float


ARM_LIMITS = {"reads": Limit(250, 25), "writes": Limit(200, 10), "deletes": Limit(200, 10)}
SINGULAR = {"reads": "read", "writes": "write", "deletes": "delete"}
KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}
PROVIDER_LIMITS: tuple[tuple[str, str, Limit], ...] = (
    ("GET", f"(?P<key>{_SUBSCRIPTION}){_CLUSTERS}", Limit(500, 1)),
    ("GET", f"(?P<key>{_GROUP}){_CLUSTERS}", Limit(60, 1)),
    ("PUT", f"(?P<key>{_GROUP}{_CLUSTERS}/{_NAME}/agentpools/{_NAME})", Limit(20, 1 / MINUTE)),
    ("PUT", f"(?P<key>{_GROUP}{_CLUSTERS}/{_NAME})", Limit(20, 1 / MINUTE)),
    ("GET", f"(?P<key>{_GROUP}{_CLUSTERS}/{_NAME})", Limit(60, 1)),
    (
        "GET",
        f"(?P<key>{_SUBSCRIPTION})/providers/microsoft.containerservice/locations/{_NAME}/operations/{_NAME}",
        Limit(200, 2),
    ),
)
EVERYTHING_ELSE = Limit(60, 1)
_COMPILED = tuple((method, re.compile(path), limit) for method, path, limit in PROVIDER_LIMITS)


@dataclass(slots=True)
class Bucket:
    """A token bucket; `level` is the number of requests that are left."""

    limit: Limit
    filled: datetime
    level: float = field(init=False)

    def __post_init__(self) -> None:
        self.level = self.limit.burst

    def take(self, now: datetime, pace: float) -> float:
        """Take one request out of the bucket.

        Returns:
            0, or the seconds of Azure's time until the next request fits; nothing is taken then.
        """
        elapsed = (now - self.filled).total_seconds()
        gained = elapsed * pace * self.limit.rate if elapsed > 0 else 0.0
        self.level = min(self.limit.burst, self.level + gained)
        self.filled = now
        if self.level < 1:
            return (1 - self.level) / self.limit.rate
        self.level -= 1
        return 0.0


class Throttle:
    """All buckets of a world; `refusing` says whether an empty bucket refuses the request."""

    def __init__(self, clock: Clock, *, refusing: bool = False) -> None:
        self.refusing = refusing
        self._clock = clock
        self._buckets: dict[tuple[str, ...], Bucket] = {}

    def _take(self, key: tuple[str, ...], limit: Limit) -> tuple[int, float]:
        """Return what is left in a bucket after this request, and how long to wait if the bucket was empty."""
        now = self._clock.progress()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(limit, now)
        wait = bucket.take(now, self._clock.pace)
        return int(bucket.level), wait

    def enter(self, request: Request, subscription: str, actor: str) -> dict[str, str]:
        """Count a request at ARM's front door and return the answer's headers.

        `actor` is the caller's object id. Raises ARM's 429 if the bucket is empty and the sandbox throttles.
        """
        kind = KINDS.get(request.method, "writes")
        limit = ARM_LIMITS[kind]
        if not subscription:
            left, wait = self._take((kind, "tenant", actor), limit)
            headers = {f"x-ms-ratelimit-remaining-tenant-{kind}": str(left)}
        else:
            left, wait = self._take((kind, subscription.lower(), actor), limit)
            whole = Limit(GLOBAL * limit.burst, GLOBAL * limit.rate)
            all_left, all_wait = self._take((kind, subscription.lower()), whole)
            wait = max(wait, all_wait)
            headers = {
                f"x-ms-ratelimit-remaining-subscription-{kind}": str(left),
                f"x-ms-ratelimit-remaining-subscription-global-{kind}": str(all_left),
            }
        if wait and self.refusing:
            raise self._refusal_of_arm(SINGULAR[kind], subscription, actor, wait, headers)
        return headers

    def _refusal_of_arm(
        self, kind: str, subscription: str, actor: str, wait: float, headers: dict[str, str]
    ) -> Problem:
        """Return ARM's 429. Its text comes from a public test fixture that its author calls verbatim."""
        headers_of_retry = self._retry_headers(wait)
        code = "SubscriptionRequestsThrottled" if subscription else "TenantRequestsThrottled"
        where = f"subscription '{subscription}'" if subscription else "the tenant"
        text = (
            f"Number of '{kind}' requests for {where} actor '{actor}' exceeded. "
            f"Please try again after '{headers_of_retry['retry-after']}' seconds."
        )
        return front(429, code, text, {**headers, **headers_of_retry})

    def pass_provider(self, request: Request, subscription: str, region: str) -> None:
        """Count a request at AKS, in the region that the path leads to ("" for lists, which cover all regions).

        The last provider in a path serves it: role assignments of a cluster are Microsoft.Authorization's.
        Raises AKS's 429 if the bucket is empty and the sandbox throttles. Its wording is not recorded.
        """
        path = request.path.rstrip("/").lower()
        if not path.rpartition("/providers/")[2].startswith("microsoft.containerservice/"):
            return
        key: tuple[str, ...] = ("aks", region, subscription.lower())
        limit = EVERYTHING_ELSE
        for method, pattern, its in _COMPILED:
            if method == request.method and (found := pattern.fullmatch(path)):
                key, limit = ("aks", region, method, pattern.pattern, found["key"]), its
                break
        _, wait = self._take(key, limit)
        if wait and self.refusing:
            problem = provider(429, "Throttled", "The request is being throttled. Please retry later.")
            problem.headers.update(self._retry_headers(wait))
            raise problem

    def _retry_headers(self, wait: float) -> dict[str, str]:
        """Return the headers that say when to retry: whole seconds as in Azure, and milliseconds at another pace."""
        real = self._clock.real(wait).total_seconds()
        headers_of_retry = {"retry-after": str(max(1, math.ceil(real)))}
        if self._clock.pace != 1:
            headers_of_retry["x-ms-retry-after-ms"] = str(max(1, math.ceil(1000 * real)))
        return headers_of_retry
