"""Runs the hooks of a cluster one after the other, and says of each what came of it, whatever ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from aks_entra.core.durations import exact_stamp
from aks_entra.core.evidence.hook_runs import HookRan, HookStatus
from aks_entra.core.evidence.observations import CertificatesRotated
from aks_entra.core.hooks.model import Hook
from aks_entra.core.hooks.results import (
    AGAIN,
    INTERRUPTED,
    STOPPED,
    DueHook,
    HookEnd,
    due,
    not_yet,
    result_of,
    rotation_in,
)
from aks_entra.core.verdict.verdict import Verdict, with_hooks
from aks_entra.ports.migration import Clock


class HookRunner(Protocol):
    """What the loop leaves to a batch: tasks, and the records at Prefect's server."""

    async def kept(self) -> tuple[HookRan, ...]:
        """Return the results of earlier attempts."""

    async def known(self, rotated: CertificatesRotated) -> Mapping[str, str]:
        """Return what the templates of hooks know. Any error is the result of every hook."""

    async def run(self, one: DueHook, rotated: CertificatesRotated, known: Mapping[str, str]) -> HookEnd:
        """Run a hook. Any error is its result."""

    async def keep(self, ran: tuple[HookRan, ...]) -> None:
        """Store all results so far. The last one is new."""

    async def stopped(self, verdict: Verdict) -> None:
        """Store the verdict of a cluster whose hooks were stopped. It raises nothing."""

    def failed(self, error: Exception) -> HookEnd:
        """Return an error as the result of a hook."""


async def run_hooks(
    after: tuple[Hook, ...], verdict: Verdict, runner: HookRunner, clock: Clock, *, may_write: bool
) -> Verdict:
    """Run the hooks that are due at a cluster. Returns its verdict with their results, which are stored one by one.

    Only a cancellation is raised. Then the verdict is stored, and says which hooks were not run.
    """
    rotated = rotation_in(verdict.evidence)
    if not after or rotated is None:
        return verdict
    kept: tuple[HookRan, ...] = ()
    ran: tuple[HookRan, ...] = ()
    left = due(after, (rotated,))
    running = False

    def said(*ends: HookEnd) -> Verdict:
        """Return the verdict, in which the hooks that are left ended as given. The last end counts for all others."""
        open_ones = left[len(ran) :]
        how = (*ends, *ends[-1:] * len(open_ones))
        at = exact_stamp(clock.now())
        rest = tuple(result_of(one, rotated, end, at=at) for one, end in zip(open_ones, how, strict=False))
        return with_hooks(replace(verdict, evidence=(*verdict.evidence, *kept, *ran, *rest)))

    try:
        kept = await runner.kept()
        left = due(after, (rotated, *kept))
        known: Mapping[str, str] | HookEnd | None = None
        if why := not_yet(rotated, verdict.evidence, may_write=may_write):
            known = HookEnd(status=HookStatus.NOT_RUN, detail=why, remedy=AGAIN)
        for one in left:
            known = await _known(runner, rotated) if known is None else known
            running = True
            end = known if isinstance(known, HookEnd) else await _ended(runner, one, rotated, known)
            running = False
            ran += (result_of(one, rotated, end, at=exact_stamp(clock.now())),)
            await runner.keep((*kept, *ran))
    except asyncio.CancelledError:
        await runner.stopped(said(INTERRUPTED, STOPPED) if running else said(STOPPED))
        raise
    except Exception as error:  # noqa: BLE001 - Prefect's server did not answer; the cluster's proofs stand
        return said(runner.failed(error))
    return said()


async def _known(runner: HookRunner, rotated: CertificatesRotated) -> Mapping[str, str] | HookEnd:
    try:
        return await runner.known(rotated)
    except Exception as error:  # noqa: BLE001 - it is the result of every hook
        return runner.failed(error)


async def _ended(runner: HookRunner, one: DueHook, rotated: CertificatesRotated, known: Mapping[str, str]) -> HookEnd:
    try:
        return await runner.run(one, rotated, known)
    except Exception as error:  # noqa: BLE001 - one hook's trouble is its result, and the others still run
        return runner.failed(error)
