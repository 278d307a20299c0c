"""The lease and the CA are asked for once more directly before a write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aks_entra.core.cluster import ClusterId
from aks_entra.core.verdict.verdict import Outcome
from aks_entra.errors import Refused
from aks_entra.execution.executor import InProcess, StillOurs
from tests.support.executor_jobs import calls_of_a_migration, job_for
from tests.support.memory_model import Happening
from tests.support.memory_ports import Process, World


class Leased(InProcess):
    """Runs the steps in this process, under a lease that it asks for before each write."""

    def __init__(self, process: Process, still_ours: StillOurs) -> None:
        super().__init__(process.executor, process.ports, process.timeouts)
        self._still_ours = still_ours

    @asynccontextmanager
    async def hold(self, _: ClusterId) -> AsyncIterator[StillOurs]:
        yield self._still_ours


async def test_a_process_that_lost_its_lease_writes_nothing() -> None:
    world = World()
    world.add()
    job = await job_for(world)
    process = world.process()

    async def lost() -> None:
        raise Refused("the lease was lost", code="ClaimLost")

    verdict = await process.executor.migrate(job, Leased(process, lost))
    assert verdict.because[0].endswith("the lease was lost")
    assert world.writes == []


async def test_the_lease_is_asked_for_once_and_directly_before_each_write() -> None:
    world = World()
    world.add()
    job = await job_for(world)
    process = world.process()
    asked: list[int] = []

    async def held() -> None:
        asked.append(len(world.calls))

    assert (await process.executor.migrate(job, Leased(process, held))).outcome is Outcome.VERIFIED
    writes = [
        at for at, name in enumerate(world.calls) if name.startswith(("arm.enable", "arm.set_local", "arm.rotate"))
    ]
    assert len(writes) == 3
    assert asked == writes, "the lease is asked for once for each write, and nothing lies between"


async def test_a_process_that_slept_does_not_rotate_what_another_has_rotated() -> None:
    calls = await calls_of_a_migration()
    world = World()
    cluster = world.add()
    job = await job_for(world)

    def another_rotated() -> None:
        cluster.generation += 1

    world.happenings[calls.index("arm.rotate_certificates")] = Happening(event=another_rotated)
    verdict = await world.process().executor.migrate(job)
    at = calls.index("arm.rotate_certificates")
    assert calls[at - 2 : at] == ["arm.cluster", "kubernetes.handshake"]
    assert cluster.rotations == 0
    assert "somebody rotated the certificates" in verdict.because[0]
