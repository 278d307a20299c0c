"""Ctrl-C at each moment of `aks-entra break-glass`: the last words say whether local accounts are open."""

from __future__ import annotations

import asyncio
import io
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aks_entra.cli.break_glass.request import Request
from aks_entra.cli.break_glass.session import open_or_close
from tests.contract.small_world import SUBSCRIPTION, cluster

if TYPE_CHECKING:
    from azure_sandbox.server import Sandbox
    from tests.contract.small_world import Opener

CLUSTER = cluster("guarded")
HOUR = timedelta(hours=1)


class Interrupts(io.StringIO):
    """A stderr that cancels the task as soon as the task says certain words."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words
        self.task: asyncio.Task[None] | None = None

    def write(self, text: str, /) -> int:
        """Keep the text, and cancel the task once."""
        if self._words in text and self.task is not None:
            self.task.cancel()
            self.task = None
        return super().write(text)


async def interrupted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, at: str, lasting: timedelta | None) -> str:
    """Interrupt the command when it says `at`, and return everything that it said."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("AKS_ENTRA_POLL_INTERVAL", "0.02")
    monkeypatch.setenv("AKS_ENTRA_EVIDENCE_DIR", str(tmp_path / "evidence"))
    request = Request(
        cluster=CLUSTER.resource_id,
        subscription=SUBSCRIPTION,
        lasting=lasting,
        reason="INC-77",
        ticket="",
        file=tmp_path / "kubeconfig" if lasting is not None else None,
        fleet=None,
        wait=True,
    )
    said = Interrupts(at)
    monkeypatch.setattr(sys, "stderr", said)
    said.task = asyncio.create_task(open_or_close(request))
    with pytest.raises(asyncio.CancelledError):
        await said.task
    return said.getvalue()


@pytest.mark.parametrize(
    ("at", "lasting", "last_words"),
    [
        ("this opening is not recorded", HOUR, "stopped while opening: local accounts of {} may be OPEN until"),
        ("are OPEN until", HOUR, "stopped waiting: local accounts of {} are OPEN until"),
        ("when its time is over", HOUR, "stopped waiting: local accounts of {} are OPEN until"),
        ("proving sign-in to", timedelta(0), "stopped while closing: local accounts of {} may still be OPEN"),
    ],
)
async def test_an_interrupted_opening_says_that_accounts_may_be_open_and_how_to_close_them(
    box: Sandbox,  # noqa: ARG001 - the fixture sets the environment
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    at: str,
    lasting: timedelta,
    last_words: str,
) -> None:
    said = await interrupted(monkeypatch, tmp_path, at, lasting)
    first, second = said[said.rindex("stopped ") :].splitlines()
    assert first.startswith(last_words.format(CLUSTER))
    assert second.endswith(f"to close them now: aks-entra break-glass {CLUSTER} --close")
    assert "NOTHING closes them then" in second  # no server knows of this opening


async def test_an_interruption_before_the_opening_says_nothing_about_open_accounts(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = await interrupted(monkeypatch, tmp_path, "opening local accounts of", HOUR)
    assert "stopped" not in said
    async with opened() as session:
        assert not (await session.ports.arm.cluster(CLUSTER)).local_accounts


async def test_an_interrupted_close_says_that_accounts_may_still_be_open(
    box: Sandbox,  # noqa: ARG001 - the fixture sets the environment
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    await interrupted(monkeypatch, tmp_path, "when its time is over", HOUR)
    said = await interrupted(monkeypatch, tmp_path, "proving sign-in to", None)
    assert "stopped while closing" in said
