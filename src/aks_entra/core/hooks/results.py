"""Which hooks are due at a cluster, and what their results add to its verdict.

A hook proves nothing about the cluster. Its result changes no proof. If it is left undone, somebody has to do it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aks_entra.core.evidence.hook_runs import HookRan, HookStatus
from aks_entra.core.evidence.observations import CertificatesRotated, Evidence, StateSeen
from aks_entra.core.hooks.model import Hook, words_of

AGAIN: Final = "aks-entra migrate --resume RUN: it asks for an approval, and runs the hooks that are not done"


@dataclass(frozen=True, slots=True, kw_only=True)
class HookEnd:
    """How a hook ended: what it did or why it failed, and what to do then. Neither contains a secret."""

    status: HookStatus
    detail: str
    remedy: str = ""


STOPPED: Final = HookEnd(status=HookStatus.NOT_RUN, detail="the run was stopped", remedy=AGAIN)
"""What came of the hooks that had not begun when somebody stopped the run."""
INTERRUPTED: Final = HookEnd(
    status=HookStatus.FAILED, detail="the run was stopped while it ran, and its end was not seen", remedy=AGAIN
)
"""What came of the hook that ran at that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueHook:
    """A hook that is left to run, and its place in the fleet file."""

    place: int
    hook: Hook


def rotation_in(evidence: tuple[Evidence, ...]) -> CertificatesRotated | None:
    """Return the newest rotation that the evidence shows. None if it shows none."""
    return next((one for one in reversed(evidence) if isinstance(one, CertificatesRotated)), None)


def due(after: tuple[Hook, ...], evidence: tuple[Evidence, ...]) -> tuple[DueHook, ...]:
    """Return the hooks that are not done for the CA of the newest rotation. None are due without a rotation."""
    rotated = rotation_in(evidence)
    if rotated is None:
        return ()
    done = {one.place for one in last_runs(evidence) if one.status is HookStatus.DONE and one.ca == rotated.ca_after}
    return tuple(DueHook(place=place, hook=hook) for place, hook in enumerate(after) if place not in done)


def unsaid(after: tuple[Hook, ...], evidence: tuple[Evidence, ...]) -> tuple[DueHook, ...]:
    """Return the hooks of which nothing is known for the CA of the newest rotation. None without a rotation."""
    rotated = rotation_in(evidence)
    said = {one.place for one in evidence if isinstance(one, HookRan) and rotated and one.ca == rotated.ca_after}
    return tuple(one for one in due(after, evidence) if one.place not in said)


def result_of(one: DueHook, rotated: CertificatesRotated, end: HookEnd, *, at: str) -> HookRan:
    """Return how a hook ended after a rotation as evidence. `at` is ISO 8601."""
    return HookRan(
        at=at,
        place=one.place,
        hook=words_of(one.hook),
        status=end.status,
        detail=end.detail,
        remedy=end.remedy,
        ca=rotated.ca_after,
    )


def not_yet(rotated: CertificatesRotated, evidence: tuple[Evidence, ...], *, may_write: bool) -> str:
    """Return why no hook may run now. Empty: the new CA was seen to serve, and the run may write."""
    if not may_write:
        return "this run may only look, because nobody approved it to write"
    seen = next((one for one in reversed(evidence) if isinstance(one, StateSeen)), None)
    if seen is None or seen.ca != rotated.ca_after:
        return "the cluster was not seen to serve with its new CA"
    return ""


def last_runs(evidence: tuple[Evidence, ...]) -> tuple[HookRan, ...]:
    """Return the last result of each hook, in the order of the fleet file."""
    found = {one.place: one for one in evidence if isinstance(one, HookRan)}
    return tuple(found[place] for place in sorted(found))


def left(evidence: tuple[Evidence, ...]) -> tuple[HookRan, ...]:
    """Return the last results of the hooks that are not done."""
    return tuple(one for one in last_runs(evidence) if one.status is not HookStatus.DONE)


def sentence(one: HookRan) -> str:
    """Return a result as a reason of a verdict."""
    detail = f": {one.detail}" if one.detail else ""
    return f"after the rotation, {one.hook}: {one.status}{detail}"
