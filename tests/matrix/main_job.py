"""The main job, as every matrix drives it: a start, a plan, a process that carries it out, what is true at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aks_entra.core.cluster import Identity
from aks_entra.core.fleet import WantedGroup, WantedTarget
from aks_entra.core.verdict import Grade, Outcome, Verdict
from aks_entra.executor import Job
from tests.matrix.observer import Doorkeeper, signs_in
from tests.unit.executor_desk import CREATED, STARTS, job_for
from tests.unit.ports_world import ADMINS, OTHERS, PROVER, Cluster, Group, World

TARGETS = {"existing group": WantedGroup(id=ADMINS), "created group": CREATED}
STARTING = [f"{start} · {group}" for start in STARTS for group in TARGETS]


@dataclass(slots=True, kw_only=True)
class Day:
    """One cluster's day."""

    world: World
    cluster: Cluster
    job: Job
    door: Doorkeeper

    @classmethod
    async def begin(cls, starting: str) -> Day:
        start, _, group = starting.partition(" · ")
        world = World()
        world.groups[OTHERS] = Group(id=OTHERS, name="others", members={"eve"})
        how: dict[str, Any] = STARTS[start]
        cluster = world.add(**how, tags=(("env", "prod"),))
        door = Doorkeeper(world)
        job = await job_for(world, WantedTarget(admin_groups=(TARGETS[group],)))
        world.calls.clear()
        return cls(world=world, cluster=cluster, job=job, door=door)

    async def migrate(self) -> Verdict:
        return await self.world.process().executor.migrate(self.job)

    @property
    def true(self) -> bool:
        """Whether everything that "verified" claims is so, by the world itself."""
        world, cluster = self.world, self.cluster
        provers = {group.id for group in world.groups.values() if PROVER in group.members}
        return (
            cluster.id.key in world.clusters
            and cluster.identity is Identity.MANAGED
            and not cluster.local_accounts
            and world.now() >= cluster.refuses_at
            and signs_in(world, cluster)
            and bool(provers & {one.lower() for one in cluster.groups})
            and cluster.generation > 0
            and not cluster.never_settles
            and world.now() >= cluster.settled_at
            and cluster.state == "Succeeded"
            and cluster.reachable
            and world.now() >= cluster.down_until
            and not cluster.limited
        )

    def right(self, verdict: Verdict) -> bool:
        """Whether a verdict claims nothing that is not so; grade 2 claims nothing of a static token."""
        if verdict.outcome is not Outcome.VERIFIED:
            return True
        return self.true and not (verdict.grade is Grade.CREDENTIAL_REFUSED and self.cluster.token_outlives)

    def check(self, verdict: Verdict) -> None:
        """No false "verified", nobody locked out, no second rotation, tags as they were."""
        assert self.right(verdict), verdict.because
        assert self.door.moments > 0
        assert self.door.shut == []
        assert dict(self.cluster.tags) == {"env": "prod"}


async def calls_of(starting: str) -> tuple[list[str], int]:
    """The port calls of an undisturbed job, and the number of the first one of its last look."""
    day = await Day.begin(starting)
    executor = day.world.process().executor
    last = 0
    for step in await executor.remaining(day.job):
        last = len(day.world.calls) + 1
        for _ in _patiently():
            try:
                await executor.apply(day.job, step)
                break
            except Exception as error:  # noqa: BLE001 - what is no TryLater is raised by the access below
                await day.world.clock.sleep(error.after)  # type: ignore[attr-defined]  # TryLater, or a test that fails
    return list(day.world.calls), last


def _patiently() -> Iterator[int]:
    yield from range(500)
