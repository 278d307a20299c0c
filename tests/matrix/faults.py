"""All kinds of faults: errors of a port, and events in the world.

An error replaces the answer of one call of a port. A lost answer is an error after the call had its effect. An event
happens just before a call. After a `transient` fault, a later run can finish the work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from aks_entra.core.cluster import Pool
from aks_entra.errors import Diverged, Refused, Rejected, TryLater
from tests.matrix.migration import Migration
from tests.support.memory_model import Happening, Work

WRITING = frozenset(
    {
        "arm.enable_entra",
        "arm.update_entra",
        "arm.set_local_accounts",
        "arm.rotate_certificates",
        "directory.ensure_group",
    }
)
CLUSTER = frozenset({"kubernetes.sign_in", "kubernetes.nodes", "kubernetes.workloads", "kubernetes.try_credential"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of fault. It returns what happens at a call, or None if it does not apply to the call."""

    name: str
    make: Callable[[Migration, str], Happening | None]
    transient: bool = True


def _answer(name: str, error: Callable[[], BaseException], *, transient: bool = True, only: str = "") -> Kind:
    def make(_: Migration, call: str) -> Happening | None:
        return Happening(error=error()) if call.startswith(only) else None

    return Kind(name=name, make=make, transient=transient)


def _lost(name: str, error: Callable[[], BaseException]) -> Kind:
    def make(_: Migration, call: str) -> Happening | None:
        return Happening(lost=error()) if call in WRITING else None

    return Kind(name=name, make=make)


def _event(name: str, event: Callable[[Migration], object], *, transient: bool = False, only: str = "") -> Kind:
    def make(migration: Migration, call: str) -> Happening | None:
        return Happening(event=lambda: event(migration)) if call.startswith(only) else None

    return Kind(name=name, make=make, transient=transient)


def _later(text: str, after: float, status: int, code: str = "") -> Callable[[], BaseException]:
    return lambda: TryLater(text, after=after, status=status, code=code)


def _ends(how: str) -> Kind:
    """The operation that this write starts ends in another state."""

    def make(migration: Migration, call: str) -> Happening | None:
        if call not in WRITING or call.startswith("directory"):
            return None
        kind = "RotatingClusterCertificates" if call == "arm.rotate_certificates" else "Updating"
        return Happening(event=lambda: migration.world.ends[kind].append(how))

    return Kind(name=f"the operation ends {how}", make=make)


def _set(**how: object) -> Callable[[Migration], None]:
    def change(migration: Migration) -> None:
        for name, value in how.items():
            setattr(migration.cluster, name, value)

    return change


def _foreign_operation(migration: Migration) -> None:
    """Azure or somebody else starts an operation on the cluster."""
    world, cluster = migration.world, migration.cluster
    if cluster.work is None:
        url = f"https://management.azure.com/operations/foreign-{len(world.works)}"
        cluster.work = Work(url=url, kind="Upgrading", until=world.now() + timedelta(seconds=300))
        cluster.state = "Upgrading"
        world.works[url] = cluster.work


def _preempted(migration: Migration) -> None:
    """Our operation is preempted: its own URL never shows an end, but the cluster comes to rest."""
    work = migration.cluster.work
    if work is not None:
        migration.world.works.pop(work.url, None)
        migration.world.lost_urls = True


def _for_a_while(name: str, seconds: float) -> Callable[[Migration], None]:
    def change(migration: Migration) -> None:
        setattr(migration.cluster, name, migration.world.now() + timedelta(seconds=seconds))

    return change


def _api_down(migration: Migration) -> None:
    """The API server is down for some time."""
    migration.cluster.down_until = migration.world.now() + timedelta(seconds=200)


def _group_deleted(migration: Migration) -> None:
    for group in migration.world.groups.values():
        group.deleted_on = "2026-11-24"
        group.members.clear()


def _prover_removed(migration: Migration) -> None:
    for group in migration.world.groups.values():
        group.members.discard("33333333-3333-3333-3333-333333333333")
        group.members.add("dana")


def _no_rotation(migration: Migration) -> None:
    migration.world.without_effect.add("rotate_certificates")


def _gone(migration: Migration) -> None:
    migration.world.clusters.pop(migration.cluster.id.key, None)


KINDS: tuple[Kind, ...] = (
    # Azure asks to try later
    _answer("429 with Retry-After", _later("throttled", 17, 429, "TooManyRequests")),
    _answer("429 without Retry-After", _later("throttled", 30, 429, "Throttled")),
    _answer("429 asking for an hour", _later("throttled", 3600, 429, "TooManyRequests")),
    _answer("409 another operation is in progress", _later("another operation", 30, 409, "OperationNotAllowed")),
    _answer("409 EtagMismatch", _later("etag", 30, 409, "EtagMismatch")),
    _answer("412 changed in between", _later("changed", 5, 412, "PreconditionFailed")),
    _answer("500", _later("not well", 20, 500, "InternalServerError")),
    _answer("502", _later("bad gateway", 20, 502)),
    _answer("503", _later("unavailable", 20, 503, "ServerTimeout")),
    _answer("504", _later("gateway timeout", 20, 504, "GatewayTimeout")),
    _answer("408", _later("request timeout", 20, 408)),
    _answer("the connection is reset before anything happened", _later("reset", 10, 0)),
    _answer("no answer in time, nothing happened", _later("timeout", 10, 0)),
    _answer("replication: not found yet", _later("not yet replicated", 10, 404), only="directory.ensure_group"),
    _answer("the API server does not answer once", _later("no answer", 10, 0), only="kubernetes"),
    # the same errors after the write had its effect
    _lost("the connection is reset after the effect", _later("reset", 10, 0)),
    _lost("no answer in time, after the effect", _later("timeout", 10, 0)),
    _lost("500 after the effect", _later("not well", 20, 500)),
    _lost("503 after the effect", _later("unavailable", 20, 503)),
    _lost("the answer is cut short after the effect", lambda: Rejected("truncated JSON")),
    _lost("the answer is no JSON after the effect", lambda: ValueError("Expecting value")),
    _lost("Azure accepted it and shows otherwise", lambda: Diverged("shows otherwise", code="Diverged")),
    # Azure refuses
    _answer("400", lambda: Rejected("malformed", status=400, code="BadRequest")),
    _answer("401, the token is refused", lambda: Refused("the token is refused", status=401)),
    _answer("403, a right was taken away", lambda: Refused("lacks a right", status=403)),
    _answer("404, Azure does not find it", lambda: Refused("not found", status=404, code="ResourceNotFound")),
    _answer("409 in a state that allows nothing", lambda: Rejected("not allowed", status=409, code="Conflict")),
    _answer("409 ScopeLocked", lambda: Rejected("locked", status=409, code="ScopeLocked"), only="arm."),
    _answer("403 RequestDisallowedByPolicy", lambda: Rejected("policy", status=403), only="arm."),
    _answer("the answer is cut short", lambda: Rejected("truncated JSON")),
    _answer("the answer is no JSON", lambda: ValueError("Expecting value: line 1 column 1")),
    _answer("an answer of an unknown shape", lambda: KeyError("properties")),
    _answer(
        "Entra refuses the secret", lambda: Refused("expired", code="AADSTS7000222", status=401), only="kubernetes"
    ),
    _answer(
        "the token is refused by the API server, 401", lambda: Rejected("401", status=401), only="kubernetes.sign_in"
    ),
    _answer("the webhook is not ready, 403", lambda: Rejected("403", status=403), only="kubernetes.sign_in"),
    # operations
    _ends("Failed"),
    _ends("Canceled"),
    _event("the operation is preempted, its URL forgotten (404)", _preempted, transient=True, only="arm.operation"),
    Kind(
        name="a stale read",
        make=lambda _, call: Happening(stale=True) if call == "arm.cluster" else None,
    ),
    _event("Azure begins an operation of its own", _foreign_operation, transient=True),
    # the cluster
    _event("old credentials get no answer for a while", _for_a_while("silent_until", 200), transient=True),
    _event("tokens are refused for a while", _for_a_while("knows_tokens_at", 300), transient=True, only="kubernetes"),
    _event("the API server is down for a while", _api_down, transient=True),
    _event("a node never comes back", _set(never_settles=True)),
    _event("a webhook with an old CA bundle breaks workloads", _set(never_settles=True)),
    _event("a pool is scaled by the autoscaler's owner", _set(pools=(Pool(name="system", count=5),)), transient=True),
    _event("the CA is unchanged after the rotation", _no_rotation),
    _event("the static token outlives the rotation", _set(token_outlives=True)),
    _event("administrators are not allowed everything any more", _set(limited=True)),
    # somebody else
    _event("a foreign writer switches Azure RBAC on", _set(azure_rbac=True)),
    _event("a foreign writer reopens local accounts", _set(local_accounts=True)),
    _event(
        "a foreign writer sets other admin groups",
        _set(groups=("99999999-9999-9999-9999-999999999999", "44444444-4444-4444-4444-444444444444")),
    ),
    _event("the prover loses its membership", _prover_removed),
    _event("the cluster is deleted", _gone),
    _event("a lock is placed", lambda migration: setattr(migration.world, "locked", True)),
)

LETHAL = frozenset({"the cluster is deleted", "the admin group is deleted"})
"""After these nobody can get in, whatever the program does, so only the verdict is checked."""

GROUP_DELETED = _event("the admin group is deleted", _group_deleted)
