"""Find the callers in a cluster's audit log that stop working after the rotation or without local accounts.

Callers that keep working are left out: Entra ID users, nodes, the control plane, and pods with the token that
Kubernetes gave them (Kubernetes renews it). Activity that the log does not contain is unknown: a log without reads
does not show who reads.
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
_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NODE: Final = "system:node:"
_CONTROLLERS: Final = "system:serviceaccount:kube-system:"
_CONTROL_PLANE: Final = ("kube-controller-manager/", "cloud-controller-manager/")
PROGRAM: Final = "aks-entra/"
"""How the user agent begins that this program sends to API servers. Anybody else can send it too."""

LONGEST: Final = 120
"""Characters of a name or a user agent that are shown."""


class Holds(StrEnum):
    """What kind of credential a caller uses."""

    ADMIN_CERTIFICATE = "the admin kubeconfig's certificate"
    CERTIFICATE = "a client certificate"
    STATIC_TOKEN = "the admin kubeconfig's static token"  # noqa: S105 - the name of a kind, not a secret
    SERVICE_ACCOUNT = "a service account's token from outside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request in Kubernetes' audit log (`audit.k8s.io/v1` Event), and the cluster that the log names.

    It can also stand for `count` equal requests between `first` and `at`.
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
    reads: bool = True  # False: from `kube-audit-admin`, which does not contain reads
    count: int = 1
    first: str = ""  # the first of several requests; empty: `at`
    hours: tuple[str, ...] = ()  # of several requests: the beginnings of the hours in which there was one
    namespaces: tuple[str, ...] = ()  # of the objects that it was about; empty text: an object of no namespace, or all


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One caller that stops working: the requests with the same credential, program and name.

    `namespace` is that of its service account, or the only one that its requests were about. Empty: neither.
    """

    holds: Holds
    username: str
    user_agent: str
    addresses: tuple[str, ...]
    verbs: tuple[str, ...]
    count: int
    last_seen: str
    namespace: str = ""

    @property
    def words(self) -> str:
        """`41 requests by masterclient from 10.2.0.7 (helm/3.14), last on 2026-11-20: get, list`."""
        where = ", ".join(self.addresses[:3]) + (" …" if len(self.addresses) > 3 else "")  # noqa: PLR2004 - enough to recognize them
        times = "1 request" if self.count == 1 else f"{self.count:,} requests"
        program = shortened(self.user_agent) or "no user agent"
        return (
            f"{times} by {shortened(self.username)} from {where or 'an unknown address'} ({program}), "
            f"last on {self.last_seen[:10]}: {', '.join(self.verbs)}"
        )


def shortened(text: str) -> str:
    """Return a text of somebody else in a length that people read. Clients and owners of namespaces choose theirs."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLog:
    """Where a cluster sends its audit log. `whole` is False for kube-audit-admin alone, which contains no reads."""

    workspace: str  # ARM id of a Log Analytics workspace
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedCallers:
    """What a cluster's audit log shows. `complete`: it contains reads, so a missing caller means something.

    `missing` says which other part of the log was not seen. The log is not complete then. `hours`: the beginnings of
    the hours (ISO 8601, UTC) in which the log has requests of the control plane; empty: nobody counted them. `claimed`:
    those requests of the callers whose user agent is this program's, each with its time (similar ones of a second may
    be one `Call`). `own`: this program's own calls, by its evidence, once they were told from the callers; they do not
    count.
    """

    since: str
    until: str
    events: int
    complete: bool
    callers: tuple[Caller, ...] = ()
    missing: str = ""
    hours: tuple[str, ...] = ()
    claimed: tuple[tuple[Holds, Call], ...] = ()
    own: tuple[Caller, ...] = ()


def who_breaks(calls: Iterable[Call]) -> AuditedCallers | None:
    """Group a cluster's audited requests by the callers that stop working. Returns None if there are no requests."""
    seen: set[int] = set()
    kept: list[tuple[Holds, Call]] = []
    accounts: list[Call] = []
    nodes: set[str] = set()
    hours: set[str] = set()
    since = until = ""
    events, reads, whole = 0, False, True
    for call in calls:
        if call.id:
            if (request := _request(call)) in seen:
                continue
            seen.add(request)
        events += call.count
        hours.update(call.hours)
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
    return AuditedCallers(
        since=since,
        until=until,
        events=events,
        complete=reads and whole,
        callers=callers_of(kept),
        hours=tuple(sorted(hours)),
        claimed=tuple(one for one in kept if claims_to_be_ours(one[1].user_agent)),
    )


def _request(call: Call) -> int:
    """Return a hash of what the entries of one request have in common. Clients choose the id, so it is not enough.

    Python's hashes of texts have a secret of the process: nobody makes two requests with the same one.
    """
    who = (call.username, call.user_agent, call.address, call.credential, call.groups, call.entra, call.in_pod)
    return hash((call.cluster, call.id, call.at, call.verb, call.status, *who))


def claims_to_be_ours(user_agent: str) -> bool:
    """Whether a user agent is this program's. Log Analytics compares as this function does."""
    return user_agent.casefold().startswith(PROGRAM)


def _holds(call: Call) -> Holds | None:
    """Return the credential of a caller that is not a service account, or None if the caller keeps working."""
    name = call.username.casefold()
    if call.entra or name in _AKS or call.username.startswith("system:") or not name:
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
    """Whether the caller is a controller of the control plane, which uses service accounts in kube-system."""
    return call.username.startswith(_CONTROLLERS) and call.user_agent.startswith(_CONTROL_PLANE)


def callers_of(kept: Iterable[tuple[Holds, Call]]) -> tuple[Caller, ...]:
    """Group requests by credential, name and program, in the order of `in_order`."""
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
            namespace=_namespace(username, calls),
        )
        for (holds, username, agent), calls in together.items()
    ]
    return in_order(found)


def in_order(callers: Iterable[Caller]) -> tuple[Caller, ...]:
    """Return callers in their order: those of administrators first, then those with most requests."""
    return tuple(sorted(callers, key=lambda one: (list(Holds).index(one.holds), -one.count, one.username)))


def _namespace(username: str, calls: list[Call]) -> str:
    """Return the namespace that a caller belongs to, if it is a name that Kubernetes allows."""
    if username.startswith(_ACCOUNT):
        name, _, _ = username.removeprefix(_ACCOUNT).partition(":")
    else:
        touched = {namespace for call in calls for namespace in call.namespaces}
        name = touched.pop() if len(touched) == 1 else ""
    return name if _NAMESPACE.fullmatch(name) else ""
