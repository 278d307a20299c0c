"""Who looks after a caller: what labels and annotations of its namespace say, or else a tag of its cluster.

Anybody who may write a namespace can name an owner. It is a hint for people, and no decision rests on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aks_entra.core.preflight.audit_callers import Caller, shortened

NAMES: Final = ("owner", "team", "contact")
"""What the tag, label or annotation is called, the first that is there. Labels and annotations can have a prefix."""
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
"""The label of Kubernetes that names the tool which manages an object: asked last."""
MOST_NAMESPACES: Final = 20
"""This many namespaces of a cluster are read."""

Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who looks after a namespace, or after the whole cluster (`namespace` is empty). `by` is what says so."""

    name: str
    by: str
    namespace: str = ""

    @property
    def words(self) -> str:
        """`owner: payments, by label team of namespace ci`."""
        return f"owner: {self.name}, by {self.by}"


UNKNOWN: Final = "owner unknown"


def owner_in_tags(tags: Pairs) -> Owner | None:
    """Return who looks after a cluster, by its tags `owner`, `team` or `contact`. None if none of them is there."""
    known = {name.casefold(): (name, value.strip()) for name, value in tags}
    found = next((known[name] for name in NAMES if name in known and known[name][1]), None)
    return Owner(name=shortened(found[1]), by=f"tag {found[0]}") if found else None


def owner_in_namespace(namespace: str, *, labels: Pairs, annotations: Pairs) -> Owner | None:
    """Return who looks after a namespace, by a label or annotation with the name of such a tag, or by `MANAGED_BY`.

    The name can have any prefix. One without a prefix comes first, then annotations before labels.
    """
    said = [("annotation", *one) for one in sorted(annotations)] + [("label", *one) for one in sorted(labels)]
    said.sort(key=lambda one: "/" in one[1])
    for name in (*NAMES, MANAGED_BY):
        for kind, key, value in said:
            if name in {key.casefold(), key.casefold().rpartition("/")[2]} and value.strip():
                by = f"{kind} {key} of namespace {namespace}"
                return Owner(name=shortened(value.strip()), by=by, namespace=namespace)
    return None


def namespaces_of(callers: Iterable[Caller]) -> tuple[str, ...]:
    """Return the namespaces that callers belong to: those of the callers with most requests first, twenty at most."""
    found = sorted(callers, key=lambda one: -one.count)
    return tuple(dict.fromkeys(one.namespace for one in found if one.namespace))[:MOST_NAMESPACES]


def owner_of(owners: tuple[Owner, ...], caller: Caller | None = None) -> Owner | None:
    """Return who looks after a caller: after its namespace, or else after the cluster. None if nobody is known."""
    known = {one.namespace: one for one in owners}
    return (known.get(caller.namespace) if caller else None) or known.get("")
