"""Callers with old credentials that keep a gate shut, as text and as a page for people (markdown)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from aks_entra.core.durations import in_words
from aks_entra.core.preflight.audit_callers import Caller
from aks_entra.core.rollout.caller_recipes import recipe_of
from aks_entra.core.rollout.owners import UNKNOWN, Owner, owner_of
from aks_entra.core.rollout.quiet import CallersAtGate, Listened
from aks_entra.text.markdown import for_markdown, strong

MOST: Final = 200
"""Clusters on one page."""
OWN: Final = "aks-entra's own calls, which its evidence recorded: they do not count"


def lines_of(found: CallersAtGate) -> Iterator[tuple[str, str]]:
    """Yield (heading, text) for each cluster, then (what a caller did, how to move it) for each of its callers.

    A heading names the owner of the cluster, and a caller that of its namespace if something says who that is.
    """
    for one in found.shut[:MOST]:
        yield f"{one.cluster} ({_words(owner_of(one.owners))})", f"unknown: {one.unknown}" if one.unknown else ""
        for caller in one.callers:
            recipe, owner = recipe_of(caller), owner_of(one.owners, caller)
            own = f"; {owner.words}" if owner and owner.namespace else ""
            yield f"{caller.words} ({caller.holds}{own})", f"{recipe.title}: {recipe.move_for(one.cluster)}"
        for mine in one.own:
            yield f"{mine.words} ({mine.holds})", OWN
    if len(found.shut) > MOST:
        yield f"{len(found.shut) - MOST} more clusters", "see them with `aks-entra gates -o json`"


def page_of(found: CallersAtGate) -> str:
    """Return the page of a gate that waits for quiet audit logs."""
    if not found.shut:
        return f"The audit logs of stage {strong(found.stage)} were quiet for {in_words(found.quiet)} at {found.at}."
    begins = (
        f"The gate before stage {strong(found.stage)} waits until the audit logs show no caller with an old credential "
        f"for {in_words(found.quiet)}. This is what they showed at {found.at}. An approval does not open it."
    )
    said = [
        f"* {for_markdown(what, code=True)}{f' → {for_markdown(then, code=True)}' if then else ''}"
        for what, then in lines_of(found)
    ]
    return "\n".join((begins, "", *said))


def document_of(found: CallersAtGate) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "stage": found.stage,
        "quiet_seconds": found.quiet,
        "at": found.at,
        "clusters": [_cluster(one) for one in found.shut],
    }


def _cluster(one: Listened) -> dict[str, Any]:
    callers = [_caller(one, caller) for caller in one.callers]
    own = [_calls(caller) for caller in one.own]
    owner = _owner(owner_of(one.owners))
    return {"id": one.cluster.resource_id, **owner, "unknown": one.unknown, "callers": callers, "own": own}


def _caller(one: Listened, caller: Caller) -> dict[str, Any]:
    recipe = recipe_of(caller)
    return {
        **_calls(caller),
        "namespace": caller.namespace,
        **_owner(owner_of(one.owners, caller)),
        "recipe": recipe.move_for(one.cluster),
        "page": recipe.anchor,
    }


def _calls(caller: Caller) -> dict[str, Any]:
    return {
        "holds": caller.holds.value,
        "username": caller.username,
        "user_agent": caller.user_agent,
        "addresses": list(caller.addresses),
        "verbs": list(caller.verbs),
        "requests": caller.count,
        "last_call": caller.last_seen,
    }


def _words(owner: Owner | None) -> str:
    return owner.words if owner else UNKNOWN


def _owner(owner: Owner | None) -> dict[str, str]:
    """Return the name, and what says so. Both are empty if nobody is known."""
    return {"owner": owner.name if owner else "", "owner_by": owner.by if owner else ""}
