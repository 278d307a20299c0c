"""The same histories in the sandbox over HTTPS and in the world in memory have the same results and the same truth."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from aks_entra.core.target import RotationPolicy
from aks_entra.settings import Settings
from aks_entra.wiring import Session, open_session
from azure_sandbox.server import Sandbox
from tests.contract.https_history import HttpsClusterHistory
from tests.matrix.statements.cluster_history import ClusterHistory

AT_ONCE, LATER = RotationPolicy.AT_ONCE, RotationPolicy.LATER
Step = Callable[[ClusterHistory], Awaitable[None]]
Truth = tuple[bool, frozenset[tuple[str, str]]]

STARTS = {"plain": "none", "guarded": "closed, never rotated"}


def migrate(rotation: RotationPolicy) -> Step:
    return lambda history: history.migrate(rotation)


def portal(*deeds: str) -> Step:
    return lambda history: history.in_portal(*deeds)


async def break_glass(history: ClusterHistory) -> None:
    await history.open_glass(hand_out=True)
    await history.close_glass()


async def no_log(history: ClusterHistory) -> None:
    history.log("unreadable")


async def verify_nightly(history: ClusterHistory) -> None:
    await history.verify_nightly()


async def roll_back(history: ClusterHistory) -> None:
    await history.roll_back()


VISIT = portal("opens", "fetches", "closes")
HISTORIES: dict[str, tuple[str, tuple[Step, ...]]] = {
    "a plain day and its night": ("plain", (migrate(AT_ONCE), verify_nightly)),
    "break-glass, then a night": ("plain", (migrate(AT_ONCE), break_glass, verify_nightly)),
    "a visit in the portal, then a night": ("guarded", (migrate(AT_ONCE), VISIT, verify_nightly)),
    "a visit that the log does not tell": ("guarded", (migrate(AT_ONCE), no_log, VISIT, verify_nightly)),
    "rotation later, then at once": ("plain", (migrate(LATER), migrate(AT_ONCE))),
    "a rollback that is closed again": ("plain", (migrate(AT_ONCE), roll_back, portal("closes"))),
    "made anew, and opened": (
        "guarded",
        (migrate(AT_ONCE), portal("makes anew, open", "fetches", "closes"), verify_nightly),
    ),
    "made anew, closed": ("guarded", (migrate(AT_ONCE), portal("makes anew, closed"), verify_nightly)),
    "a visit, and a rotation in the portal": ("plain", (migrate(AT_ONCE), VISIT, portal("rotates"), migrate(AT_ONCE))),
}


@asynccontextmanager
async def open_session_of_sandbox() -> AsyncIterator[Session]:
    settings = Settings(poll_interval=0.02, look_interval=0.02, group_reads=2, group_read_gap=0, activity_log_delay=0)
    async with open_session(settings) as session:
        yield session


def in_memory(name: str) -> ClusterHistory:
    history = ClusterHistory.begin(STARTS[name])
    history.world.backdated = timedelta(
        days=1
    )  # a rotation in the sandbox takes less than the ten minutes by which a CA is backdated
    history.world.log_late = history.world.log_delay = timedelta(0)
    return history


async def told_by(history: ClusterHistory, steps: tuple[Step, ...]) -> list[Truth]:
    """Return for each step whether a credential works after it, and what the step said; then read everything."""
    found: list[Truth] = []
    for number, step in enumerate(steps, 1):
        history.counted.clear()
        await step(history)
        if number == len(steps):
            await history.check_everything()
        found.append((bool(history.live), frozenset((by, said) for by, said, _ in history.counted)))
    return found


@pytest.mark.parametrize("history", HISTORIES)
async def test_both_worlds_give_the_same_true_results(history: str, box: Sandbox) -> None:
    name, steps = HISTORIES[history]
    fast = await told_by(in_memory(name), steps)
    async with open_session_of_sandbox() as session:
        real = await told_by(HttpsClusterHistory.over(session, box, name), steps)
    assert real == fast


async def test_a_kubeconfig_by_access_profile_is_a_static_credential_too(box: Sandbox) -> None:
    async with open_session_of_sandbox() as session:
        history = HttpsClusterHistory.over(session, box, "plain")
        await history.migrate(AT_ONCE)
        assert not history.live
        await history.in_portal("opens", "fetches by its access profile", "closes")
        assert history.live
        await history.check_everything()
