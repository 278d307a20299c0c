"""Who will break: callers in a cluster's audit log whose credential dies with the rotation, or whose way in closes.

Those that stay are left out: Microsoft Entra ID, nodes, the control plane, and pods by the token that they were given
(it is renewed). What a log does not hold is unknown, never "none": without reads in it nobody can say who reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_AKS: Final = frozenset({"aksservice", "acsservice", "hcpservice", "aksproblemdetector", "nodeclient"})
_STATIC: Final = frozenset({"clusteradmin", "clusteruser"})
_READS: Final = frozenset({"get", "list", "watch"})
_REFUSED: Final = 401
_ACCOUNT: Final = "system:serviceaccount:"
_NODE: Final = "system:node:"
_CONTROLLERS: Final = "system:serviceaccount:kube-system:"
_CONTROL_PLANE: Final = ("kube-controller-manager/", "cloud-controller-manager/")


class Holds(StrEnum):
    """What kind of credential a caller uses."""

    ADMIN_CERTIFICATE = "the admin kubeconfig's certificate"
    CERTIFICATE = "a client certificate"
    STATIC_TOKEN = "the admin kubeconfig's static token"  # noqa: S105 - the name of a kind, not a secret
    SERVICE_ACCOUNT = "a service account's token from outside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as Kubernetes' audit log has it (`audit.k8s.io/v1` Event), and the cluster that the log names.

    Or `count` requests that are alike, between `first` and `at`.
    """

    username: str
    verb: str
    at: str  # ISO 8601, UTC
    id: str = ""
    groups: tuple[str, ...] = ()
    user_agent: str = ""
    address: str = ""
    status: int | None = None
    credential: str = ""  # extra `authentication.kubernetes.io/credential-id`: X509SHA256=… or JTI=…
    entra: bool = False  # extra `oid`, which AKS' own webhook sets
    in_pod: bool = False  # extra `authentication.kubernetes.io/pod-name`: a token that was made for a pod
    cluster: str = ""  # ClusterId.key
    reads: bool = True  # False: of `kube-audit-admin`, which leaves reads out
    count: int = 1
    first: str = ""  # of several; empty: `at`


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One caller that will break: the requests with the same credential, program and name."""

    holds: Holds
    username: str
    user_agent: str
    addresses: tuple[str, ...]
    verbs: tuple[str, ...]
    count: int
    last_seen: str

    @property
    def words(self) -> str:
        """`41 requests by masterclient from 10.2.0.7 (helm/3.14), last on 2026-11-20: get, list`."""
        where = ", ".join(self.addresses[:3]) + (" …" if len(self.addresses) > 3 else "")  # noqa: PLR2004 - enough to recognize them
        times = "1 request" if self.count == 1 else f"{self.count:,} requests"
        return (
            f"{times} by {self.username} from {where or 'an unknown address'} ({self.user_agent or 'no user agent'}), "
            f"last on {self.last_seen[:10]}: {', '.join(self.verbs)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedCallers:
    """What a cluster's audit log says. `complete`: reads are in it, so that silence means something.

    `missing`: what else of it was not seen, in words; it is not complete then.
    """

    since: str
    until: str
    events: int
    complete: bool
    callers: tuple[Caller, ...] = ()
    missing: str = ""


def who_breaks(calls: Iterable[Call]) -> AuditedCallers | None:
    """Group a cluster's audited requests by those who will break; None when there are none at all."""
    seen: set[str] = set()
    kept: list[tuple[Holds, Call]] = []
    accounts: list[Call] = []
    nodes: set[str] = set()
    since = until = ""
    events, reads, whole = 0, False, True
    for call in calls:
        if call.id and call.id in seen:
            continue
        seen.add(call.id)
        events += call.count
        first = call.first or call.at
        since = min(since or first, first)
        until = max(until, call.at)
        reads = reads or call.verb in _READS
        whole = whole and call.reads
        if call.status == _REFUSED:
            continue
        if call.username.startswith(_NODE):
            nodes.add(call.address)
        elif call.username.startswith(_ACCOUNT):
            accounts += [] if call.in_pod or _controls(call) else [call]
        elif (holds := _holds(call)) is not None:
            kept.append((holds, call))
    if not events:
        return None
    kept += [(Holds.SERVICE_ACCOUNT, call) for call in accounts if call.address not in nodes]
    return AuditedCallers(since=since, until=until, events=events, complete=reads and whole, callers=_grouped(kept))


def _holds(call: Call) -> Holds | None:
    """What a caller that is no service account presents; None for those that stay."""
    name = call.username.casefold()
    if call.entra or name in _AKS or name.startswith("system:") or not name:
        return None
    if name in _STATIC:
        return Holds.STATIC_TOKEN
    if name == "masterclient" or "system:masters" in call.groups:
        return Holds.ADMIN_CERTIFICATE
    if call.credential.startswith("X509SHA256="):
        return Holds.CERTIFICATE
    known = _GUID.fullmatch(call.username) or any(_GUID.fullmatch(group) for group in call.groups)
    return None if known else Holds.CERTIFICATE


def _controls(call: Call) -> bool:
    """Whether a controller of the control plane speaks: it has a service account of kube-system for each loop."""
    return call.username.startswith(_CONTROLLERS) and call.user_agent.startswith(_CONTROL_PLANE)


def _grouped(kept: list[tuple[Holds, Call]]) -> tuple[Caller, ...]:
    together: dict[tuple[Holds, str, str], list[Call]] = {}
    for holds, call in kept:
        together.setdefault((holds, call.username, call.user_agent), []).append(call)
    found = [
        Caller(
            holds=holds,
            username=username,
            user_agent=agent,
            addresses=tuple(sorted({call.address for call in calls} - {""})),
            verbs=tuple(sorted({call.verb for call in calls})),
            count=sum(call.count for call in calls),
            last_seen=max(call.at for call in calls),
        )
        for (holds, username, agent), calls in together.items()
    ]
    return tuple(sorted(found, key=lambda one: (list(Holds).index(one.holds), -one.count, one.username)))
